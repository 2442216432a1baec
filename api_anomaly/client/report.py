"""The printed report. Texts of the log pass through `printable`: attackers write some of them."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api_anomaly.logs.formats.format import Value
from api_anomaly.client.ingestion import Outcome
from api_anomaly.client.summary import SEVERITIES, Group
from api_anomaly.client.training import Training
from api_anomaly.client.labels import Family, LabelReport

_COLOURS = {"low": "white", "medium": "yellow", "high": "dark_orange", "critical": "bold red"}
_MISSED_SHOWN = 8


def printable(value: object, length: int) -> Text:
    """Printable characters only, shortened in the middle to `length`; markup is not interpreted."""
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in str(value)
    )
    if len(text) > length:
        keep = (length - 1) // 2
        text = text[: length - 1 - keep] + "\N{HORIZONTAL ELLIPSIS}" + text[-keep:]
    return Text(text)


def print_report(console: Console, outcome: Outcome, memory_bytes: float | None) -> None:
    """Print the anomalies by user, the worst single logs, the figures of the labels, the totals."""
    if outcome.summary.groups:
        console.print(_groups(outcome))
        console.print(_logs(outcome))
    elif outcome.summary.logs:
        console.print(f"No log was flagged: none scores below {_short(outcome.threshold)}.")
    if outcome.counts["accepted"] and not outcome.summary.logs:
        console.print("The service has no model yet: it keeps the logs, and examined none.")
    if outcome.label_report.labelled:
        print_label_report(console, outcome.label_report)
    print_pairs(console, "Totals", total_rows(outcome, memory_bytes))


def _table(title: str, *columns: str) -> Table:
    """No column wraps but the last one, which takes the remaining width."""
    table = Table(title=title, title_justify="left", box=box.ROUNDED, show_lines=True)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    return table


def _groups(outcome: Outcome) -> Table:
    shown = outcome.summary.top_groups()
    table = _table(
        f"Users and addresses with anomalies: {len(shown)} of {len(outcome.summary.groups):,}",
        *("user or address", "worst", "flagged", "from - to (UTC), most frequent reason"),
    )
    for group in shown:
        table.add_row(
            printable(group.name, 22),
            _severity(group.severity, group.risk),
            f"{group.flagged:,}",
            Text("\n").join(_group_lines(group)),
        )
    return table


def _group_lines(group: Group) -> list[Text]:
    lines = [_span(group.first, group.last), printable(group.reason, 160)]
    if group.labels:
        counts = (f"{label} ({count:,})" for label, count in group.labels.most_common(3))
        lines.append(printable("labelled " + ", ".join(counts), 160))
    return lines


def _logs(outcome: Outcome) -> Table:
    table = _table("The most anomalous single logs", "user or address", "worst", "what and why")
    for anomaly in outcome.summary.top_logs():
        name = printable(anomaly["user_id"] or anomaly["ip_address"], 22)
        request = f"{anomaly['status_code']} {anomaly['method']} {anomaly['endpoint']}"
        reasons = (str(reason["text"]) for reason in anomaly["reasons"][:2])
        table.add_row(
            Text("\n").join([name, _clock(anomaly["timestamp"])]),
            _severity(anomaly["severity"], anomaly["risk"]),
            Text("\n").join(
                [
                    printable(f"line {anomaly['line']:,}: {request}", 120),
                    *(printable(r, 160) for r in reasons),
                ]
            ),
        )
    return table


def print_label_report(console: Console, label_report: LabelReport) -> None:
    """Print the detections against the labels of the file."""
    families = label_report.families()
    if families:
        console.print(_families(families))
    figures = label_report.figures()
    print_pairs(console, "Measured against the labels", _figure_rows(figures))


def _families(families: list[Family]) -> Table:
    table = _table(
        "Attacks in the file: attackers found and missed",
        *("attack", "found", "logs flagged", "after", "attackers never flagged"),
    )
    table.caption = "after: attack logs of a found attacker up to its first anomaly, median"
    for family in families:
        named = ", ".join(family.missed[:_MISSED_SHOWN])
        more = len(family.missed) - _MISSED_SHOWN
        table.add_row(
            printable(family.name, 22),
            f"{family.actors_found:,} of {family.actors:,}",
            f"{family.logs_flagged:,} of {family.logs:,}",
            "-" if family.logs_until_found is None else f"{family.logs_until_found:g}",
            printable(named + (f" and {more:,} more" if more > 0 else ""), 200),
        )
    return table


def _figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("attack logs flagged (recall)", _part(figures, "attack_logs_flagged", "attack_logs")),
        ("attackers flagged at least once", _part(figures, "attackers_found", "attackers")),
        ("flagged logs that are attacks (precision)", _percent(figures["precision"])),
        ("benign logs flagged (false positives)", _part(figures, "false_positives", "benign_logs")),
        (
            "  of these, benign logs of attackers",
            f"{figures['false_positives_of_attackers']:,}",
        ),
        ("  by hard case of the simulation", _cases(figures["false_positive_cases"])),
        (
            "benign users or addresses ever flagged",
            _part(figures, "benign_actors_flagged", "benign_actors"),
        ),
        ("logs without a known label, not counted", f"{figures['unknown_logs']:,}"),
    ]


def print_pairs(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    """Print a table of (name, text)."""
    table = Table(title=title, title_justify="left", show_header=False, box=box.ROUNDED)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def total_rows(outcome: Outcome, memory_bytes: float | None) -> list[tuple[str, str]]:
    """The totals as (name, text)."""
    summary = outcome.summary
    rows = training_rows(outcome.training) if outcome.training is not None else []
    rate = summary.anomalies / summary.logs if summary.logs else None
    counts = outcome.counts
    speed = f"{counts['accepted'] / outcome.seconds:,.0f} logs/s" if outcome.seconds else "-"
    severities = ", ".join(f"{summary.severities[name]:,} {name}" for name in reversed(SEVERITIES))
    rows += [
        ("format", outcome.format or "-"),
        (
            "logs sent",
            f"{counts['accepted']:,} in {outcome.seconds:.1f} s ({speed}, with reading and HTTP)",
        ),
        ("logs examined", f"{summary.logs:,}"),
        ("lines left out, no logs", f"{outcome.lines.bad:,}"),
        ("anomalies", f"{summary.anomalies:,} ({_percent(rate)}): {severities}"),
        ("model, threshold", f"{outcome.model_version or '-'}, {_short(outcome.threshold)}"),
    ]
    if memory_bytes is not None:
        rows.append(("memory of the service", f"{memory_bytes / 2**20:,.0f} MiB"))
    return rows


def training_rows(training: Training) -> list[tuple[str, str]]:
    """A training as (name, text)."""
    return [
        ("trained on", f"{training.used:,} logs in {training.seconds:.1f} s"),
        ("held-out logs not flagged", _percent(training.answer["model_accuracy"])),
    ]


def _severity(severity: str, risk: float) -> Text:
    return Text(f"{severity} {float(risk):.0f}", style=_COLOURS.get(severity, ""))


def _clock(timestamp: Value) -> Text:
    return Text(str(timestamp)[:19].replace("T", " "))


def _span(first: str, last: str) -> Text:
    begin, end = _clock(first).plain[:16], _clock(last).plain[:16]
    if begin == end:
        return Text(begin)
    return Text(f"{begin} - {end[11:] if begin[:10] == end[:10] else end}")


def _part(figures: dict[str, Any], part: str, whole: str) -> str:
    share = figures[part] / figures[whole] if figures[whole] else None
    return f"{figures[part]:,} of {figures[whole]:,} ({_percent(share)})"


def _cases(cases: dict[str, int]) -> str:
    return ", ".join(f"{case} {count:,}" for case, count in cases.items()) or "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"
