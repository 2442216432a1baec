"""POST /detect with `on_invalid: "skip"`: the valid logs of a batch are scored."""

import json
from typing import Any

import httpx
import numpy as np

from api_anomaly.detector import Detections
from api_anomaly.logs.skip import InvalidLog
from api_anomaly.runtime.detect_response import encode_kept
from api_anomaly.storage.history.entry import Entry, decode, encode


def detect(client: httpx.Client, logs: list[Any], **options: Any) -> dict[str, Any]:
    body = {"logs": logs, "on_invalid": "skip", "include_scores": True, "threshold": 0.0}
    response = client.post("/detect", json=body | options)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_valid_logs_are_scored_at_their_places(serve, logs) -> None:
    valid = logs(6)
    sent = [valid[0], {}, *valid[1:4], valid[0] | {"status_code": 0}, *valid[4:]]
    keyed = {"Idempotency-Key": "k1"}
    with serve() as client:
        client.post("/train", json={"logs": logs(200)})
        alone = detect(client, valid, update_state=False)
        assert alone["invalid"] == []
        found = detect(client, sent, update_state=False, include_rules=True)
        assert client.post("/detect", json={"logs": sent}).status_code == 422
        body = json.dumps({"on_invalid": "skip", "logs": sent}).encode()
        first = client.post("/detect", content=body, headers=keyed)
        again = client.post("/detect", content=body, headers=keyed)
        marked = client.post("/detect", content=b"\xef\xbb\xbf" + body)
        nothing = detect(client, [{}, 7])
    assert [fault["index"] for fault in found["invalid"]] == [1, 5]
    assert found["invalid"][1]["reason"].startswith("status_code: ")
    assert found["total_logs"] == 6
    assert found["scores"][1] is None and found["scores"][5] is None
    assert [score for score in found["scores"] if score is not None] == alone["scores"]
    assert [anomaly["log_index"] for anomaly in found["anomalies"]] == [0, 2, 3, 4, 6, 7]
    assert first.json()["invalid"] == found["invalid"]
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"
    assert marked.status_code == 200
    assert (nothing["total_logs"], nothing["anomalies"], nothing["scores"]) == (0, [], [None] * 2)


def test_a_response_that_a_kill_lost_has_its_places(logs, columns) -> None:
    """The journal keeps the valid logs and the positions of the others."""
    found = columns(logs(3))
    scores = np.full(3, -0.5)
    detections = Detections(scores, -0.9, (), 0.0, np.zeros(0))
    facts = {"include_scores": True, "invalid": [InvalidLog(1, "status_code: wrong")]}
    kept = decode(encode(Entry("detect", 0.0, found, facts=facts)))
    encoded = encode_kept(kept, "v", detections)
    assert encoded is not None
    response = json.loads(encoded)
    assert response["invalid"] == [{"index": 1, "reason": "status_code: wrong"}]
    assert response["scores"] == [-0.5, None, -0.5, -0.5]
