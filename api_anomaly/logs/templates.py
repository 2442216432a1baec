"""Parsing an endpoint (path and query): its template, its shape, its last number; keys of texts.

A template is the path with identifiers folded, so that ``/users/17/orders`` and
``/users/42/orders`` have the same one: in each segment a run of digits becomes one ``0``, and a
segment that is a UUID, a long hexadecimal number or a long mixed token becomes one ``{id}``; these
hold letters, so that a plain number is a ``0`` however long it is. The query is not part of the
template; the whole endpoint, query included, is the URL that a log asks for. No rule here knows the
words of any attack.

Keys are 64-bit FNV-1a (Fowler, Noll, Vo) with the finaliser of MurmurHash3 (Appleby). Two different
texts share a key with probability 2^-64 a pair; a collision would merge two records, never crash.
"""

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_ID = np.uint64(0xFFF1)  # a folded identifier in a template's key
_LONG_HEX, _LONG_TOKEN = 8, 20  # from these lengths on a segment with digits is an identifier

# A class for each byte, so that parsing takes one table look-up a byte.
PLAIN, DIGIT, HEX, SLASH, QUERY, AMPERSAND, EQUALS, DASH, UNUSUAL = range(9)
_CLASSES = np.full(256, UNUSUAL, np.uint8)
for _characters, _class in (
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.~+,:@!*", PLAIN),
    ("abcdefABCDEF", HEX),
    ("0123456789", DIGIT),
    ("/", SLASH),
    ("?", QUERY),
    ("&;", AMPERSAND),
    ("=", EQUALS),
    ("-", DASH),
):
    _CLASSES[np.frombuffer(_characters.encode(), np.uint8)] = _class

Bytes = NDArray[np.uint8]


@kernel
def mix(key: np.uint64) -> np.uint64:
    """Spread a 64-bit number over all its bits (MurmurHash3's finaliser)."""
    key = (key ^ (key >> _SHIFT)) * _MIX1
    key = (key ^ (key >> _SHIFT)) * _MIX2
    return key ^ (key >> _SHIFT)


@kernel
def join(first: np.uint64, second: np.uint64) -> np.uint64:
    """One key of two; their order matters."""
    return mix((first * _PRIME) ^ (second + _OFFSET))


@kernel
def text_key(data: Bytes, start: int, stop: int, salt: int) -> np.uint64:
    """Key of the bytes data[start:stop]; texts of different kinds take different salts."""
    key = _OFFSET ^ np.uint64(salt)
    for position in range(start, stop):
        key = (key ^ np.uint64(data[position])) * _PRIME
    return mix(key)


@kernel
def agent_family(data: Bytes, start: int, stop: int) -> np.uint64:
    """Key of a user agent without its versions: digits, dots and underscores do not count."""
    key = _OFFSET
    for position in range(start, stop):
        byte = data[position]
        if not (48 <= byte <= 57 or byte == 46 or byte == 95):
            key = (key ^ np.uint64(byte)) * _PRIME
    return mix(key)


@kernel
def is_identifier(length: int, digits: int, hexes: int, others: int, letters: int) -> bool:
    """Whether a segment with so many characters of each class is an identifier."""
    if digits == 0 or letters == 0 or others > 0:
        return False
    if letters == hexes and length >= _LONG_HEX:
        return True
    return length >= _LONG_TOKEN and digits >= 3


@kernel
def read_path(data: Bytes, start: int, stop: int) -> tuple[np.uint64, int, int]:
    """Of the endpoint data[start:stop]: (template key, end of the path, depth in segments)."""
    template, depth, position = _OFFSET, 0, start
    while position < stop and _CLASSES[data[position]] != QUERY:
        segment, length, digits, hexes, letters, others, last = _OFFSET, 0, 0, 0, 0, 0, -1
        while position < stop:
            byte = data[position]
            kind = _CLASSES[byte]
            if kind == SLASH or kind == QUERY:
                break
            if kind != DIGIT or last != DIGIT:
                segment = (segment ^ np.uint64(48 if kind == DIGIT else byte)) * _PRIME
            digits += kind == DIGIT
            hexes += kind == HEX
            letters += kind == HEX or kind == PLAIN
            others += kind == UNUSUAL
            length += 1
            last = kind
            position += 1
        if length > 0:
            depth += 1
            folded = is_identifier(length, digits, hexes, others, letters)
            template = (template ^ (_ID if folded else mix(segment))) * _PRIME
        if position < stop and _CLASSES[data[position]] == SLASH:
            position += 1
    return mix(template), position, depth


@kernel
def read_shape(data: Bytes, start: int, stop: int, path_end: int) -> tuple[int, int, int, float]:
    """Of the endpoint data[start:stop], whose path ends at `path_end`: (parameters, unusual
    characters, longest run between separators, last number or -1).
    """
    parameters, unusual, longest, run = 0, 0, 0, 0
    number, value, in_number = -1.0, 0.0, False
    for position in range(start, stop):
        kind = _CLASSES[data[position]]
        unusual += kind == UNUSUAL
        separator = kind == SLASH or kind == QUERY or kind == AMPERSAND or kind == EQUALS
        run = 0 if separator else run + 1
        longest = max(longest, run)
        if position >= path_end and (kind == QUERY or kind == AMPERSAND):
            parameters += 1
        if kind == DIGIT:
            value = (value * 10.0 if in_number else 0.0) + (data[position] - 48)
            in_number = True
            number = value
        else:
            in_number = False
    return parameters, unusual, longest, number
