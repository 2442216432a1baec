"""Numbers in JSON: the nearest float64, computed so that it is provably that, or none.

A number is m * 10^e with whole m. For m up to 2^53 and |e| up to 22 both factors are floats, and
one IEEE operation rounds correctly (Clinger 1990, "How to read floating point numbers accurately").
Longer m, up to 18 digits, as Python writes a clock, are divided with twice the precision (Dekker
1971), and the result is taken when its remainder cannot move it over a rounding boundary (Ziv
1991). Everything else is odd and left to the parser: one in thousands of such long numbers.
"""

import math

import numpy as np

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.scan.marks import MINUS, ODD, PLUS, POINT, ZERO, is_digit

_POWERS = np.array([float(10**power) for power in range(23)])
_MOST = 10**18  # what m stays below
_EXACT = 2**53
_SPLIT = 134_217_729.0  # 2^27 + 1
_ERROR = 2.0**-95  # of the quotient: more than the corrected division can be wrong


@bare_kernel
def number(data, position, stop):  # type: ignore[no-untyped-def]
    """The value of the number at `position`, where it ends, and whether it is written whole (a
    parser's int); NaN and ODD when it is none or not ordinary. Minus zero is not.
    """
    negative = data[position] == MINUS
    if negative:
        position += 1
    mantissa, digits, position = _digits(data, position, stop, 0, 0)
    first = position - digits
    if digits == 0 or (digits > 1 and data[first] == ZERO):
        return math.nan, ODD, False
    exponent, whole = 0, True
    if position < stop and data[position] == POINT:
        mantissa, more, position = _digits(data, position + 1, stop, mantissa, digits)
        if more == digits:
            return math.nan, ODD, False
        exponent, digits, whole = digits - more, more, False
    if position < stop and data[position] | 32 == 101:  # e or E
        power, position = _power(data, position + 1, stop)
        exponent, whole = exponent + power, False
    if position < 0 or mantissa >= _MOST or (negative and mantissa == 0):
        return math.nan, ODD, False
    value = _scaled(mantissa, exponent)
    if math.isnan(value):
        return math.nan, ODD, False
    return -value if negative else value, position, whole


@bare_kernel
def _digits(data, position, stop, mantissa, count):  # type: ignore[no-untyped-def]
    """`mantissa` with the digits from `position` on appended, or `_MOST` when it has too many, how
    many digits there are with those before, and where they end."""
    while position < stop and is_digit(data[position]):
        full = mantissa >= _MOST // 10
        mantissa = _MOST if full else mantissa * 10 + (np.int64(data[position]) - ZERO)
        count += 1
        position += 1
    return mantissa, count, position


@bare_kernel
def _power(data, position, stop):  # type: ignore[no-untyped-def]
    """The exponent at `position` and where it ends, or ODD."""
    negative = position < stop and data[position] == MINUS
    if position < stop and (data[position] == MINUS or data[position] == PLUS):
        position += 1
    power, count, position = _digits(data, position, stop, 0, 0)
    if count == 0 or count > 3:
        return 0, ODD
    return -power if negative else power, position


@bare_kernel
def _scaled(mantissa, exponent):  # type: ignore[no-untyped-def]
    """mantissa * 10^exponent rounded to the nearest float, or NaN when that is not sure."""
    if exponent == 0:
        return float(mantissa)
    if not -22 <= exponent <= 22:
        return math.nan
    if mantissa <= _EXACT:
        if exponent < 0:
            return float(mantissa) / _POWERS[-exponent]
        return float(mantissa) * _POWERS[exponent]
    return _divided(mantissa, _POWERS[-exponent]) if exponent < 0 else math.nan


@bare_kernel
def _divided(mantissa, power):  # type: ignore[no-untyped-def]
    """mantissa / power for a mantissa of more than 53 bits, or NaN when its rounding is unsure."""
    high = float(mantissa)
    low = float(mantissa - np.int64(high))
    quotient = high / power
    product, error = _product(quotient, power)
    rest = (((high - product) - error) + low) / power
    value = quotient + rest
    rest = (quotient - value) + rest
    doubt = value * _ERROR
    if value + (rest + doubt) == value and value + (rest - doubt) == value:
        return value
    return math.nan


@bare_kernel
def _product(a, b):  # type: ignore[no-untyped-def]
    """a * b as a float and the error of it, exactly (Dekker)."""
    product = a * b
    a_high = a * _SPLIT - (a * _SPLIT - a)
    b_high = b * _SPLIT - (b * _SPLIT - b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error
