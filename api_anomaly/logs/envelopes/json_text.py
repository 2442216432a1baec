"""JSON bodies of envelopes: decoded to a type, or one value after the other."""

import json
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, check_text
from api_anomaly.logs.formats.format import Value

T = TypeVar("T")
_DECODER = json.JSONDecoder()


def decode_as(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Raises EnvelopeBroken.

    What msgspec refuses inside texts (bytes that are no UTF-8, half a surrogate pair) is read by
    the standard library: one client's odd user agent must not cost the batch.
    """
    check_text(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        pass
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"))
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise EnvelopeBroken(f"not what the protocol says: {error}") from None
    except (ValueError, RecursionError):
        raise EnvelopeBroken("not JSON") from None


def values(body: bytes) -> Iterator[Value]:
    """JSON values one after the other, with or without blanks between. Raises EnvelopeBroken at
    the first that is none."""
    text = body.decode("utf-8-sig", "replace")
    position = _skip_blanks(text, 0)
    while position < len(text):
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            raise EnvelopeBroken("not JSON") from None
        yield value
        position = _skip_blanks(text, position)


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
