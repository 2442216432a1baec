"""Detection in batches, and one training request, against a server with scripted replies."""

import pytest
from api_anomaly.client.service import Service, ServiceError, TooLarge
from api_anomaly.client.reader import Entry
from api_anomaly.client.detection import Detection
from api_anomaly.client.training import Trainer

from tests.support.client_server import Reply, scripted_server

TOO_LARGE = Reply(413, {"detail": "too large", "code": "body_too_large"})


def entries(count):
    return [
        Entry(n + 1, {"timestamp": f"2024-02-01T00:00:{n:02}Z", "user_id": f"u{n}"}, None)
        for n in range(count)
    ]


def detected(*flagged):
    reasons = [{"feature": "rate", "value": 1.0, "usual": 0.1, "text": "too fast"}]
    anomalies = [
        {
            "log_index": index,
            "anomaly_score": -0.7,
            "risk": 80.0,
            "severity": "high",
            "reasons": reasons,
        }
        for index in flagged
    ]
    body = {
        "anomalies": anomalies,
        "model_version": "m",
        "threshold": -0.6,
        "model_confidence": 0.5,
    }
    return Reply(200, body)


def refuse(*indices):
    detail = [{"loc": ["body", "logs", index, "method"], "msg": "too long"} for index in indices]
    return Reply(422, {"detail": detail, "code": "invalid_request"})


def run_detection(replies, count, batch, threshold=None):
    """The outcome of a detection and, for each request, the users of its logs."""
    seen = []
    with scripted_server(*replies) as server:
        service = Service(server.url, None, pause=seen.append)
        try:
            detection = Detection(service, batch, threshold, top=10)
            outcome = detection.run(iter(entries(count)), seen.append)
        finally:
            service.close()
    users = [[log["user_id"][1:] for log in request.body["logs"]] for request in server.requests]
    return outcome, ["".join(batch) for batch in users], seen, server.requests


def test_logs_are_sent_in_batches_in_file_order():
    outcome, batches, progress, _ = run_detection([detected(), detected(0), detected()], 5, 2)
    assert batches == ["01", "23", "4"]
    assert progress == [2, 4, 5]
    assert list(outcome.summary.groups) == ["u2"]
    assert (outcome.model_version, outcome.threshold, outcome.confidence) == ("m", -0.6, 0.5)


def test_the_threshold_is_sent():
    _, _, _, [request] = run_detection([detected()], 1, 10, threshold=-0.55)
    assert request.body["threshold"] == -0.55


def test_after_a_413_this_and_later_batches_are_halved():
    outcome, batches, _, _ = run_detection([TOO_LARGE, detected(), detected(), detected(1)], 6, 4)
    assert batches == ["0123", "01", "23", "45"]
    assert outcome.summary.logs == 6
    assert list(outcome.summary.groups) == ["u5"]


def test_a_413_for_a_single_log_ends_the_replay():
    with pytest.raises(TooLarge):
        run_detection([TOO_LARGE], 1, 1)


def test_refused_logs_are_left_out_and_the_others_sent_again():
    outcome, batches, _, _ = run_detection([refuse(1), detected(1)], 3, 3)
    assert batches == ["012", "02"]
    assert outcome.refused == 1
    assert outcome.refused_lines == [(2, "method too long")]
    assert list(outcome.summary.groups) == ["u2"]


def test_a_batch_with_only_refused_logs_is_left_out():
    outcome, batches, _, _ = run_detection([refuse(0, 1), detected()], 3, 2)
    assert batches == ["01", "2"]
    assert (outcome.refused, outcome.summary.logs) == (2, 1)


def test_a_422_about_a_log_that_was_not_sent_ends_the_replay():
    with pytest.raises(ServiceError):
        run_detection([refuse(9)], 3, 3)


def run_training(replies, count, max_logs=1000):
    """The training and, for each request, the numbers of its logs."""
    trainer = Trainer(max_logs)
    for number in range(count):
        trainer.add({"user_id": str(number)})
    with scripted_server(*replies) as server:
        service = Service(server.url, None)
        try:
            training = trainer.train(service)
        finally:
            service.close()
    return training, [[int(log["user_id"]) for log in r.body["logs"]] for r in server.requests]


DONE = Reply(200, {"model_accuracy": 0.99})


def test_training_uses_all_logs_that_fit():
    training, [sent] = run_training([DONE], 40)
    assert sent == list(range(40))
    assert (training.offered, training.used, training.refused) == (40, 40, 0)


def test_training_uses_the_most_recent_logs_after_a_413():
    training, sent = run_training([TOO_LARGE, TOO_LARGE, DONE], 40)
    assert sent[1:] == [list(range(10, 40)), list(range(18, 40))]
    assert (training.offered, training.used) == (40, 22)


def test_training_keeps_the_most_recent_logs():
    training, [sent] = run_training([DONE], 40, max_logs=15)
    assert sent == list(range(25, 40))
    assert (training.offered, training.used) == (40, 15)


def test_training_ends_when_the_smallest_request_is_a_413():
    with pytest.raises(TooLarge):
        run_training([TOO_LARGE] * 3, 12)


def test_training_leaves_out_refused_logs():
    training, sent = run_training([refuse(0, 2), DONE], 5)
    assert sent[1] == [1, 3, 4]
    assert (training.used, training.refused) == (3, 2)


@pytest.mark.parametrize("indices", [(0, 1, 2), (9,)])
def test_training_ends_when_no_valid_log_is_left(indices):
    with pytest.raises(ServiceError):
        run_training([refuse(*indices)], 3)


def test_training_ends_after_ten_rounds_of_refused_logs():
    with pytest.raises(ServiceError):
        run_training([refuse(0)] * 11, 30)
