"""The bytes that JSON is made of, and steps over white space and literals."""

import numpy as np

from api_anomaly.kernels import bare_kernel

#: A place that is none: what was read is not surely ordinary.
ODD = -1

QUOTE, BACKSLASH, COMMA, COLON, MINUS, PLUS, POINT, ZERO, NINE = b'"\\,:-+.09'
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST, SPACE = b"{}[] "
_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))


@bare_kernel
def is_digit(byte):  # type: ignore[no-untyped-def]
    """Whether it is one of 0 to 9."""
    return ZERO <= byte <= NINE


@bare_kernel
def after_space(data, position, stop):  # type: ignore[no-untyped-def]
    """Where white space ends that may begin at `position`; at most `stop`."""
    while position < stop and data[position] <= SPACE:
        byte = data[position]
        if byte != SPACE and byte != 10 and byte != 13 and byte != 9:
            break
        position += 1
    return position


@bare_kernel
def _after_word(data, position, stop, word):  # type: ignore[no-untyped-def]
    if position + len(word) > stop:
        return ODD
    for i in range(len(word)):
        if data[position + i] != word[i]:
            return ODD
    return position + len(word)


@bare_kernel
def literal(data, position, stop):  # type: ignore[no-untyped-def]
    """What stands at `position` and where it ends: 0 null, 1 false, 2 true; or ODD twice."""
    first = data[position]
    if first == _NULL[0]:
        return 0, _after_word(data, position, stop, _NULL)
    if first == _FALSE[0]:
        return 1, _after_word(data, position, stop, _FALSE)
    if first == _TRUE[0]:
        return 2, _after_word(data, position, stop, _TRUE)
    return ODD, ODD


@bare_kernel
def extent(data, position, stop):  # type: ignore[no-untyped-def]
    """Where the object ends that begins at `position`, if it is well-formed, which is not judged
    here; ODD when it does not end, or nests deeper than any log needs.
    """
    depth = 0
    while position < stop:
        byte = data[position]
        if byte == QUOTE:
            position += 1
            while position < stop and data[position] != QUOTE:
                position += 2 if data[position] == BACKSLASH else 1
        elif byte == OPEN_OBJECT or byte == OPEN_LIST:
            depth += 1
            if depth > 100:  # the parser's own limit is 200, counted from the body's beginning
                return ODD
        elif byte == CLOSE_OBJECT or byte == CLOSE_LIST:
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return ODD
