"""The smoke test against a server with scripted replies that break the HTTP contract."""

import pytest
from api_anomaly.client.service import open_connection
from api_anomaly.client.smoke import CHECKS, Deployment, run_checks

from tests.support.client_server import Reply, scripted_server

BEARER_HEADER = (("WWW-Authenticate", "Bearer"),)
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
    ("health", [Reply(200, {"status": "unhealthy"})], "/health says"),
    ("health", [Reply(500, {})], "/health answered 500, not 200"),
    ("health", [Reply(200, b"hello")], "/health did not answer JSON"),
    ("authentication", [Reply(200, {})], "/status answered 200, not 401"),
    ("authentication", [Reply(401, {})], "has no WWW-Authenticate"),
    (
        "authentication",
        [Reply(401, {}, BEARER_HEADER)] * 5 + [Reply(200, {})],
        "/train answered 200",
    ),
    ("metrics", [Reply(200, b"# TYPE api_requests_total counter\n")], "without ['api_request_dur"),
    ("status", [Reply(200, {"is_trained": False})], "/status lacks ['feature_count'"),
    ("invalid logs", [Reply(200, {})], "/detect answered 200, not 422"),
    ("invalid logs", [Reply(422, {"detail": [{"loc": ["body", "logs", 0]}]})], "422 says"),
    (
        "invalid logs",
        [Reply(422, {"code": "x"})],
        "unexpected shape of the answer: KeyError('detail')",
    ),
    ("detect", [Reply(200, {**DETECTED, "total_logs": 3})], "miscounts 300 logs"),
    (
        "detect",
        [Reply(200, {**DETECTED, "anomalies": [{}]})],
        "an anomaly is not as in the contract",
    ),
    (
        "memory",
        [scores(-0.5), scores(-0.5), scores(-0.6)],
        "update_state: false changed a later score",
    ),
    ("memory", [scores(-0.5)] * 5, "did not change the score of the next one"),
    ("retry", [scores(-0.5), scores(-0.6)], "got another answer"),
    ("load model", [Reply(404, {})], "/load-model answered 404"),
    ("train", [Reply(409, {})], "/train answered 409"),
    ("status", [Reply(0)], "RemoteProtocolError"),
]


@pytest.mark.parametrize(("name", "replies", "words"), BROKEN)
def test_a_breach_of_the_contract_fails_its_check(name, replies, words):
    with scripted_server(*replies) as server, open_connection(server.url, "t", 5) as client:
        deployment = Deployment(client, client, train=True, trained=True)
        [row] = run_checks(deployment, {name: CHECKS[name]})
    assert row.result == "failed"
    assert words in row.detail


def test_a_check_that_does_not_apply_is_skipped():
    with scripted_server() as server, open_connection(server.url, "t", 5) as client:
        rows = list(
            run_checks(
                Deployment(client, client, train=False),
                {
                    name: CHECKS[name]
                    for name in ("train", "detect", "memory", "retry", "load model")
                },
            )
        )
    assert {row.result for row in rows} == {"skipped"}
    assert server.requests == []


def test_a_correct_answer_passes_its_check():
    with (
        scripted_server(Reply(200, STATUS)) as server,
        open_connection(server.url, "t", 5) as client,
    ):
        [row] = run_checks(Deployment(client, client, train=False), {"status": CHECKS["status"]})
    assert (row.result, row.detail) == ("passed", "model None")
