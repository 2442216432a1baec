"""Texts in JSON: their characters as UTF-8, with escapes undone, or nothing when they are odd."""

import numpy as np

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.scan.eights import eight, first_marked, marked, put_eight
from api_anomaly.logs.scan.marks import BACKSLASH, ODD, QUOTE

_PLAIN = np.zeros(256, np.bool_)  # ASCII that stands for itself
_PLAIN[32:128] = True
_PLAIN[[QUOTE, BACKSLASH]] = False
_ESCAPES = np.zeros(256, np.uint8)  # what a backslash and a letter mean
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _ESCAPES[_letter] = _meaning
#: The value of a hexadecimal digit, below 0 for other bytes.
HEX = np.full(256, -1, np.int64)
for _value, _digit in enumerate("0123456789abcdef"):
    HEX[[ord(_digit), ord(_digit.upper())]] = _value
_U = ord("u")


@bare_kernel
def bare_end(data, position, stop):  # type: ignore[no-untyped-def]
    """Where the quote is that ends the ASCII text without escapes at `position`; else ODD."""
    while position + 8 <= stop:
        marks = marked(eight(data, position))
        if marks != 0:
            position += first_marked(marks)
            break
        position += 8
    while position < stop and _PLAIN[data[position]]:
        position += 1
    return position if position < stop and data[position] == QUOTE else ODD


@bare_kernel
def copy_text(data, position, stop, out, end):  # type: ignore[no-untyped-def]
    """Put the text that begins at `position`, after its quote, at out[end]: where the next value
    may begin, the new end, and how many characters it has. ODD when it is not well-formed. There is
    to be room for as many bytes as are left of the data.
    """
    begin, following = end, 0
    while position < stop:
        while position + 8 <= stop:
            word = eight(data, position)
            marks = marked(word)
            put_eight(
                out, end, word
            )  # what comes after the mark is overwritten, or never looked at
            step = first_marked(marks) if marks != 0 else 8
            position += step
            end += step
            if step < 8:
                break
        if position >= stop:
            break
        byte = data[position]
        if _PLAIN[byte]:
            out[end] = byte
            end += 1
            position += 1
        elif byte == QUOTE:
            return position + 1, end, end - begin - following
        elif byte == BACKSLASH:
            code, position = _escaped(data, position, stop)
            if position < 0:
                break
            width = _put(out, end, code)
            end += width
            following += width - 1
        else:
            width = _width(data, position, stop)
            if width == 0:
                break
            for i in range(width):
                out[end + i] = data[position + i]
            end += width
            position += width
            following += width - 1
    return ODD, begin, 0


@bare_kernel
def cut(out, begin, end, most):  # type: ignore[no-untyped-def]
    """Where the UTF-8 text out[begin:end] ends when it keeps at most so many characters."""
    count = 0
    for position in range(begin, end):
        count += out[position] & 0xC0 != 0x80
        if count > most:
            return position
    return end


@bare_kernel
def _width(data, position, stop):  # type: ignore[no-untyped-def]
    """Bytes of the character at `position`, 0 when it is none (Unicode 15, table 3-7)."""
    first = data[position]
    if first < 0xC2 or first > 0xF4:
        return 0
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if position + width > stop:
        return 0
    low, high = 0x80, 0xBF
    if first == 0xE0:
        low = 0xA0
    elif first == 0xED:
        high = 0x9F
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F
    if not low <= data[position + 1] <= high:
        return 0
    for i in range(2, width):
        if data[position + i] & 0xC0 != 0x80:
            return 0
    return width


@bare_kernel
def _escaped(data, position, stop):  # type: ignore[no-untyped-def]
    """The character of the escape at `position`, and where it ends; ODD for half a surrogate."""
    if position + 1 >= stop:
        return 0, ODD
    letter = data[position + 1]
    if letter != _U:
        code = np.int64(_ESCAPES[letter])
        return code, position + 2 if code > 0 else ODD
    code = _four(data, position + 2, stop)
    if code < 0xD800 or code > 0xDFFF:
        return code, position + 6 if code >= 0 else ODD
    if code > 0xDBFF or position + 12 > stop:
        return 0, ODD
    low = _four(data, position + 8, stop)
    paired = data[position + 6] == BACKSLASH and data[position + 7] == _U
    if not paired or low < 0xDC00 or low > 0xDFFF:
        return 0, ODD
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), position + 12


@bare_kernel
def _four(data, position, stop):  # type: ignore[no-untyped-def]
    """The number of four hexadecimal digits, or below 0."""
    if position + 4 > stop:
        return ODD
    code, valid = 0, True
    for i in range(position, position + 4):
        digit = HEX[data[i]]
        valid = valid and digit >= 0
        code = code * 16 + digit
    return code if valid else ODD


@bare_kernel
def _put(out, end, code):  # type: ignore[no-untyped-def]
    """Write a character as UTF-8 at `end`; how many bytes it took."""
    if code < 0x80:
        out[end] = code
        return 1
    width = 2 if code < 0x800 else 3 if code < 0x10000 else 4
    for i in range(width - 1, 0, -1):
        out[end + i] = 0x80 | (code & 0x3F)
        code >>= 6
    out[end] = ((0xF00 >> width) & 0xFF) | code
    return width
