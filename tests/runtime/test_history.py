"""The history of a running service: kept, trained on, and off when it is off."""

from pathlib import Path

from tests.support.history import kept_logs, wait_until


def test_what_is_detected_is_kept_and_can_be_trained_on(serve, logs, tmp_path: Path) -> None:
    with serve(forest_trees=5) as client:
        client.post("/train", json={"logs": logs(100)})
        for start in range(0, 200, 50):
            batch = logs(200)[start : start + 50]
            assert client.post("/detect", json={"logs": batch}).status_code == 200
        ignored = {"logs": logs(50), "update_state": False}
        client.post("/detect", json=ignored)
        assert client.get("/status").json()["history"]["logs"] == 200
        trained = client.post("/train", json={"source": "history"})
        assert (trained.status_code, trained.json()["training_samples"]) == (200, 200)
        assert client.get("/status").json()["model_version"] == trained.json()["model_version"]
    assert len(kept_logs(tmp_path / "models")) == 200
    with serve(forest_trees=5) as client:
        wait_until(lambda: bool(client.get("/status").json()["history"]["logs"] == 200))


def test_a_history_without_logs_is_a_named_error(serve) -> None:
    with serve() as client:
        refused = client.post("/train", json={"source": "history"})
        assert (refused.status_code, refused.json()["code"]) == (422, "too_few_logs")
        for body in ({"source": "elsewhere"}, {"source": "history", "days": -1}):
            invalid = client.post("/train", json=body)
            assert (invalid.status_code, invalid.json()["code"]) == (422, "validation_error")


def test_with_history_off_nothing_is_kept(serve, logs, tmp_path: Path) -> None:
    with serve(forest_trees=5, history=False) as client:
        client.post("/train", json={"logs": logs(100)})
        client.post("/detect", json={"logs": logs(50)})
        assert client.get("/status").json()["history"] is None
        assert client.get("/status").json()["first_training"] is None
    assert not (tmp_path / "models" / "history").exists()
