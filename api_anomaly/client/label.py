"""What a labelled file knows about a log. Used in reports, never sent to the service."""

import json
from typing import NamedTuple

from api_anomaly.logs.formats.format import Value
from api_anomaly.logs.formats.normalize import USER_LENGTH, text


class Label(NamedTuple):
    """The label of one log."""

    is_attack: bool | None  # None = unknown
    attack: str | None  # family of the attack
    actor: str | None  # who sent the request, where the file says so
    case: str | None  # simulated files: which hard case of benign behaviour

    @property
    def description(self) -> str:
        """`attack: FAMILY`, `benign`, `benign: CASE` or `unknown`."""
        if self.is_attack is None:
            return "unknown"
        if self.is_attack:
            return f"attack: {self.attack or 'unnamed'}"
        return f"benign: {self.case}" if self.case else "benign"


def label_of(value: Value) -> Label | None:
    """The label of a decoded record or of a line with one; None without a label."""
    if isinstance(value, str):
        value = _decode(value) if '"label"' in value else None
    if not isinstance(value, dict) or "label" not in value:
        return None
    label = value["label"]
    return Label(
        is_attack=bool(label) if label in (0, 1) and isinstance(label, (int, float)) else None,
        attack=text(value.get("attack"), USER_LENGTH),
        actor=text(value.get("actor"), USER_LENGTH),
        case=text(value.get("case"), USER_LENGTH),
    )


def _decode(line: str) -> Value:
    try:
        value: Value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value
