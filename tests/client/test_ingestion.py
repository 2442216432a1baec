"""Lines to POST /ingest in batches, against a server with scripted replies."""

from urllib.parse import parse_qs, urlsplit

import pytest
from api_anomaly.client.ingestion import Ingestion, IngestOptions, Outcome
from api_anomaly.client.lines import Header
from api_anomaly.client.service import Service, ServiceError, TooLarge
from api_anomaly.client.source import Line, SourceError
from api_anomaly.client.summary import Summary

from tests.support.client_server import Reply, scripted_server
from tests.support.ingest_replies import anomaly, ingested

TOO_LARGE = Reply(413, {"detail": "too large", "code": "body_too_large"})
FIELDS = "#Fields: time c-ip sc-status"


def refused(code, words):
    return Reply(422, {"detail": [{"loc": ["body"], "msg": words}], "code": code})


def run_ingestion(replies, texts, batch=1000, header=(), **options):
    """The outcome, and the requests. Lines are numbered from 11."""
    lines = [Line(number, text.encode()) for number, text in enumerate(texts, start=11)]
    outcome, known, progress = Outcome(Summary(10)), Header(), []
    known.follow([Line(1, text.encode()) for text in header])
    with scripted_server(*replies) as server:
        service = Service(server.url, None, pause=progress.append)
        try:
            ingestion = Ingestion(service, IngestOptions(batch=batch, **options), outcome, known)
            ingestion.run(iter(lines), progress.append)
        finally:
            service.close()
    return outcome, server.requests, progress


def bodies(requests):
    return [request.body.decode() for request in requests]


def query(request):
    return {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}


def test_lines_are_sent_as_they_are_in_batches_in_file_order():
    replies = [ingested(2), ingested(2, anomaly(1, "u2")), ingested(1)]
    outcome, requests, progress = run_ingestion(replies, ["a a", "b b", "c c", "d d", "e e"], 2)
    assert bodies(requests) == ["a a\nb b", "c c\nd d", "e e"]
    assert progress == [2, 4, 5]
    assert outcome.counts["accepted"] == outcome.summary.logs == outcome.lines.read == 5
    assert [log["line"] for log in outcome.summary.top_logs()] == [13]
    assert (outcome.model_version, outcome.format) == ("m1", "combined")
    keys = {request.headers["Idempotency-Key"] for request in requests}
    assert len(keys) == 3


def test_the_way_of_reading_is_sent():
    _, [request], _ = run_ingestion([ingested(1)], ["a b"], format="w3c", log_format="%h %>s")
    assert urlsplit(request.path).path == "/ingest"
    assert query(request) == {"anomalies": "true", "format": "w3c", "log_format": "%h %>s"}


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_service_is_waited_for_and_gets_the_same_key_again(status):
    busy = Reply(status, {"detail": "busy"}, (("Retry-After", "2"),))
    outcome, requests, progress = run_ingestion([*[busy] * 20, ingested(1)], ["a b"])
    assert progress == [2] * 20 + [1]
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1
    assert outcome.counts["accepted"] == 1


def test_after_a_413_this_and_later_batches_are_halved():
    replies = [TOO_LARGE, ingested(2), ingested(2), ingested(2, 2)]
    outcome, requests, _ = run_ingestion(replies, [f"{n} x" for n in range(6)], 4)
    assert bodies(requests) == ["0 x\n1 x\n2 x\n3 x", "0 x\n1 x", "2 x\n3 x", "4 x\n5 x"]
    assert outcome.counts["accepted"] == 6
    assert [log["line"] for log in outcome.summary.top_logs()] == [16]


def test_a_413_for_a_single_line_ends_the_replay():
    with pytest.raises(TooLarge):
        run_ingestion([TOO_LARGE], ["a"], 1)


def test_rejected_lines_have_their_numbers_in_the_file():
    reply = ingested(2, rejected=1, errors=[{"line": 2, "reason": "no time"}])
    outcome, _, _ = run_ingestion([reply], ["a a", "b b", "c c"])
    assert (outcome.lines.bad, outcome.lines.bad_lines) == (1, [(12, "no time")])


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (refused("nothing_readable", "None of 2 lines could be read. Line 2: no time"), (14, "no")),
        (refused("format_unknown", "no known format reads these"), (13, "no known format")),
    ],
)
def test_a_batch_without_a_log_does_not_end_the_replay(reply, line):
    replies = [ingested(2), reply, ingested(1)]
    outcome, _, _ = run_ingestion(replies, ["a a", "b b", "c c", "d d", "e e"], 2)
    assert (outcome.lines.read, outcome.lines.bad) == (5, 2)
    [(number, reason)] = outcome.lines.bad_lines
    assert number == line[0] and reason.startswith(line[1])


