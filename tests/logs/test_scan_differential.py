"""Scanned or read by Pydantic, a body means the same: the same columns to the bit, the same logs
and options, the same refusal."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings

from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.logs.decode import Decoder, Detection, History
from api_anomaly.errors import BatchTooLarge, Invalid
from tests.support.wild_json import bodies

SHORT, LONG = Decoder(3, 3), Decoder(3, 3, scans=False)


def plain(columns: Columns) -> list[Any]:
    """All that columns hold, to the bit."""
    arrays: list[Any] = []
    for name in Columns.__dataclass_fields__:
        value = getattr(columns, name)
        arrays += list(value) if isinstance(value, Texts) else [value]
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays)
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays]


def outcome(read: Callable[[bytes], Detection | History], body: bytes) -> Any:
    """What a reader makes of a body, in a form that can be compared."""
    try:
        found = read(body)
    except Invalid as refusal:
        return refusal.items, refusal.more
    except BatchTooLarge as refusal:
        return str(refusal)
    columns, other, *rest = found
    told = list(other) if isinstance(found, Detection) else other.tobytes()
    return plain(columns), told, [repr(value) for value in rest]


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(bodies())
@example(b'\xef\xbb\xbf{"logs": []}')
@example(b'{"logs": [], "logs": []}')
@example(b'{"logs": []}{}')
@example(b'{"logs": [],}')
@example(b'{"logs": [{}]}')
@example(b'{"logs": [' + b'{"a":' * 150 + b"1" + b"}" * 150 + b"]}")
@example(b'{"x": "\xed\xa0\x80", "logs": []}')
@example(b'{"logs": [], "x": "\xf4\x90\x80\x80"}')
def test_a_body_means_the_same_scanned_or_not(body: bytes) -> None:
    for kind in ("detection", "history"):
        assert outcome(getattr(SHORT, kind), body) == outcome(getattr(LONG, kind), body)
