"""Training and detection in batches, against a server that plays a script."""

import pytest
from api_anomaly.client.service import Service, ServiceFailed, TooLarge
from api_anomaly.client.reading import Entry
from api_anomaly.client.replay import Detection
from api_anomaly.client.training import Trainer

from tests.support.client_server import Reply, playing

TOO_LARGE = Reply(413, {"detail": "too large", "code": "body_too_large"})


def entries(count):
    return [
        Entry(n + 1, {"timestamp": f"2024-02-01T00:00:{n:02}Z", "user_id": f"u{n}"}, None)
        for n in range(count)
    ]


def answer(*flagged):
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


def faulty(*places):
    detail = [{"loc": ["body", "logs", place, "method"], "msg": "too odd"} for place in places]
    return Reply(422, {"detail": detail, "code": "invalid_request"})


def detected(replies, count, batch, threshold=None):
    """The outcome of a detection and, for each request, the users of its logs."""
    seen = []
    with playing(*replies) as server:
        service = Service(server.url, None, pause=seen.append)
        try:
            detection = Detection(service, batch, threshold, top=10)
            outcome = detection.run(iter(entries(count)), seen.append)
        finally:
            service.close()
    users = [[log["user_id"][1:] for log in request.body["logs"]] for request in server.requests]
    return outcome, ["".join(batch) for batch in users], seen, server.requests


def test_logs_go_out_in_batches_in_file_order():
    outcome, batches, progress, _ = detected([answer(), answer(0), answer()], 5, 2)
    assert batches == ["01", "23", "4"]
    assert progress == [2, 4, 5]
    assert list(outcome.tally.groups) == ["u2"]
    assert (outcome.model_version, outcome.threshold, outcome.confidence) == ("m", -0.6, 0.5)


def test_a_threshold_is_passed_on():
    _, _, _, [request] = detected([answer()], 1, 10, threshold=-0.55)
    assert request.body["threshold"] == -0.55


def test_a_batch_that_is_too_large_is_halved_and_so_are_the_later_ones():
    outcome, batches, _, _ = detected([TOO_LARGE, answer(), answer(), answer(1)], 6, 4)
    assert batches == ["0123", "01", "23", "45"]
    assert outcome.tally.logs == 6
    assert list(outcome.tally.groups) == ["u5"]


def test_a_single_log_that_is_too_large_ends_the_replay():
    with pytest.raises(TooLarge):
        detected([TOO_LARGE], 1, 1)


def test_faulty_logs_are_left_out_and_the_others_sent_again():
    outcome, batches, _, _ = detected([faulty(1), answer(1)], 3, 3)
    assert batches == ["012", "02"]
    assert outcome.refused == 1
    assert outcome.complaints == [(2, "method too odd")]
    assert list(outcome.tally.groups) == ["u2"]


def test_a_batch_of_faulty_logs_only_is_left_out_whole():
    outcome, batches, _, _ = detected([faulty(0, 1), answer()], 3, 2)
    assert batches == ["01", "2"]
    assert (outcome.refused, outcome.tally.logs) == (2, 1)


def test_a_complaint_about_a_log_that_was_not_sent_ends_the_replay():
    with pytest.raises(ServiceFailed):
        detected([faulty(9)], 3, 3)


def trained(replies, count, most=1000):
    """The training and, for each request, the numbers of its logs."""
    trainer = Trainer(most)
    for number in range(count):
        trainer.add({"user_id": str(number)})
    with playing(*replies) as server:
        service = Service(server.url, None)
        try:
            training = trainer.train(service, timeout=5)
        finally:
            service.close()
    return training, [[int(log["user_id"]) for log in r.body["logs"]] for r in server.requests]


DONE = Reply(200, {"model_accuracy": 0.99})


def test_all_of_the_training_part_is_used_when_it_fits():
    training, [sent] = trained([DONE], 40)
    assert sent == list(range(40))
    assert (training.offered, training.used, training.refused) == (40, 40, 0)


def test_the_most_recent_logs_are_used_when_not_all_fit():
    training, sent = trained([TOO_LARGE, TOO_LARGE, DONE], 40)
    assert sent[1:] == [list(range(10, 40)), list(range(18, 40))]
    assert (training.offered, training.used) == (40, 22)


def test_the_most_recent_logs_are_used_when_not_all_can_be_kept():
    training, [sent] = trained([DONE], 40, most=15)
    assert sent == list(range(25, 40))
    assert (training.offered, training.used) == (40, 15)


def test_a_service_that_takes_no_training_however_small_ends_it():
    with pytest.raises(TooLarge):
        trained([TOO_LARGE] * 3, 12)


def test_faulty_logs_are_left_out_of_the_training():
    training, sent = trained([faulty(0, 2), DONE], 5)
    assert sent[1] == [1, 3, 4]
    assert (training.used, training.refused) == (3, 2)


@pytest.mark.parametrize("places", [(0, 1, 2), (9,)])
def test_a_training_of_which_nothing_good_is_left_ends(places):
    with pytest.raises(ServiceFailed):
        trained([faulty(*places)], 3)


def test_a_service_that_finds_one_more_fault_each_time_is_not_asked_for_ever():
    with pytest.raises(ServiceFailed):
        trained([faulty(0)] * 11, 30)
