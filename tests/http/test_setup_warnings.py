"""What looks wrong in the logs is said in the responses, in the status and in the metrics."""

from typing import Any

Log = dict[str, Any]


def through_a_proxy(logs: list[Log]) -> list[Log]:
    """The logs of 30 people who use six endpoints, all with one address."""
    return [
        log
        | {
            "ip_address": "192.0.2.10",
            "user_id": f"person-{i % 30}",
            "endpoint": f"/{('orders', 'items', 'me', 'cart', 'help', 'search')[i % 6]}",
        }
        for i, log in enumerate(logs)
    ]


def test_the_proxys_address_is_said_everywhere(serve, logs) -> None:
    proxied = through_a_proxy(logs(1_000))
    with serve() as client:
        assert "warnings" not in client.post("/train", json={"logs": logs(1_000)}).json()
        assert client.get("/status").json()["warnings"] == []
        trained = client.post("/train", json={"logs": proxied}).json()
        found: dict[str, Any] = client.post("/detect", json={"logs": proxied}).json()
        again = client.post("/detect", json={"logs": logs(1)}).json()
        status = client.get("/status").json()
        metrics = client.get("/metrics").text
    for response, source in ((trained, "training"), (found, "env-1 detect")):
        (warning,) = response["warnings"]
        assert (warning["code"], warning["source"]) == ("one_address", source)
        assert "real_ip_header" in warning["text"] and "192.0.2" not in warning["text"]
        assert warning in status["warnings"]
    assert again["warnings"] == found["warnings"]
    assert 'setup_warnings{code="one_address"} 2.0' in metrics


def test_logs_that_are_not_remembered_say_nothing(serve, logs) -> None:
    proxied = through_a_proxy(logs(1_000))
    with serve() as client:
        client.post("/train", json={"logs": logs(1_000)})
        body = {"logs": proxied, "update_state": False}
        assert "warnings" not in client.post("/detect", json=body).json()
        assert client.get("/status").json()["warnings"] == []
