"""Long histories from a few simulated days, repeated on later dates."""

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any


def history(logs: Sequence[dict[str, Any]], count: int) -> bytes:
    """The body of a /train with `count` logs."""
    return b'{"logs":[' + b",".join(_texts(logs, count)) + b"]}"


def split_history(
    logs: Sequence[dict[str, Any]], count: int, size: int, first: int = 0
) -> Iterator[bytes]:
    """The same logs from number `first` on, in bodies of `size`, the last one smaller."""
    texts = list(_texts(logs, first + count))[first:]
    for start in range(0, count, size):
        yield b'{"logs":[' + b",".join(texts[start : start + size]) + b"]}"


def _texts(logs: Sequence[dict[str, Any]], count: int) -> Iterator[bytes]:
    """Each log as JSON; after all have been used they repeat, shifted by whole days."""
    days = [date.fromisoformat(log["timestamp"][:10]) for log in logs]
    span = timedelta(days=(max(days) - min(days)).days + 1)
    # Each log is encoded once; only the ten characters of its date change.
    pieces = [json.dumps(log, separators=(",", ":")).encode() for log in logs]
    halves = [
        piece.split(log["timestamp"][:10].encode(), 1)
        for piece, log in zip(pieces, logs, strict=True)
    ]
    for number in range(count):
        round_, row = divmod(number, len(logs))
        before, after = halves[row]
        yield before + (days[row] + round_ * span).isoformat().encode() + after
