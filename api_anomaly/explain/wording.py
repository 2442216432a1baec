"""Numbers and facts as an on-call engineer says them: the last step from behaviours to a sentence.

Every number is told in a unit of daily life: a rarity in bits as "1 of 500", a sum of bits as so
many things that are seen in 1 of 100 requests, kilobytes as MB or GB, seconds as minutes or hours,
a deviation of logarithms as a factor.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from api_anomaly.kernels import kernel
from api_anomaly.features.peers import PLAUSIBLE_BITS
from api_anomaly.features.table import ADDRESS, FEATURES, LOG1P, SINGLE

_RAREST = 1_000_000.0  # "1 of more than a million" is as rare as a sentence needs
_COMMON = 1.5  # up to 1 of so many is the common case
_MOST_BITS = 40.0

# How a behaviour's value becomes what is said: as it is, 2^bits, 2^bits from the plausible on, bits
# as so many of a hundredth's, e^value.
_PLAIN, _RARITY, _MEAN, _HUNDREDTHS, _FACTOR = range(5)
_HUNDREDTH = math.log2(100.0) - PLAUSIBLE_BITS  # bits of one that is seen in 1 of 100


def _sayings() -> list[int]:
    sayings = [_PLAIN] * len(FEATURES)
    for place, row in enumerate(FEATURES):
        if row.unit == "bits":
            odd = "_peer_surprise_" in row.name
            sayings[place] = _HUNDREDTHS if row.scale == LOG1P else _MEAN if odd else _RARITY
        elif row.unit == "log s":
            sayings[place] = _FACTOR
    return sayings


_SAYING = np.array(_sayings())
_COUNTED = np.array([row.scale == LOG1P for row in FEATURES])


@kernel
def spoken(x, j):  # type: ignore[no-untyped-def]
    """Behaviour `j` of the row x (d,) in the unit that is said."""
    return in_words(math.expm1(x[j]) if _COUNTED[j] else float(x[j]), j)


@kernel
def in_words(value, j):  # type: ignore[no-untyped-def]
    """A value of behaviour `j` in its own unit as the number that is said; NaN stays."""
    kind = _SAYING[j]
    if math.isnan(value):
        return value
    if kind == _RARITY:
        return 2.0 ** min(_MOST_BITS, value)
    if kind == _MEAN:
        return 2.0 ** min(_MOST_BITS, value + PLAUSIBLE_BITS)
    if kind == _HUNDREDTHS:
        return value / _HUNDREDTH
    return math.exp(value) if kind == _FACTOR else value


@kernel
def is_rarity(j):  # type: ignore[no-untyped-def]
    """Whether behaviour `j` is told as 1 of N."""
    return _SAYING[j] == _MEAN or _SAYING[j] == _RARITY


def plain(value: float) -> str:
    """A number of things: whole from ten on, else to a tenth."""
    if value >= 9.95:
        return f"{value:,.0f}"
    text = f"{value:.1f}"
    return text[:-2].replace("-0", "0") if text.endswith(".0") else text


def count(value: float) -> str:
    """A count "lately", which is no whole number and is told as one; a rare thing to a tenth."""
    return f"{value:,.0f}" if value >= 0.5 else plain(value)


def share(value: float) -> str:
    """A share in percent."""
    return f"{100.0 * value:.0f} %"


def deviation(value: float) -> str:
    """Standard deviations, with their sign."""
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0"


def rarity(value: float) -> str:
    """N as "1 of N", to two digits."""
    if value < _COMMON:
        return "most"
    if value >= _RAREST:
        return f"less than 1 of {_RAREST:,.0f}"
    step = 1 if value < 100.0 else 10 ** (int(math.log10(value)) - 1)
    return f"1 of {round(value / step) * step:,}"


def size(kilobytes: float) -> str:
    """Kilobytes, or the largest unit of which there is one."""
    for factor, unit in _SIZES:
        if kilobytes >= factor:
            return f"{plain(kilobytes / factor)} {unit}"
    return f"{plain(kilobytes)} kB"


def duration(seconds: float) -> str:
    """Seconds, or the largest unit of which there is one."""
    for factor, units, unit in _TIMES:
        if seconds >= factor:
            number = plain(seconds / factor)
            return f"{number} {unit if number == '1' else units}"
    return f"{plain(seconds)} s"


def hours(value: float) -> str:
    """Hours as a duration."""
    return duration(3_600.0 * value)


_SIZES = ((1e6, "GB"), (1e3, "MB"))
_TIMES = ((86_400.0, "days", "day"), (3_600.0, "h", "h"), (60.0, "min", "min"))
#: How numbers are said, by unit; all others are counts, whose unit the words around them name.
_SAY: dict[str, Callable[[float], str]] = {
    "share": share,
    "kB": size,
    "s": duration,
    "h": hours,
    "sd": deviation,
    "ratio": plain,
    "log s": plain,
    "bits": plain,  # those of a habit, told as "so many times less"
}
_WHO = ("this user", "this address")


class Said(NamedTuple):
    """How a behaviour is said: its words around its value, for any number and for "1"; how the
    number is said; whose it is (the request's own: empty); whether it is a rarity.
    """

    before: str
    after: str
    after_one: str
    say: Callable[[float], str]
    who: str
    rare: bool


def _said(place: int) -> Said:
    row = FEATURES[place]
    before, after = row.words.split("{value}")
    one, many = re.sub(r"\[e?s\]", "", after), after.replace("[", "").replace("]", "")
    rare = bool(is_rarity(place)) and row.name != "user_hour_surprise"
    unit = "" if _SAYING[place] == _HUNDREDTHS else row.unit
    say = rarity if rare else _SAY.get(unit, count)
    who = _WHO[place >= ADDRESS] if place < SINGLE else ""
    return Said(before, many, one, say, who, rare)


_SAID = [_said(place) for place in range(len(FEATURES))]


def sentence(
    place: int, value: float, others: float, own: float, pace: float, alike: bool, new: bool
) -> str:
    """What behaviour `place` says of a log: the value, and what is usual for its actor and others.

    Values as `spoken`; `own` may be NaN (not known) and is a count in the time of half-life `pace`
    seconds (0: no count). `alike`: user and address say the same. `new`: the others are new too.
    """
    said = _SAID[place]
    number, normal = said.say(value), _usually(place, others)
    if number == normal and said.say is count:  # two counts that differ by less than one
        number, normal = plain(value), plain(others)
    fact = said.before + number + (said.after_one if number == "1" else said.after)
    if not said.who:
        return f"{fact}; usually {normal}"
    who, whom = "this client" if alike else said.who, "others as new" if new else "others"
    if own != own:
        return f"{who}: {fact}; usually {normal} for {whom}"
    habit = _paced(own, pace) or _usually(place, own)
    return f"{who}: {fact}; usually {habit} for {who}, {normal} for {whom}"


def _paced(own: float, pace: float) -> str:
    """A count in a short time as one of a day, when it is but a part of one."""
    if pace == 0.0 or not 0.0 < own < 0.95:
        return ""
    return f"{plain(own * 86_400.0 / pace)} a day"


@lru_cache(maxsize=4_096)  # a model has a few hundred of them, and every reason tells one
def _usually(place: int, value: float) -> str:
    said = _SAID[place]
    return "nothing rare" if said.rare and value < _COMMON else said.say(value)
