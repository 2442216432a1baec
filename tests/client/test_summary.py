"""The figures and the printed report of a replay."""

import io
from collections import Counter

import pytest
from api_anomaly.client.label import Label
from api_anomaly.client.ingestion import Outcome
from api_anomaly.client.report import print_report, printable
from api_anomaly.client.summary import Summary
from api_anomaly.client.labels import LabelReport
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def anomaly(
    line, user="u", risk=50.0, severity="medium", text="too fast", feature="rate", score=-0.7
):
    return {
        "line": line,
        "timestamp": f"2024-02-01T00:00:{line % 60:02}Z",
        "user_id": user,
        "ip_address": "192.0.2.1",
        "endpoint": f"/{line}",
        "method": "GET",
        "status_code": 200,
        "anomaly_score": score,
        "risk": risk,
        "severity": severity,
        "reasons": [{"feature": feature, "value": 1.0, "usual": 0.1, "text": text}],
    }


def test_anomalies_are_grouped_by_user_or_address():
    summary = Summary(top=10)
    anomalies = [
        anomaly(1, "ann"),
        anomaly(2, None, 99, "critical"),
        anomaly(3, "ann", 80, "high", "too long"),
    ]
    summary.add(4, anomalies, {})
    assert [(group.name, group.flagged) for group in summary.top_groups()] == [
        ("192.0.2.1", 1),
        ("ann", 2),
    ]
    assert (summary.logs, summary.anomalies) == (4, 3)
    ann = summary.groups["ann"]
    assert (ann.severity, ann.risk) == ("high", 80)
    assert (ann.first, ann.last) == ("2024-02-01T00:00:01Z", "2024-02-01T00:00:03Z")


def test_a_group_has_its_most_frequent_reason_with_the_text_of_the_highest_risk():
    summary = Summary(top=10)
    anomalies = [
        anomaly(0, risk=10, text="a little fast", feature="rate"),
        anomaly(1, risk=60, text="far too fast", feature="rate"),
        anomaly(2, risk=20, text="rather fast", feature="rate"),
        anomaly(3, risk=90, text="a new country", feature="country"),
    ]
    summary.add(4, anomalies, {})
    assert summary.groups["u"].reason == "far too fast"


def test_one_user_has_at_most_three_rows_of_single_logs():
    summary = Summary(top=5)
    users = ["many"] * 20 + ["one"]
    anomalies = [anomaly(n, user, score=-0.9 + n / 100) for n, user in enumerate(users)]
    summary.add(21, anomalies, {})
    assert [log["line"] for log in summary.top_logs()] == [0, 1, 2, 20]


def test_the_single_log_with_the_worst_score_is_shown():
    summary = Summary(top=1)
    for number in range(1000):
        score = -0.5 - (number % 500) / 1000
        summary.add(1, [anomaly(number, f"u{number}", score=score)], {})
    assert [log["line"] for log in summary.top_logs()] == [499]


def label(actor, is_attack, attack=None, case=None):
    return Label(None if is_attack is None else bool(is_attack), attack, actor, case)


def report_labels(*rows):
    """Rows of (label, flagged)."""
    label_report = LabelReport()
    labels = dict(enumerate(row[0] for row in rows))
    label_report.add(labels, {number for number, row in enumerate(rows) if row[1]})
    return label_report


def test_figures_count_logs_and_actors():
    label_report = report_labels(
        (label("thief", 1, "probe"), False),
        (label("thief", 1, "probe"), True),
        (label("thief", 0), True),
        (label("other", 1, "flood"), False),
        (label("ann", 0, case="traveller"), True),
        (label("ann", 0), False),
        (label("bob", 0), False),
        (label("bob", None), True),
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
    rows = [(label("a", 1, "probe"), n == 4) for n in range(6)]
    rows += [(label("b", 1, "probe"), n == 0) for n in range(2)]
    rows += [(label("c", 1, "probe"), False)]
    [family] = report_labels(*rows).families()
    assert family == ("probe", 3, 2, 9, 2, 3.0, ("c",))


def test_a_stolen_account_has_two_actors():
    label_report = report_labels(
        (label("ann", 0), False),
        (label("thief-of-ann", 1, "theft"), True),
    )
    figures = label_report.figures()
    assert (figures["attackers_found"], figures["false_positives_of_attackers"]) == (1, 0)
    assert figures["benign_actors"] == 1


def test_without_labels_there_are_no_figures():
    label_report = LabelReport()
    label_report.add({}, {1})
    assert not label_report.labelled
    assert label_report.figures()["recall"] is None


def printed(outcome, width=120):
    console = Console(file=io.StringIO(), width=width)
    print_report(console, outcome, 300 * 2**20)
    return console.file.getvalue()


def test_the_report_names_users_reasons_attacks_and_totals():
    summary, label_report = Summary(top=10), LabelReport()
    labels = {1: label("thief", 1, "probe"), 2: label("ann", 0), 3: label("eve", 1, "probe")}
    found = anomaly(1, "thief", 97.4, "critical", "300 refused requests, usually 0")
    summary.add(3, [found], labels)
    label_report.add(labels, {1})
    report = printed(
        Outcome(
            summary,
            label_report,
            seconds=0.5,
            counts=Counter(accepted=3),
            formats=Counter(ndjson=1),
            model_version="m1",
            threshold=-0.6,
        )
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
        "ndjson",
        "1 (33.33%): 1 critical",
        "300 MiB",
        "m1, -0.6000",
    ):
        assert words in report


def test_a_report_without_anomalies_has_totals_only():
    summary = Summary(top=10)
    summary.add(1, [], {})
    report = printed(Outcome(summary, counts=Counter(accepted=1), threshold=-0.61))
    assert "No log was flagged: none scores below -0.6100." in report
    assert "Totals" in report
    assert "Users and addresses" not in report


def test_a_report_without_a_model_says_so():
    report = printed(Outcome(Summary(top=10), counts=Counter(accepted=7)))
    assert "The service has no model yet: it keeps the logs, and examined none." in report


def test_a_log_cannot_write_markup_or_control_the_terminal():
    summary = Summary(top=10)
    user, text = "[red]eve[/] \x1b[31m\x07\r\n", "[bold]x\x1b]0;title\x07"
    summary.add(1, [anomaly(1, user, text=text)], {})
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
