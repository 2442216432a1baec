"""The table of all log formats, and the detection of the format of a sample."""

from collections.abc import Sequence

from api_anomaly.logs.formats import access_log, aws_alb, json_lines
from api_anomaly.logs.formats.format import Format

#: By name. Where two formats fit a sample equally well, the first one is taken.
FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        json_lines.JSON_LINES,
        aws_alb.ALB,
        access_log.COMBINED,
        access_log.COMMON,
    )
}


def detect_format(lines: Sequence[str]) -> Format | None:
    """The format that fits most of these lines; None if none fits more than half of them."""
    counts = {name: row.sniff(lines) for name, row in FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    return FORMATS[best] if counts[best] * 2 > len(lines) else None
