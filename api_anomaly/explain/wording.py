"""Sentences for people on call: from a feature's values to text.

Numbers are in units of daily life: a rarity in bits is "1 of 500", a sum of peer surprise is the
number of events that are each seen in 1 of 100 requests, kilobytes become MB or GB, seconds become
minutes or hours, a deviation of logarithms becomes a factor.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.peers import PLAUSIBLE_BITS
from api_anomaly.features.table import ADDRESS, FEATURES, LOG1P, SINGLE
from api_anomaly.kernels import kernel

_MAX_RARITY = 1_000_000.0  # rarer is "less than 1 of 1,000,000"
_COMMON_RARITY = 1.5  # up to 1 of so many is the common case
_MAX_BITS = 40.0

# From a feature's unit to the displayed number: as it is, 2^bits, 2^(bits above the plausible
# ones), number of rare events, e^value.
_AS_IS, _RARITY, _MEAN_RARITY, _RARE_EVENTS, _FACTOR = range(5)
_BITS_OF_RARE_EVENT = math.log2(100.0) - PLAUSIBLE_BITS  # of an event seen in 1 of 100 requests


def _conversions() -> list[int]:
    conversions = [_AS_IS] * len(FEATURES)
    for column, row in enumerate(FEATURES):
        if row.unit == "bits":
            mean = _MEAN_RARITY if "_peer_surprise_" in row.name else _RARITY
            conversions[column] = _RARE_EVENTS if row.scale == LOG1P else mean
        elif row.unit == "log s":
            conversions[column] = _FACTOR
    return conversions


_CONVERSION = np.array(_conversions())
_IS_LOG1P = np.array([row.scale == LOG1P for row in FEATURES])


@kernel
def displayed_value(x: NDArray[np.float32], j: int) -> float:
    """The number that is displayed for feature `j` of the row x (d,)."""
    return to_display(math.expm1(x[j]) if _IS_LOG1P[j] else float(x[j]), j)


@kernel
def to_display(value: float, j: int) -> float:
    """The number that is displayed for a value of feature `j` in its unit; NaN stays."""
    kind = _CONVERSION[j]
    if math.isnan(value):
        return value
    if kind == _RARITY:
        return math.pow(2.0, min(_MAX_BITS, value))
    if kind == _MEAN_RARITY:
        return math.pow(2.0, min(_MAX_BITS, value + PLAUSIBLE_BITS))
    if kind == _RARE_EVENTS:
        return value / _BITS_OF_RARE_EVENT
    return math.exp(value) if kind == _FACTOR else value


def format_number(value: float) -> str:
    """Whole from ten on, else with one decimal."""
    if value >= 9.95:
        return f"{value:,.0f}"
    text = f"{value:.1f}"
    return text[:-2].replace("-0", "0") if text.endswith(".0") else text


def format_count(value: float) -> str:
    """A decayed count, which is not whole, as a whole number; below 0.5 with one decimal."""
    return f"{value:,.0f}" if value >= 0.5 else format_number(value)


def format_share(value: float) -> str:
    """A share in percent."""
    return f"{100.0 * value:.0f} %"


def format_deviation(value: float) -> str:
    """Standard deviations with their sign."""
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0"


def format_rarity(value: float) -> str:
    """N as "1 of N", with two digits."""
    if value < _COMMON_RARITY:
        return "most"
    if value >= _MAX_RARITY:
        return f"less than 1 of {_MAX_RARITY:,.0f}"
    step = 1 if value < 100.0 else 10 ** (int(math.log10(value)) - 1)
    return f"1 of {round(value / step) * step:,}"


def format_size(kilobytes: float) -> str:
    """Kilobytes, or the largest unit of which there is at least one."""
    for factor, unit in _SIZES:
        if kilobytes >= factor:
            return f"{format_number(kilobytes / factor)} {unit}"
    return f"{format_number(kilobytes)} kB"


def format_duration(seconds: float) -> str:
    """Seconds, or the largest unit of which there is at least one."""
    for factor, units, unit in _TIMES:
        if seconds >= factor:
            number = format_number(seconds / factor)
            return f"{number} {unit if number == '1' else units}"
    return f"{format_number(seconds)} s"


def format_hours(hours: float) -> str:
    """Hours as a duration."""
    return format_duration(3_600.0 * hours)


_SIZES = ((1e6, "GB"), (1e3, "MB"))
_TIMES = ((86_400.0, "days", "day"), (3_600.0, "h", "h"), (60.0, "min", "min"))
#: By unit; all others are counts, whose unit is in the words around them.
_FORMATS: dict[str, Callable[[float], str]] = {
    "share": format_share,
    "kB": format_size,
    "s": format_duration,
    "h": format_hours,
    "sd": format_deviation,
    "ratio": format_number,
    "log s": format_number,
    "bits": format_number,  # those of an hour of the week: "so many times less active"
}
_ACTORS = ("this user", "this address")


class Phrase(NamedTuple):
    """A feature in words: before its value, after any number and after "1"; the value's format;
    the actor (empty for a feature of the request); whether the value is a rarity."""

    before: str
    after: str
    after_one: str
    format_value: Callable[[float], str]
    actor: str
    is_rarity: bool


def _phrase(column: int) -> Phrase:
    row = FEATURES[column]
    before, after = row.words.split("{value}")
    singular, plural = re.sub(r"\[e?s\]", "", after), after.replace("[", "").replace("]", "")
    conversion = _CONVERSION[column]
    is_rarity = conversion in (_RARITY, _MEAN_RARITY) and row.name != "user_hour_surprise"
    unit = "" if conversion == _RARE_EVENTS else row.unit
    format_value = format_rarity if is_rarity else _FORMATS.get(unit, format_count)
    actor = _ACTORS[column >= ADDRESS] if column < SINGLE else ""
    return Phrase(before, plural, singular, format_value, actor, is_rarity)


_PHRASES = [_phrase(column) for column in range(len(FEATURES))]


class Fact(NamedTuple):
    """Displayed values of a feature in one log: its own, the usual one of others, the usual one of
    its actor (NaN: not known), which is a count in `window` seconds (0: not a count).

    `same_for_both`: user and address have the same value. `new`: the actor is known for under a day
    and is compared with others like that.
    """

    value: float
    usual_of_others: float
    usual_of_actor: float
    window: float
    same_for_both: bool
    new: bool


def sentence(column: int, fact: Fact) -> str:
    """The value of the feature in this column, and what is usual for its actor and for others."""
    phrase = _PHRASES[column]
    value, usual = phrase.format_value(fact.value), _format_usual(column, fact.usual_of_others)
    if value == usual and phrase.format_value is format_count:  # they differ by less than one
        value, usual = format_number(fact.value), format_number(fact.usual_of_others)
    text = phrase.before + value + (phrase.after_one if value == "1" else phrase.after)
    if not phrase.actor:
        return f"{text} (usually {usual})"
    actor = "this client" if fact.same_for_both else phrase.actor
    others = f"other new clients: {usual}" if fact.new else f"other clients: {usual}"
    if math.isnan(fact.usual_of_actor):
        return f"{actor}: {text} ({others})"
    own = _per_day(fact.usual_of_actor, fact.window) or _format_usual(column, fact.usual_of_actor)
    return f"{actor}: {text} (usually {own}; {others})"


def _per_day(count: float, window: float) -> str:
    """A count in a short time as a count per day, if it is below one."""
    if window == 0.0 or not 0.0 < count < 0.95:
        return ""
    return f"{format_number(count * 86_400.0 / window)} a day"


@lru_cache(maxsize=4_096)  # a model has a few hundred of them, and each reason shows one
def _format_usual(column: int, value: float) -> str:
    phrase = _PHRASES[column]
    return (
        "nothing rare"
        if phrase.is_rarity and value < _COMMON_RARITY
        else phrase.format_value(value)
    )
