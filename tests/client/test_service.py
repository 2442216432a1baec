"""The client of the service against a server with scripted replies: retries and errors."""

import socket

import pytest
from api_anomaly.client.service import (
    MAX_ATTEMPTS,
    MAX_PAUSE_SECONDS,
    MAX_WAIT_SECONDS,
    LogsRefused,
    Service,
    ServiceError,
    TooLarge,
    retry_seconds,
)

from tests.support.client_server import Reply, scripted_server

ANSWER = {"accepted": 1, "anomalies": []}


class Pauses(list):
    """Records the pauses of the client instead of waiting."""

    __call__ = list.append


def run(replies, call, token="secret"):
    """The result of `call` with these replies, the requests, and the pauses."""
    pauses = Pauses()
    with scripted_server(*replies) as server:
        service = Service(server.url, token, pause=pauses)
        try:
            result = call(service)
        except ServiceError as failure:
            result = failure
        finally:
            service.close()
    return result, server.requests, pauses


def ingest(service):
    return service.ingest(b"a line", {"format": "auto"})


def train(service):
    return service.train([b'{"a":1}', b"{}"])


def test_ingest_sends_the_token_and_the_lines():
    call = {"format": "auto", "log_format": "%h &"}
    result, [request], _ = run([Reply(200, ANSWER)], lambda s: s.ingest(b"a\nb", call))
    assert result == ANSWER
    assert request.path == "/ingest?format=auto&log_format=%25h+%26"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Content-Type"] == "text/plain"
    assert request.body == b"a\nb"


def test_an_answer_of_ingest_that_is_no_object_is_an_error():
    result, _, _ = run([Reply(200, b"<html>")], ingest)
    assert "no JSON object" in str(result)


def test_without_a_token_none_is_sent():
    _, [request], _ = run([Reply(200, {})], lambda s: s.get("/health"), token=None)
    assert "Authorization" not in request.headers


def test_train_sends_logs_that_are_json_texts():
    _, [request], _ = run([Reply(200, {})], train)
    assert request.body == {"logs": [{"a": 1}, {}]}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_service_gets_the_same_key_again(status):
    busy = Reply(status, {"detail": "busy", "code": "busy"}, (("Retry-After", "3"),))
    result, requests, pauses = run([busy, busy, Reply(200, ANSWER)], ingest)
    assert result == ANSWER
    assert pauses == [3, 3]
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1


def test_two_batches_have_two_keys():
    _, requests, _ = run([Reply(200, ANSWER)] * 2, lambda s: (ingest(s), ingest(s)))
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 2


def test_ingestion_is_repeated_after_a_lost_connection():
    result, requests, pauses = run([Reply(0), Reply(200, ANSWER)], ingest)
    assert result == ANSWER
    assert pauses == [0.5]
    assert requests[0].headers["Idempotency-Key"] == requests[1].headers["Idempotency-Key"]


def test_training_is_not_repeated_after_a_lost_connection():
    result, requests, _ = run([Reply(0)], train)
    assert len(requests) == 1
    assert "broke during /train" in str(result)


@pytest.mark.parametrize("status", [502, 504])
def test_training_is_not_repeated_after_the_error_of_a_proxy(status):
    result, requests, _ = run([Reply(status, {})], train)
    assert isinstance(result, ServiceError)
    assert len(requests) == 1


def test_attempts_are_limited():
    result, requests, pauses = run([Reply(503, {"detail": "starting"})] * MAX_ATTEMPTS, ingest)
    assert isinstance(result, ServiceError)
    assert '503: it is overloaded or starting. It says: "starting"' in str(result)
    assert len(requests) == MAX_ATTEMPTS
    assert pauses == [0.5, 1, 2, 4, 8]


def test_retry_after_is_waited_for_ten_minutes():
    busy = Reply(503, {"detail": "busy"}, (("Retry-After", "30"),))
    result, requests, pauses = run([busy] * 21, ingest)
    assert isinstance(result, ServiceError)
    assert (len(requests), sum(pauses)) == (21, MAX_WAIT_SECONDS)


def test_a_refused_connection_names_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    service = Service(url, None, pause=Pauses())
    with pytest.raises(ServiceError, match=f"no service answers at {url}.*is --url right"):
        service.get("/health")
    service.close()


def test_a_timeout_names_the_option():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service = Service(url, None, timeout=0.05, pause=Pauses())
        with pytest.raises(ServiceError, match="did not answer /train in time; --timeout"):
            service.train([b"{}"])
        service.close()


@pytest.mark.parametrize("url", ["http://[::1", "http://a:b:c", "ftp://a"])
def test_an_invalid_address_is_an_error(url):
    with pytest.raises(ServiceError):
        Service(url, "token", pause=Pauses()).get("/health")


def test_a_token_that_is_not_ascii_is_an_error():
    with pytest.raises(ServiceError, match="not a usable address"):
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
def test_an_error_status_is_explained(status, words):
    result, requests, _ = run([Reply(status, {"detail": "The detail.", "code": "x"})], ingest)
    assert words in str(result)
    assert '"The detail."' in str(result)
    assert len(requests) == 1


def test_an_error_without_json_is_explained():
    result, _, _ = run([Reply(500, b"<html>")], ingest)
    assert str(result).endswith("it failed.")


def test_a_413_has_its_own_error():
    result, _, _ = run([Reply(413, {"detail": "64 MiB", "code": "too_large"})], ingest)
    assert isinstance(result, TooLarge)


def test_a_422_gives_the_reason_of_each_refused_log():
    detail = [
        {"loc": ["body", "logs", 3, "method"], "msg": "too long"},
        {"loc": ["body", "logs", 3, "status_code"], "msg": "too high"},
        {"loc": ["logs", 7], "msg": "no user"},
    ]
    result, _, _ = run([Reply(422, {"detail": detail, "code": "invalid"})], ingest)
    assert isinstance(result, LogsRefused)
    assert result.reasons == {3: "method too long", 7: "no user"}


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "ten logs at least", "code": "too_few_logs"},
        {"detail": [{"loc": ["body", "threshold"], "msg": "no number"}], "code": "invalid"},
        {"detail": ["text", {"loc": None}], "code": "invalid"},
        ["text"],
    ],
)
def test_a_422_without_a_log_is_a_general_error(body):
    result, _, _ = run([Reply(422, body)], ingest)
    assert type(result) is ServiceError


def test_an_error_has_the_code_and_the_words_of_the_service():
    body = {"detail": [{"loc": ["body"], "msg": "no line"}], "code": "nothing_readable"}
    result, _, _ = run([Reply(422, body)], ingest)
    assert (result.code, result.detail) == ("nothing_readable", "no line")


@pytest.mark.parametrize(
    ("attempt", "retry_after", "seconds"),
    [
        (1, None, 0.5),
        (3, None, 2.0),
        (20, None, MAX_PAUSE_SECONDS),
        (1, "7", 7.0),
        (1, "100000", MAX_PAUSE_SECONDS),
        (1, "-1", 0.5),
        (2, "Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
        (2, "nan", 1.0),
    ],
)
def test_the_pause_follows_retry_after_up_to_a_limit(attempt, retry_after, seconds):
    assert retry_seconds(attempt, retry_after) == seconds
