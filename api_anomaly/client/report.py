"""The report for people. Texts of the log pass through `safe`: attackers write some of them."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api_anomaly.logs.formats.fields import Value
from api_anomaly.client.replay import Outcome
from api_anomaly.client.summary import SEVERITIES, Group
from api_anomaly.client.labels import Family, LabelReport

_COLOURS = {"low": "white", "medium": "yellow", "high": "dark_orange", "critical": "bold red"}
_MISSED_SHOWN = 8


def safe(value: object, length: int) -> Text:
    """Printable characters only, cut in the middle to `length`; markup in it means nothing."""
    words = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )
    if len(words) > length:
        keep = (length - 1) // 2
        words = words[: length - 1 - keep] + "\N{HORIZONTAL ELLIPSIS}" + words[-keep:]
    return Text(words)


def print_report(console: Console, outcome: Outcome, memory_bytes: float | None) -> None:
    """Who stands out, the worst single logs, what the labels say, and the totals."""
    if outcome.tally.groups:
        console.print(_groups(outcome))
        console.print(_logs(outcome))
    elif outcome.tally.logs:
        console.print(f"No log was flagged: none scores below {_short(outcome.threshold)}.")
        console.print("A higher threshold (--threshold of scripts/replay) flags more.")
    if outcome.label_report.labelled:
        print_truths(console, outcome.label_report)
    console.print(_pairs("Totals", total_rows(outcome, memory_bytes)))


def _table(title: str, *columns: str) -> Table:
    """Columns keep their words on one line; the last one takes the room that is left, and wraps."""
    table = Table(title=title, title_justify="left", box=box.ROUNDED, show_lines=True)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    return table


def _groups(outcome: Outcome) -> Table:
    shown = outcome.tally.top_groups()
    table = _table(
        f"Users and addresses with anomalies: {len(shown)} of {len(outcome.tally.groups):,}",
        *("user or address", "worst", "flagged", "from - to (UTC), most frequent reason"),
    )
    for group in shown:
        table.add_row(
            safe(group.name, 22),
            _severity(group.severity, group.risk),
            f"{group.flagged:,} of {outcome.tally.seen[group.name]:,}",
            Text("\n").join(_group_lines(group)),
        )
    return table


def _group_lines(group: Group) -> list[Text]:
    lines = [_span(group.first, group.last), safe(group.reason, 160)]
    if group.labels:
        counts = (f"{words} ({count:,})" for words, count in group.labels.most_common(3))
        lines.append(safe("labelled " + ", ".join(counts), 160))
    return lines


def _logs(outcome: Outcome) -> Table:
    table = _table("The most anomalous single logs", "user or address", "worst", "what and why")
    for anomaly in outcome.tally.top_logs():
        name = safe(anomaly["user_id"] or anomaly["ip_address"], 22)
        request = f"{anomaly['status_code']} {anomaly['method']} {anomaly['endpoint']}"
        reasons = (str(reason["text"]) for reason in anomaly["reasons"][:2])
        table.add_row(
            Text("\n").join([name, _clock(anomaly["timestamp"])]),
            _severity(anomaly["severity"], anomaly["risk"]),
            Text("\n").join(
                [
                    safe(f"line {anomaly['line']:,}: {request}", 120),
                    *(safe(r, 160) for r in reasons),
                ]
            ),
        )
    return table


def print_truths(console: Console, label_report: LabelReport) -> None:
    """What the labels of the file say about the verdicts."""
    families = label_report.families()
    if families:
        console.print(_families(families))
    figures = label_report.figures()
    console.print(_pairs("Measured against the labels", _figure_rows(figures)))


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
            safe(family.name, 22),
            f"{family.actors_found:,} of {family.actors:,}",
            f"{family.logs_flagged:,} of {family.logs:,}",
            "-" if family.until_found is None else f"{family.until_found:g}",
            safe(named + (f" and {more:,} more" if more > 0 else ""), 200),
        )
    return table


def _figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("attack logs flagged (recall)", _part(figures, "attack_logs_flagged", "attack_logs")),
        ("attackers flagged at least once", _part(figures, "attackers_found", "attackers")),
        ("flagged logs that are attacks (precision)", _percent(figures["precision"])),
        ("ordinary logs flagged (false alarms)", _part(figures, "false_alarms", "ordinary_logs")),
        (
            "  of these by attackers, beside their attack",
            f"{figures['false_alarms_of_attackers']:,}",
        ),
        ("  by hard case of the simulation", _cases(figures["false_alarm_cases"])),
        (
            "ordinary users or addresses ever flagged",
            _part(figures, "ordinary_actors_alarmed", "ordinary_actors"),
        ),
        ("logs without a known label, left out", f"{figures['unknown_logs']:,}"),
    ]


def _pairs(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=box.ROUNDED)
    for row in rows:
        table.add_row(*row)
    return table


def total_rows(outcome: Outcome, memory_bytes: float | None) -> list[tuple[str, str]]:
    """The totals as (name, words)."""
    tally, training = outcome.tally, outcome.training
    rows: list[tuple[str, str]] = []
    if training is not None:
        accuracy = training.answer["model_accuracy"]
        rows.append(("trained on", f"{training.used:,} logs in {outcome.train_seconds:.1f} s"))
        rows.append(("share of held-out logs left unflagged", _percent(accuracy)))
    rate = tally.anomalies / tally.logs if tally.logs else None
    speed = f"{tally.logs / outcome.detect_seconds:,.0f} logs/s" if outcome.detect_seconds else "-"
    severities = ", ".join(f"{tally.severities[name]:,} {name}" for name in reversed(SEVERITIES))
    rows += [
        (
            "logs examined",
            f"{tally.logs:,} in {outcome.detect_seconds:.1f} s ({speed}, with reading and HTTP)",
        ),
        ("anomalies", f"{tally.anomalies:,} ({_percent(rate)}): {severities}"),
        ("model, threshold", f"{outcome.model_version}, {_short(outcome.threshold)}"),
        ("model confidence", _percent(outcome.confidence)),
    ]
    if memory_bytes is not None:
        rows.append(("memory of the service", f"{memory_bytes / 2**20:,.0f} MiB"))
    return rows


def _severity(severity: str, risk: float) -> Text:
    return Text(f"{severity} {float(risk):.0f}", style=_COLOURS.get(severity, ""))


def _clock(moment: Value) -> Text:
    return Text(str(moment)[:19].replace("T", " "))


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
