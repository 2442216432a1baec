"""Reading the valid logs of a body of which others are invalid: ``"on_invalid": "skip"``.

What one request can put into a log must not cost the others: bytes that are not UTF-8, control
characters and escapes that JSON does not know (``\\x22``, as nginx writes it) are repaired, and a
log that is still invalid is left out.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw
from pydantic import ValidationError

from api_anomaly.logs.fast_path import LOG, DetectOptions
from api_anomaly.logs.schema import ACTOR_MISSING, Log

#: Control characters are white space in JSON or, in a text, not allowed: a space is valid in both.
_CONTROLS = bytes(32 if byte < 32 else byte for byte in range(256))
#: A backslash and what it escapes: half a surrogate pair is group 1, nothing that JSON knows is 2.
_ESCAPE = re.compile(
    rb'\\(?:["\\/bfnrt]'
    rb"|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|())"
)
_MAX_FAULTS = 3


class InvalidLog(NamedTuple):
    """A log that was left out: its position in the request, and why."""

    position: int
    reason: str


class Skipped(NamedTuple):
    """The logs that were left out, and the positions in the request of the others."""

    positions: Sequence[int]
    invalid: Sequence[InvalidLog]


class ValidLogs(NamedTuple):
    """The valid logs of a body and its options."""

    options: DetectOptions
    logs: list[Log]
    skipped: Skipped


class _SkipStruct(DetectOptions, kw_only=True):
    logs: list[Raw]
    on_invalid: Literal["skip"]


_BODY = msgspec.json.Decoder(_SkipStruct)


def read_valid(body: bytes, max_logs: int) -> ValidLogs | None:
    """The valid logs of a body that asks for them, about 5 µs a log; None if it does not ask, if it
    is broken outside of its logs or if it has too many."""
    if b'"on_invalid"' not in body:
        return None
    try:
        options = _BODY.decode(_repaired(body))
    except (ValueError, RecursionError):
        return None
    if len(options.logs) > max_logs:
        return None
    logs: list[Log] = []
    positions: list[int] = []
    invalid: list[InvalidLog] = []
    for index, log in enumerate(options.logs):
        try:
            logs.append(LOG.validate_json(bytes(log)))
        except ValidationError as error:
            invalid.append(InvalidLog(index, _reason(error)))
        else:
            positions.append(index)
    return ValidLogs(options, logs, Skipped(positions, invalid))


def _repaired(body: bytes) -> bytes:
    """The body as JSON in UTF-8, whatever bytes its texts hold. Valid JSON keeps its meaning."""
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    body = body.translate(_CONTROLS)
    return _ESCAPE.sub(_escape, body) if b"\\" in body else body


def _escape(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        return rb"\ufffd"
    return found[0] if found[2] is None else rb"\\"


def _reason(error: ValidationError) -> str:
    """The first faults of a log, without its values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    texts = []
    for fault in faults[:_MAX_FAULTS]:
        where = "user_id" if fault["type"] == ACTOR_MISSING else ".".join(map(str, fault["loc"]))
        texts.append(f"{where}: {fault['msg']}" if where else fault["msg"])
    more = len(faults) - len(texts)
    return "; ".join(texts) + (f"; {more} more" if more else "")
