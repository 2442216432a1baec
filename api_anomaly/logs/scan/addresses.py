"""IP addresses as the two words of `core.columns.address_words`, read as Python reads them."""

import numpy as np

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.scan.marks import COLON, POINT, ZERO, is_digit
from api_anomaly.logs.scan.texts import HEX

_V4 = np.uint64(0xFFFF_0000_0000)
_NONE = (np.uint64(0), np.uint64(0), False)
_NO_WORDS = (np.uint64(0),) * 4
_GROUP, _REST = np.uint64(16), np.uint64(48)


@bare_kernel
def address(data, start, stop):  # type: ignore[no-untyped-def]
    """The words of the address data[start:stop], and whether it surely is one."""
    for position in range(start, min(stop, start + 5)):
        if data[position] == COLON:
            return _six(data, start, stop)
    four, valid = _four(data, start, stop)
    return np.uint64(0), _V4 | np.uint64(four), valid


@bare_kernel
def _four(data, start, stop):  # type: ignore[no-untyped-def]
    """The number of a dotted quad, and whether it is one: no leading zeros, nothing above 255."""
    number, octet, digits, octets = 0, 0, 0, 0
    for position in range(start, stop):
        byte = data[position]
        if is_digit(byte):
            if digits > 0 and octet == 0:
                return 0, False
            octet = octet * 10 + (int(byte) - ZERO)
            digits += 1
            if octet > 255:
                return 0, False
        elif byte == POINT and digits > 0 and octets < 3:
            number, octet, digits, octets = number * 256 + octet, 0, 0, octets + 1
        else:
            return 0, False
    return number * 256 + octet, octets == 3 and digits > 0


@bare_kernel
def _six(data, start, stop):  # type: ignore[no-untyped-def]
    """Eight groups of hexadecimal digits, one run of zeros left out as ``::`` (RFC 4291, 2.2), the
    last two perhaps a dotted quad. A zone (``%eth0``) is odd."""
    words, count, gap, position = _NO_WORDS, 0, -1, start
    if data[start] == COLON:  # only ever the first half of a gap
        if stop - start < 2 or data[start + 1] != COLON:
            return _NONE
        gap, position = 0, start + 2
    while position < stop:
        value, end = _group(data, position, stop)
        if end < stop and data[end] == POINT:
            quad, valid = _four(data, position, stop)
            if not valid or count > 6:
                return _NONE
            words = _with_group(words, count, gap, quad >> 16)
            words = _with_group(words, count + 1, gap, quad & 0xFFFF)
            count += 2
            break
        if end == position or count > 7:
            return _NONE
        words = _with_group(words, count, gap, value)
        count, position = count + 1, end
        if position == stop:
            break
        if data[position] != COLON or position + 1 == stop:
            return _NONE
        position += 1
        if data[position] == COLON:
            if gap >= 0:
                return _NONE
            gap, position = count, position + 1
    high, low, high_end, low_end = words
    return high | high_end, low | low_end, count == 8 if gap < 0 else count < 8


@bare_kernel
def _with_group(words, count, gap, value):  # type: ignore[no-untyped-def]
    """The words of the groups before a gap, which count from the top, and of those after it, which
    count from the end, with one group more."""
    high, low, high_end, low_end = words
    group = np.uint64(value)
    if gap >= 0:
        high_end = high_end << _GROUP | low_end >> _REST
        low_end = low_end << _GROUP | group
    elif count < 4:
        high |= group << np.uint64(48 - 16 * count)
    else:
        low |= group << np.uint64(48 - 16 * (count - 4))
    return high, low, high_end, low_end


@bare_kernel
def _group(data, position, stop):  # type: ignore[no-untyped-def]
    """The number of at most four hexadecimal digits, and where they end."""
    value, most = 0, min(stop, position + 4)
    while position < most and HEX[data[position]] >= 0:
        value = value * 16 + HEX[data[position]]
        position += 1
    return value, position
