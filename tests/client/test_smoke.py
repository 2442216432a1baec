"""The smoke test sees a service that breaks its promises. The server is real; it plays a script."""

import pytest
from api_anomaly.client.service import connection
from api_anomaly.client.smoke import CHECKS, Deployment, results

from tests.support.client_server import Reply, playing

HERE = (("WWW-Authenticate", "Bearer"),)
DETECTED = {
    "anomalies": [],
    "total_logs": 300,
    "anomaly_count": 0,
    "anomaly_rate": 0.0,
    "model_confidence": 1.0,
    "model_version": "m",
    "threshold": -0.6,
    "scores": [-0.5] * 300,
}
STATUS = {"is_trained": True, "training_date": None, "model_accuracy": None, "feature_count": 0}


def scores(value):
    return Reply(200, {"scores": [value], "anomalies": []})


BROKEN = [
    ("health", [Reply(200, {"status": "ill"})], "/health says"),
    ("health", [Reply(500, {})], "/health answered 500, not 200"),
    ("health", [Reply(200, b"hello")], "/health answered no JSON"),
    ("authentication", [Reply(200, {})], "/status answered 200, not 401"),
    ("authentication", [Reply(401, {})], "has no WWW-Authenticate"),
    ("authentication", [Reply(401, {}, HERE)] * 5 + [Reply(200, {})], "/train answered 200"),
    ("metrics", [Reply(200, b"# TYPE api_requests_total counter\n")], "without ['api_request_dur"),
    ("status", [Reply(200, {"is_trained": False})], "/status lacks ['feature_count'"),
    ("faulty logs", [Reply(200, {})], "/detect answered 200, not 422"),
    ("faulty logs", [Reply(422, {"detail": [{"loc": ["body", "logs", 0]}]})], "422 says"),
    ("faulty logs", [Reply(422, {"code": "x"})], "an answer out of shape: KeyError('detail')"),
    ("detect", [Reply(200, {**DETECTED, "total_logs": 3})], "miscounts 300 logs"),
    ("detect", [Reply(200, {**DETECTED, "anomalies": [{}]})], "not an anomaly of the contract"),
    ("memory", [scores(-0.5), scores(-0.5), scores(-0.6)], "update_state: false was remembered"),
    ("memory", [scores(-0.5)] * 5, "left the score of the next one as it was"),
    ("retry", [scores(-0.5), scores(-0.6)], "got another answer"),
    ("load model", [Reply(404, {})], "/load-model answered 404"),
    ("train", [Reply(409, {})], "/train answered 409"),
    ("status", [Reply(0)], "RemoteProtocolError"),
]


@pytest.mark.parametrize(("name", "replies", "words"), BROKEN)
def test_a_broken_promise_is_named(name, replies, words):
    with playing(*replies) as server, connection(server.url, "t", 5) as client:
        deployment = Deployment(client, client, train=True, trained=True)
        [row] = results(deployment, {name: CHECKS[name]})
    assert row.result == "failed"
    assert words in row.words


def test_what_does_not_apply_is_skipped():
    with playing() as server, connection(server.url, "t", 5) as client:
        rows = list(
            results(
                Deployment(client, client, train=False),
                {
                    name: CHECKS[name]
                    for name in ("train", "detect", "memory", "retry", "load model")
                },
            )
        )
    assert {row.result for row in rows} == {"skipped"}
    assert server.requests == []


def test_a_service_that_keeps_its_promises_passes():
    with playing(Reply(200, STATUS)) as server, connection(server.url, "t", 5) as client:
        [row] = results(Deployment(client, client, train=False), {"status": CHECKS["status"]})
    assert (row.result, row.words) == ("passed", "model None")
