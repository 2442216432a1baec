"""What a labelled file knows about a log. Used in reports; the service ignores labels."""

import json
from typing import NamedTuple

from api_anomaly.logs.formats.format import Value
from api_anomaly.logs.formats.normalize import USER_LENGTH, text


class Label(NamedTuple):
    """The label of one log."""

    is_attack: bool | None  # None = unknown
    attack: str | None  # family of the attack
    actor: str  # who sent the request: as the file says, else the user, else the address
    case: str | None  # simulated files: which hard case of benign behaviour

    @property
    def description(self) -> str:
        """`attack: FAMILY`, `benign`, `benign: CASE` or `unknown`."""
        if self.is_attack is None:
            return "unknown"
        if self.is_attack:
            return f"attack: {self.attack or 'unnamed'}"
        return f"benign: {self.case}" if self.case else "benign"


def label_of(line: bytes) -> Label | None:
    """The label of a line that is a JSON object with one; None without a label."""
    record = _decode(line) if b'"label"' in line else None
    if not isinstance(record, dict) or "label" not in record:
        return None
    label = record["label"]
    names = (text(record.get(name), USER_LENGTH) for name in ("actor", "user_id", "ip_address"))
    return Label(
        is_attack=bool(label) if label in (0, 1) and isinstance(label, (int, float)) else None,
        attack=text(record.get("attack"), USER_LENGTH),
        actor=next(filter(None, names), "-"),
        case=text(record.get("case"), USER_LENGTH),
    )


def _decode(line: bytes) -> Value:
    try:
        value: Value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value
