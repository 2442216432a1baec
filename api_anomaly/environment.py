"""Reading settings from environment variables: parsers, and errors that name the variable."""

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

from api_anomaly.rules import RuleEngine, RuleError, RuleSet

Parser = Callable[[str], Any]
_LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")


class SettingsError(ValueError):
    """A setting that cannot be used. The sentence names the variable and says what is expected."""


def setting(
    name: str, default: Any, parse: Parser, group: str, meaning: str, shown: str = ""
) -> Any:
    """A dataclass field read from the variable `name`.

    `parse` raises ValueError with what it expects ("a whole number from 1 to 5"). `shown` describes
    a default that is made at first start. Secrets stay out of the settings' repr.
    """
    entry = {"name": name, "parse": parse, "group": group, "meaning": meaning, "shown": shown}
    return field(default=default, repr=not isinstance(parse, Secrets), metadata=entry)


def parsed(name: str, parse: Parser, text: str) -> Any:
    """`text` as `parse` reads it. Raises SettingsError; a secret is never repeated in it."""
    try:
        return parse(text)
    except ValueError as error:
        given = "a value that cannot be used" if isinstance(parse, Secrets) else repr(text)
        raise SettingsError(f"{name} is {given}, but must be {error}.") from None


def whole(least: int, most: int) -> Parser:
    """A whole number in [least, most]."""

    def parse(text: str) -> int:
        plain = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 18
        if not plain or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def between(low: float, high: float) -> Parser:
    """A finite number in (low, high)."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value < high:
            raise ValueError(f"a number above {low:g} and below {high:g}")
        return value

    return parse


def rules_in(text: str) -> RuleSet:
    """The static rules in the file of that name."""
    try:
        rules = RuleSet.load(Path(text))
        RuleEngine(rules.rules)  # whether they can be counted on live traffic
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a readable file of rules ({error})") from None
    except RuleError as error:
        raise ValueError(f"a file of rules like api_anomaly/rules/default.yaml: {error}") from None
    return rules


def level(text: str) -> str:
    """The name of a level of the journal."""
    if text.upper() not in _LEVELS:
        raise ValueError(f"one of {', '.join(_LEVELS)}")
    return text.upper()


def one_worker(text: str) -> int:
    """The number 1."""
    if text != "1":
        raise ValueError(
            "1: what users did lately is remembered inside the process, so each of several workers"
            " would see only a part of every user"
        )
    return 1


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


def origins(text: str) -> tuple[str, ...]:
    """Origins of web pages, comma-separated, or a star for all of them."""
    found = _listed(text)
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in found):
        raise ValueError("origins like https://ops.example.org, comma-separated")
    return found


def networks(text: str) -> tuple[str, ...]:
    """Addresses or networks, comma-separated."""
    try:
        return tuple(str(ipaddress.ip_network(part)) for part in _listed(text))
    except ValueError:
        raise ValueError("addresses or networks like 10.0.0.0/8, comma-separated") from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Secrets:
    """One or more secrets separated by commas, each of at least `shortest` printable characters."""

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest

    def __call__(self, text: str) -> tuple[str, ...]:
        secrets = _listed(text)
        if not secrets or any(len(secret) < self._shortest for secret in secrets):
            raise ValueError(f"secrets of at least {self._shortest} characters, comma-separated")
        if any(not secret.isascii() or not secret.isprintable() for secret in secrets):
            raise ValueError("printable ASCII characters")
        return secrets
