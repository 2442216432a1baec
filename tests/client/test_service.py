"""How the client behaves when the service, or the way to it, is bad. The server is real."""

import socket

import pytest
from api_anomaly.client.service import (
    PAUSE_MOST,
    TRIES,
    LogsRefused,
    Service,
    ServiceFailed,
    TooLarge,
    waiting,
)

from tests.support.client_server import Reply, playing

LOG = {"timestamp": 0, "user_id": "u", "endpoint": "/", "method": "GET", "status_code": 200}
ANSWER = {"anomalies": [], "total_logs": 1}


class Pauses(list):
    """Notes how long the client would have waited, and does not wait."""

    __call__ = list.append


def ask(replies, call, token="secret"):
    """Runs `call` against such a server; gives its result, the requests and the pauses."""
    pauses = Pauses()
    with playing(*replies) as server:
        service = Service(server.url, token, pause=pauses)
        try:
            result = call(service)
        except ServiceFailed as failure:
            result = failure
        finally:
            service.close()
    return result, server.requests, pauses


def detect(service):
    return service.detect([LOG], {})


def train(service):
    return service.train([b'{"a":1}', b"{}"], timeout=5)


def test_the_token_and_the_logs_arrive():
    result, [request], _ = ask([Reply(200, ANSWER)], lambda s: s.detect([LOG], {"threshold": -0.6}))
    assert result == ANSWER
    assert request.path == "/detect"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.body == {"threshold": -0.6, "logs": [LOG]}


def test_without_a_token_none_is_sent():
    _, [request], _ = ask([Reply(200, {})], lambda s: s.get("/health"), token=None)
    assert "Authorization" not in request.headers


def test_a_training_body_is_made_of_ready_texts():
    _, [request], _ = ask([Reply(200, {})], train)
    assert request.body == {"logs": [{"a": 1}, {}]}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again_with_the_same_key(status):
    busy = Reply(status, {"detail": "busy", "code": "busy"}, (("Retry-After", "3"),))
    result, requests, pauses = ask([busy, busy, Reply(200, ANSWER)], detect)
    assert result == ANSWER
    assert pauses == [3, 3]
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1


def test_two_batches_have_two_keys():
    _, requests, _ = ask([Reply(200, ANSWER)] * 2, lambda s: (detect(s), detect(s)))
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 2


def test_a_broken_connection_during_detection_is_tried_again():
    result, requests, pauses = ask([Reply(0), Reply(200, ANSWER)], detect)
    assert result == ANSWER
    assert pauses == [0.5]
    assert requests[0].headers["Idempotency-Key"] == requests[1].headers["Idempotency-Key"]


def test_a_broken_connection_during_training_is_not_tried_again():
    result, requests, _ = ask([Reply(0)], train)
    assert len(requests) == 1
    assert "broke during /train" in str(result)


@pytest.mark.parametrize("status", [502, 504])
def test_a_training_that_a_proxy_gave_up_on_is_not_started_twice(status):
    result, requests, _ = ask([Reply(status, {})], train)
    assert isinstance(result, ServiceFailed)
    assert len(requests) == 1


def test_patience_ends():
    result, requests, pauses = ask([Reply(503, {"detail": "starting"})] * TRIES, detect)
    assert isinstance(result, ServiceFailed)
    assert '503: it has too much to do or is starting. It says: "starting"' in str(result)
    assert len(requests) == TRIES
    assert pauses == [0.5, 1, 2, 4, 8]


def test_where_nothing_listens_the_address_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    service = Service(url, None, pause=Pauses())
    with pytest.raises(ServiceFailed, match=f"no service answers at {url}.*is --url right"):
        service.get("/health")
    service.close()


def test_a_service_that_does_not_answer_in_time_is_said_so():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        service = Service(url, None, timeout=0.05, pause=Pauses())
        with pytest.raises(ServiceFailed, match="did not answer /train in time; --timeout"):
            service.train([b"{}"], timeout=0.05)
        service.close()


@pytest.mark.parametrize("url", ["http://[::1", "http://a:b:c", "ftp://a"])
def test_an_address_that_is_none_is_said_so(url):
    with pytest.raises(ServiceFailed):
        Service(url, "token", pause=Pauses()).get("/health")


def test_a_token_that_no_header_can_carry_is_said_so():
    with pytest.raises(ServiceFailed, match="no usable address"):
        Service("http://127.0.0.1:1", "gehe\N{COMBINING DIAERESIS}im")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "it cannot do that now"),
        (401, "give the right one with --token or in AUTH_TOKEN"),
        (404, "is --url the address"),
        (409, "busy with another training"),
        (418, "it failed"),
        (500, "it failed"),
    ],
)
def test_a_refusal_is_explained_in_a_sentence(status, words):
    result, requests, _ = ask([Reply(status, {"detail": "So it is.", "code": "x"})], detect)
    assert words in str(result)
    assert '"So it is."' in str(result)
    assert len(requests) == 1


def test_a_body_that_is_no_json_is_no_stumbling_block():
    result, _, _ = ask([Reply(500, b"<html>")], detect)
    assert str(result).endswith("it failed.")


def test_too_large_is_its_own_failure():
    result, _, _ = ask([Reply(413, {"detail": "64 MiB", "code": "too_large"})], detect)
    assert isinstance(result, TooLarge)


def test_faulty_logs_are_named_by_their_places():
    detail = [
        {"loc": ["body", "logs", 3, "method"], "msg": "too long"},
        {"loc": ["body", "logs", 3, "status_code"], "msg": "too high"},
        {"loc": ["logs", 7], "msg": "no user"},
    ]
    result, _, _ = ask([Reply(422, {"detail": detail, "code": "invalid"})], detect)
    assert isinstance(result, LogsRefused)
    assert result.places == {3: "method too long", 7: "no user"}


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "ten logs at least", "code": "too_few_logs"},
        {"detail": [{"loc": ["body", "threshold"], "msg": "no number"}], "code": "invalid"},
        {"detail": ["odd", {"loc": None}], "code": "invalid"},
        ["odd"],
    ],
)
def test_a_422_that_names_no_log_is_a_plain_failure(body):
    result, _, _ = ask([Reply(422, body)], detect)
    assert type(result) is ServiceFailed


@pytest.mark.parametrize(
    ("attempt", "retry_after", "seconds"),
    [
        (1, None, 0.5),
        (3, None, 2.0),
        (20, None, PAUSE_MOST),
        (1, "7", 7.0),
        (1, "100000", PAUSE_MOST),
        (1, "-1", 0.5),
        (2, "Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
        (2, "nan", 1.0),
    ],
)
def test_the_wait_is_what_the_service_asks_for_within_reason(attempt, retry_after, seconds):
    assert waiting(attempt, retry_after) == seconds
