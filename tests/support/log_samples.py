"""The samples of log formats beside the project, and what reading them has to give."""

import ipaddress
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from api_anomaly.logs.formats.read import ReadResult
from tests.support.paths import DATA

SAMPLES = DATA / "formats"
CASES = DATA / "cases"


def sample(name: str) -> Path:
    """A file of the samples; skips the test where the folder is absent."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the sample {name} is not next to this project")
    return path


def check(name: str, result: ReadResult) -> None:
    """Assert that `result` is what `NAME.expected.json` says (the README there: how it is read)."""
    logs = {
        position: log
        for position, log in zip(result.records.position, result.records.as_dicts(), strict=True)
    }
    expectations = json.loads((SAMPLES / f"{name}.expected.json").read_text())
    wrong = [text for item in expectations for text in _differences(item, logs.get(item["line"]))]
    assert not wrong, "\n".join([*wrong, str(result[1:])])


def _differences(item: dict[str, Any], log: dict[str, Any] | None) -> list[str]:
    wanted = item["any_of"] if "any_of" in item else [item["expected"]]
    if item.get("optional") and (log is None or item.get("expected") is None):
        return [] if log is None or log["method"] == log["endpoint"] == "-" else ["read"]
    found = [_compare(item["line"], expected, log) for expected in wanted]
    return min(found, key=len)


def _compare(line: int, expected: dict[str, Any] | None, log: dict[str, Any] | None) -> list[str]:
    if expected is None or log is None:
        return [] if expected is log else [f"line {line}: {log} instead of {expected}"]
    return [
        f"line {line}: {name} is {log[name]!r}, not {value!r}"
        for name, value in expected.items()
        if not _is_one_of(name, value, log[name])
    ]


def _is_one_of(name: str, wanted: Any, found: Any) -> bool:
    values = wanted["any_of"] if isinstance(wanted, dict) else [wanted]
    return any(_is_same(name, value, found) for value in values)


def _is_same(name: str, wanted: Any, found: Any) -> bool:
    if wanted is None or found is None:
        return wanted is found
    if name == "timestamp":
        apart = datetime.fromisoformat(wanted) - datetime.fromisoformat(found)
        return abs(apart.total_seconds()) <= 1e-6
    if name == "ip_address":
        return ipaddress.ip_address(wanted) == ipaddress.ip_address(found)
    if isinstance(wanted, (int, float)):
        return math.isclose(wanted, found, rel_tol=1e-6)
    return bool(wanted == found)
