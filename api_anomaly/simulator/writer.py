"""Traffic as NDJSON, one log a line, and as a summary for readers."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from api_anomaly.simulator.attacks import ATTACKS
from api_anomaly.simulator.events import CASES
from api_anomaly.simulator.simulation import Traffic

LINES_AT_ONCE = 2_000


def write_logs(traffic: Traffic, path: Path, labels: bool = True) -> int:
    """Write all logs to a file, gzipped when its name ends in .gz; returns the bytes on disk.

    Equal traffic gives equal bytes: the gzip header carries neither time nor name.
    Raises OSError when the file cannot be written.
    """
    with path.open("wb") as file:
        if path.suffix != ".gz":
            _write_lines(traffic, file, labels)
        else:
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                _write_lines(traffic, packed, labels)
    return path.stat().st_size


def _write_lines(traffic: Traffic, file: BinaryIO | gzip.GzipFile, labels: bool) -> None:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    lines: list[str] = []
    for log in traffic.each(labels):
        lines.append(encode(log))
        if len(lines) == LINES_AT_ONCE:
            file.write(("\n".join(lines) + "\n").encode())
            lines.clear()
    if lines:
        file.write(("\n".join(lines) + "\n").encode())


def summary(traffic: Traffic) -> str:
    """A table of actors and logs: benign ones by role, hard cases, attack families."""
    actors = [traffic.actors[index] for index in traffic.actor.tolist()]
    seen = {actor.id: actor for actor in actors}
    logs = Counter(actor.attack or actor.role for actor in actors)
    people = Counter(actor.attack or actor.role for actor in seen.values())
    families = [name for name in ATTACKS if logs[name]]
    cases = Counter(list(CASES)[index] for index in traffic.case.tolist())
    rows = [("benign, by role", "actors", "logs")]
    rows += [(f"  {k}", f"{people[k]:,}", f"{n:,}") for k, n in _ordered(logs) if k not in ATTACKS]
    rows.append(("hard cases among them", "", ""))
    rows += [(f"  {name}", "", f"{count:,}") for name, count in _ordered(cases) if name]
    rows.append(("attacks, by family", "", ""))
    rows += [(f"  {name}", f"{people[name]:,}", f"{logs[name]:,}") for name in families]
    early, hostile = traffic.training, traffic.label == 1
    attackers = sum(people[name] for name in families)
    rows.append(("all", f"{len(seen):,}", f"{len(traffic):,}"))
    rows.append(("all attacks", f"{attackers:,}", f"{int(hostile.sum()):,}"))
    rows.append(("training part", "", f"{int(early.sum()):,}"))
    rows.append(("attacks in the training part", "", f"{int((early & hostile).sum()):,}"))
    return "\n".join(f"{name:<30}{count:>8}{number:>10}".rstrip() for name, count, number in rows)


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most first, equal ones by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