def test_a_file_of_mostly_bad_lines_is_an_error():
    with pytest.raises(SourceError, match="2 of the first 2 lines are no logs.*no known format"):
        run_ingestion([refused("format_unknown", "no known format")], ["a a", "b b"])


def test_a_format_that_cannot_be_told_from_a_batch_is_that_of_the_others():
    ambiguous = refused("format_ambiguous", "two formats")
    _, requests, _ = run_ingestion([ingested(1), ambiguous, ingested(1)], ["a a", "b b"], 1)
    assert [query(request)["format"] for request in requests] == ["auto", "auto", "combined"]
    with pytest.raises(ServiceError, match="two formats"):
        run_ingestion([ambiguous], ["a a"])


def test_each_batch_of_a_w3c_log_has_the_header_before_it():
    texts = ["#Software: x", FIELDS, "1 a 2", "3 b 4", "#Fields: c-ip sc-status", "c 5", "d 6"]
    errors = [{"line": 3, "reason": "no time"}]
    replies = [
        ingested(0, skipped=2),
        ingested(1, 4, rejected=1, errors=errors, skipped=2),
        ingested(1, 4, skipped=3),
        ingested(1, skipped=2),
    ]
    outcome, requests, _ = run_ingestion(replies, texts, 2)
    assert bodies(requests)[1:] == [
        f"#Software: x\n{FIELDS}\n1 a 2\n3 b 4",
        f"#Software: x\n{FIELDS}\n#Fields: c-ip sc-status\nc 5",
        "#Software: x\n#Fields: c-ip sc-status\nd 6",
    ]
    assert outcome.lines.bad_lines == [(13, "no time")]
    assert outcome.counts["skipped"] == 3
    assert sorted(log["line"] for log in outcome.summary.top_logs()) == [14, 16]


def test_lines_after_the_training_part_have_the_header_of_it():
    _, requests, _ = run_ingestion([ingested(1, skipped=1)], ["1 a 2"], header=[FIELDS])
    assert bodies(requests) == [f"{FIELDS}\n1 a 2"]


def test_a_header_that_is_no_log_in_another_format_is_not_counted():
    errors = [{"line": 1, "reason": "no time"}, {"line": 3, "reason": "no status"}]
    reply = ingested(1, rejected=2, errors=errors)
    outcome, _, _ = run_ingestion([reply], ["a a", "b b", "c c"], header=[FIELDS])
    assert (outcome.lines.bad, outcome.lines.bad_lines) == (1, [(12, "no status")])
    assert outcome.counts["skipped"] == 0


def test_with_a_log_format_no_header_is_sent():
    _, requests, _ = run_ingestion([ingested(1)], ["1 a"], header=[FIELDS], log_format="%h %s")
    assert bodies(requests) == ["1 a"]


def test_events_of_a_single_line_are_in_that_line():
    outcome, _, _ = run_ingestion([ingested(3, 3)], ["[...]"])
    assert [log["line"] for log in outcome.summary.top_logs()] == [11]


def test_labels_are_matched_by_line():
    attack, benign = '{"label":1,"user_id":"a"}', '{"label":0,"user_id":"b"}'
    errors = [{"line": 1, "reason": "no time"}]
    reply = ingested(2, 3, rejected=1, errors=errors)
    outcome, _, _ = run_ingestion([reply], [attack, benign, attack])
    figures = outcome.label_report.figures()
    assert (figures["attack_logs"], figures["attack_logs_flagged"]) == (1, 1)
    assert (figures["benign_logs"], figures["false_positives"]) == (1, 0)


def test_without_a_model_nothing_is_measured():
    reply = ingested(1, scored=0, model_version=None)
    outcome, _, _ = run_ingestion([reply], ['{"label":1,"user_id":"a"}'])
    assert (outcome.counts["accepted"], outcome.summary.logs) == (1, 0)
    assert not outcome.label_report.labelled


def test_each_warning_is_kept_once():
    replies = [ingested(1, warnings=["one", "two"]), ingested(1, warnings=["two", "three"])]
    outcome, _, _ = run_ingestion(replies, ["a a", "b b"], 1)
    assert list(outcome.warnings) == ["one", "two", "three"]
