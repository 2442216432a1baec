"""Lines to one training request, against a server with scripted replies."""

import pytest
from api_anomaly.client.lines import Header, LineCount
from api_anomaly.client.service import Service, ServiceError, TooLarge
from api_anomaly.client.source import Line, SourceError
from api_anomaly.client.training import LineReader, Trainer
from api_anomaly.logs.formats.format import ReadOptions
from api_anomaly.logs.formats.read import read_body
from api_anomaly.logs.formats.registry import FORMATS

from tests.support.client_server import Reply, scripted_server

TOO_LARGE = Reply(413, {"detail": "too large", "code": "body_too_large"})


def refuse(*indices):
    detail = [{"loc": ["body", "logs", index, "method"], "msg": "too long"} for index in indices]
    return Reply(422, {"detail": detail, "code": "invalid_request"})


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


class Logs(list):
    """Takes the logs of a reader."""

    add = list.append


def read_lines(texts, **options):
    """The logs of these lines, the counts, and the reader."""
    logs, count = Logs(), LineCount()
    reader = LineReader(ReadOptions(**options), count, Header())
    lines = (Line(number, text.encode()) for number, text in enumerate(texts, start=1))
    reader.read(lines, logs, lambda _: None)
    return logs, count, reader


@pytest.mark.parametrize("name", FORMATS)
def test_lines_are_read_as_the_service_reads_them(name):
    example = FORMATS[name].example.splitlines()
    logs, count, reader = read_lines(example * 3)
    assert logs == read_body(FORMATS[name].example.encode(), ReadOptions()).records.as_dicts() * 3
    assert (count.read, count.bad, list(reader.formats)) == (3 * len(example), 0, [name])


def test_a_w3c_log_names_its_columns_once():
    header, line = FORMATS["w3c"].example.splitlines()
    logs, count, _ = read_lines([header, *[line] * 2500])
    assert (len(logs), count.bad) == (2500, 0)


def test_bad_lines_are_counted_and_keep_their_numbers():
    lines = [FORMATS["combined"].example] * 1500
    lines[1100] = "not a log"
    logs, count, _ = read_lines(lines)
    assert (len(logs), count.read, count.bad) == (1499, 1500, 1)
    assert count.bad_lines[0].number == 1101


def test_mostly_bad_lines_are_an_error():
    with pytest.raises(SourceError, match="1,000 of the first 1,000 lines are no logs"):
        read_lines(["Dear reader"] * 5000)


def test_an_unknown_format_names_the_option():
    with pytest.raises(SourceError, match="there is no format of this name.*--format NAME"):
        read_lines(["x"], format="xml")
