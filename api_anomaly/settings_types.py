"""The types of settings: how the text of an environment variable is read and checked."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from api_anomaly.rules import RuleEngine, RuleError, RuleSet

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


def _check_digits(value: Any) -> Any:
    """Pydantic alone would accept "1_000" and "80.0"."""
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
        raise PydanticCustomError("int_parsing", "not a whole number")
    return value


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _check_one_worker(value: Any) -> Any:
    if value not in (1, "1"):
        raise ValueError(
            "1: the recent behaviour of users is kept in the process, so each of several workers"
            " would see only a part of every user"
        )
    return value


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("origins like https://ops.example.org, comma-separated")
    return origins


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in networks)
    except ValueError:
        raise ValueError("addresses or networks like 10.0.0.0/8, comma-separated") from None


def _check_secrets(minimum_characters: int) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(secrets: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(secret) < minimum_characters for secret in secrets):
            raise ValueError(
                f"secrets of at least {minimum_characters} characters, comma-separated"
            )
        if any(not secret.isascii() or not secret.isprintable() for secret in secrets):
            raise ValueError("printable ASCII characters")
        return secrets

    return check


def _check_key(key: str) -> str:
    if key and (len(key) < 32 or not key.isascii() or not key.isprintable()):
        raise ValueError("one secret of at least 32 printable ASCII characters")
    return key


def _split_secrets(value: Any) -> Any:
    secrets = _split(value)
    if isinstance(value, str) and not secrets:
        raise ValueError("one secret or more, comma-separated")
    return secrets


def _check_rules(path: Path) -> Path:
    """The runtime loads the file; here an invalid one is reported with the other settings."""
    try:
        RuleEngine(RuleSet.load(path).rules)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a readable file of rules ({error})") from None
    except RuleError as error:
        raise ValueError(f"a file of rules like api_anomaly/rules/default.yaml: {error}") from None
    return path


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("the name of a time zone like Europe/Berlin") from None
    return name


_Level = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]
Whole = Annotated[int, BeforeValidator(_check_digits)]
OneWorker = Annotated[int, BeforeValidator(_check_one_worker)]
Level = Annotated[_Level, BeforeValidator(_upper)]
RulesFile = Annotated[Path, AfterValidator(_check_rules)]
_Strings = Annotated[tuple[str, ...], BeforeValidator(_split)]
Origins = Annotated[_Strings, AfterValidator(_check_origins)]
Networks = Annotated[_Strings, AfterValidator(_check_networks)]
_Secrets = Annotated[tuple[str, ...], BeforeValidator(_split_secrets)]
Tokens = Annotated[_Secrets, AfterValidator(_check_secrets(1))]
Keys = Annotated[_Secrets, AfterValidator(_check_secrets(16))]
Key = Annotated[str, AfterValidator(_check_key)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
