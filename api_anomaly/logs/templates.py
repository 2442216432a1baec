"""Reading an endpoint: its template, its object, its last number and its shape; and keys for texts.

A template is the path with identifiers folded, so that ``/users/17/orders`` and
``/users/42/orders`` are one place: in each segment a run of digits becomes one ``0``, and a
segment that is a UUID, a long hexadecimal number or a long mixed token becomes one ``{id}``; these
hold letters, so that a plain number is a ``0`` however long it is. The query is not part of the
template; the whole endpoint, query included, is the *object* that a log asks for. Nothing here
looks for the words of any attack.

Keys are 64-bit FNV-1a with a final avalanche (Fowler, Noll, Vo; the finaliser is MurmurHash3's).
Two different texts share a key with probability 2^-64 each pair; a collision would merge two
pasts, never crash.
"""

import numpy as np

from api_anomaly.kernels import kernel

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_ID = np.uint64(0xFFF1)  # stands for a folded identifier in a template's key
_LONG_HEX, _LONG_TOKEN = 8, 20  # from these lengths on a segment with digits is an identifier

# One class per byte, so that reading an endpoint is one table look-up a byte.
PLAIN, DIGIT, HEX, SLASH, QUERY, AMPERSAND, EQUALS, DASH, ODD = range(9)
_CLASSES = np.full(256, ODD, np.uint8)
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


@kernel
def mix(key):  # type: ignore[no-untyped-def]
    """Spread a 64-bit number over all its bits (MurmurHash3's finaliser)."""
    key = (key ^ (key >> _SHIFT)) * _MIX1
    key = (key ^ (key >> _SHIFT)) * _MIX2
    return key ^ (key >> _SHIFT)


@kernel
def join(first, second):  # type: ignore[no-untyped-def]
    """One key of two, order matters."""
    return mix((first * _PRIME) ^ (second + _OFFSET))


@kernel
def text_key(data, start, stop, salt):  # type: ignore[no-untyped-def]
    """Key of the bytes data[start:stop]; texts of different kinds take different salts."""
    key = _OFFSET ^ np.uint64(salt)
    for position in range(start, stop):
        key = (key ^ np.uint64(data[position])) * _PRIME
    return mix(key)


@kernel
def agent_family(data, start, stop):  # type: ignore[no-untyped-def]
    """Key of a user agent without its versions: digits, dots and underscores do not count."""
    key = _OFFSET
    for position in range(start, stop):
        byte = data[position]
        if not (48 <= byte <= 57 or byte == 46 or byte == 95):
            key = (key ^ np.uint64(byte)) * _PRIME
    return mix(key)


@kernel
def is_identifier(length, digits, hexes, others, letters):  # type: ignore[no-untyped-def]
    """Whether a segment of such characters names one object rather than a place."""
    if digits == 0 or letters == 0 or others > 0:
        return False
    if letters == hexes and length >= _LONG_HEX:
        return True
    return length >= _LONG_TOKEN and digits >= 3


@kernel
def read_path(data, start, stop):  # type: ignore[no-untyped-def]
    """The template's key, where the path ends and its depth in segments."""
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
            others += kind == ODD
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
def read_shape(data, start, stop, path_end):  # type: ignore[no-untyped-def]
    """Shape of a whole endpoint whose path ends at `path_end`: (parameters, odd characters, longest
    run between separators, last number or -1).
    """
    parameters, odd, longest, run = 0, 0, 0, 0
    number, value, inside = -1.0, 0.0, False
    for position in range(start, stop):
        kind = _CLASSES[data[position]]
        odd += kind == ODD
        separator = kind == SLASH or kind == QUERY or kind == AMPERSAND or kind == EQUALS
        run = 0 if separator else run + 1
        longest = max(longest, run)
        if position >= path_end and (kind == QUERY or kind == AMPERSAND):
            parameters += 1
        if kind == DIGIT:
            value = (value * 10.0 if inside else 0.0) + (data[position] - 48)
            inside = True
            number = value
        else:
            inside = False
    return parameters, odd, longest, number
