"""The figures and the printed report of a replay."""

import io

import pytest
from api_anomaly.client.label import Label
from api_anomaly.client.reader import Entry
from api_anomaly.client.detection import Outcome
from api_anomaly.client.report import print_report, printable
from api_anomaly.client.summary import Summary
from api_anomaly.client.labels import LabelReport
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def entry(number, user="u", label=None, attack=None, actor=None, case=None):
    log = {
        "timestamp": f"2024-02-01T00:00:{number % 60:02}Z",
        "user_id": user,
        "ip_address": "192.0.2.1",
        "endpoint": f"/{number}",
        "method": "GET",
        "status_code": 200,
    }
    return Entry(number, log, Label(None if label is None else bool(label), attack, actor, case))


def anomaly(index, risk=50.0, severity="medium", text="too fast", feature="rate", score=-0.7):
    reasons = [{"feature": feature, "value": 1.0, "usual": 0.1, "text": text}]
    return {
        "log_index": index,
        "anomaly_score": score,
        "risk": risk,
        "severity": severity,
        "reasons": reasons,
    }


def test_anomalies_are_grouped_by_user_or_address():
    summary = Summary(top=10)
    entries = [entry(1, "ann"), entry(2, None), entry(3, "ann"), entry(4, "bob")]
    summary.add(
        entries, [anomaly(0), anomaly(1, 99, "critical"), anomaly(2, 80, "high", "too long")]
    )
    assert [(group.name, group.flagged) for group in summary.top_groups()] == [
        ("192.0.2.1", 1),
        ("ann", 2),
    ]
    assert dict(summary.seen) == {"ann": 2, "192.0.2.1": 1, "bob": 1}
    ann = summary.groups["ann"]
    assert (ann.severity, ann.risk) == ("high", 80)
    assert (ann.first, ann.last) == ("2024-02-01T00:00:01Z", "2024-02-01T00:00:03Z")


def test_a_group_has_its_most_frequent_reason_with_the_text_of_the_highest_risk():
    summary = Summary(top=10)
    summary.add(
        [entry(number) for number in range(4)],
        [
            anomaly(0, 10, text="a little fast", feature="rate"),
            anomaly(1, 60, text="far too fast", feature="rate"),
            anomaly(2, 20, text="rather fast", feature="rate"),
            anomaly(3, 90, text="a new country", feature="country"),
        ],
    )
    assert summary.groups["u"].reason == "far too fast"


def test_one_user_has_at_most_three_rows_of_single_logs():
    summary = Summary(top=5)
    entries = [entry(number, "many") for number in range(20)] + [entry(20, "one")]
    summary.add(entries, [anomaly(n, score=-0.9 + n / 100) for n in range(21)])
    assert [log["line"] for log in summary.top_logs()] == [0, 1, 2, 20]


def test_the_single_log_with_the_worst_score_is_shown():
    summary = Summary(top=1)
    for number in range(1000):
        summary.add([entry(number, f"u{number}")], [anomaly(0, score=-0.5 - (number % 500) / 1000)])
    assert [log["line"] for log in summary.top_logs()] == [499]


def report_labels(*rows):
    """Rows of (entry, flagged)."""
    label_report = LabelReport()
    label_report.add([row[0] for row in rows], frozenset(n for n, row in enumerate(rows) if row[1]))
    return label_report


def test_figures_count_logs_and_actors():
    label_report = report_labels(
        (entry(1, "thief", 1, "probe"), False),
        (entry(2, "thief", 1, "probe"), True),
        (entry(3, "thief", 0), True),
        (entry(4, "other", 1, "flood"), False),
        (entry(5, "ann", 0, case="traveller"), True),
        (entry(6, "ann", 0), False),
        (entry(7, "bob", 0), False),
        (entry(8, "bob", None), True),
    )
    assert label_report.figures() == {
        "attack_logs": 3,
        "attack_logs_flagged": 1,
        "recall": pytest.approx(1 / 3),
        "precision": pytest.approx(1 / 3),
        "benign_logs": 4,
        "false_positives": 2,
        "false_positive_rate": 0.5,
        "false_positives_of_attackers": 1,
        "false_positive_cases": {"traveller": 1},
        "attackers": 2,
        "attackers_found": 1,
        "attacker_recall": 0.5,
        "benign_actors": 2,
        "benign_actors_flagged": 1,
        "unknown_logs": 1,
    }


def test_a_family_names_missed_actors_and_the_logs_until_the_others_were_found():
    rows = [(entry(n, "a", 1, "probe"), n == 4) for n in range(6)]
    rows += [(entry(n, "b", 1, "probe"), n == 0) for n in range(2)]
    rows += [(entry(9, "c", 1, "probe"), False)]
    [family] = report_labels(*rows).families()
    assert family == ("probe", 3, 2, 9, 2, 3.0, ("c",))


def test_a_stolen_account_has_two_actors():
    label_report = report_labels(
        (entry(1, "ann", 0, None, "ann"), False),
        (entry(2, "ann", 1, "theft", "thief-of-ann"), True),
    )
    figures = label_report.figures()
    assert (figures["attackers_found"], figures["false_positives_of_attackers"]) == (1, 0)
    assert figures["benign_actors"] == 1


def test_without_labels_there_are_no_figures():
    label_report = LabelReport()
    label_report.add([Entry(1, {"user_id": "u"}, None)], frozenset())
    assert not label_report.labelled
    assert label_report.figures()["recall"] is None


def printed(outcome, width=120):
    console = Console(file=io.StringIO(), width=width)
    print_report(console, outcome, 300 * 2**20)
    return console.file.getvalue()


def test_the_report_names_users_reasons_attacks_and_totals():
    summary, label_report = Summary(top=10), LabelReport()
    entries = [entry(1, "thief", 1, "probe"), entry(2, "ann", 0), entry(3, "eve", 1, "probe")]
    summary.add(entries, [anomaly(0, 97.4, "critical", "300 refused requests, usually 0")])
    label_report.add(entries, frozenset({0}))
    report = printed(
        Outcome(summary, label_report, detect_seconds=0.5, model_version="m1", threshold=-0.6)
    )
    for words in (
        "labelled attack: probe (1)",
        "thief",
        "critical 97",
        "300 refused requests, usually 0",
        "200 GET /1",
        "probe",
        "1 of 2",
        "eve",
        "6 logs/s",
        "1 (33.33%): 1 critical",
        "300 MiB",
        "m1, -0.6000",
    ):
        assert words in report


def test_a_report_without_anomalies_has_totals_only():
    summary = Summary(top=10)
    summary.add([entry(1)], [])
    report = printed(Outcome(summary, threshold=-0.61))
    assert "No log was flagged: none scores below -0.6100." in report
    assert "Totals" in report
    assert "Users and addresses" not in report


def test_a_log_cannot_write_markup_or_control_the_terminal():
    summary = Summary(top=10)
    bad = entry(1, "[red]eve[/] \x1b[31m\x07\r\n")
    summary.add([bad], [anomaly(0, text="[bold]x\x1b]0;title\x07")])
    report = printed(Outcome(summary))
    assert "[red]eve[/]" in report
    assert not {"\x1b", "\x07", "\r"} & set(report)


@given(st.text(), st.integers(3, 50))
def test_printable_text_has_no_control_characters_and_is_short(words, length):
    shown = printable(words, length).plain
    assert len(shown) <= length
    assert shown.isprintable()
    if len(words) <= length and words.isprintable():
        assert shown == words
