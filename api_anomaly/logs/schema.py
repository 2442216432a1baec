"""The schema of a log and of the bodies of POST /detect and POST /train.

Pydantic validates bodies with these types, and OpenAPI shows them. The limits are written here
once; the fast path (`logs/fast_path.py`) uses the same ones. The types are slotted dataclasses: an
object takes a quarter of the memory of a Pydantic model and validates faster.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from api_anomaly.logs.columns import address_words

MAX_USER_CHARACTERS: Final = 256
MAX_ENDPOINT_CHARACTERS: Final = 8192
MAX_METHOD_CHARACTERS: Final = 64
MAX_ADDRESS_CHARACTERS: Final = 64
#: Characters of a user agent that are kept; they are enough to tell its family.
AGENT_CHARACTERS: Final = 1024
MIN_STATUS: Final = 100
MAX_STATUS: Final = 599
#: Unix seconds of the years 1 to 9999 UTC.
MIN_TIME: Final = -62_135_596_800
MAX_TIME: Final = 253_402_300_799
MIN_THRESHOLD: Final = -1.0
MAX_THRESHOLD: Final = 0.0
DEFAULT_TEST_SIZE: Final = 0.2
#: Error type of a log with neither a user nor an address; it is reported at `user_id`.
ACTOR_MISSING: Final = "user_or_address_missing"


def _read_iso_text(value: Any) -> Any:
    """Read text as RFC 3339 or basic ISO 8601, and reject text that is only a number: "20240101"
    may be a date or Unix seconds. Pydantic reads other ISO 8601 text and numbers.

    msgspec reads RFC 3339, so that both paths round the seconds to microseconds alike.
    """
    if not isinstance(value, str):
        return value
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        if value[4:5] == "-" and value[5:6] != "W":
            return value
    if "T" in value:  # the basic format, 20240131T134500Z, which Pydantic does not read
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    raise PydanticCustomError(
        "timestamp_text", "Input should be ISO 8601 like 2024-01-31T13:45:00Z, or Unix seconds"
    )


def _require_three_digits(value: Any) -> Any:
    """Reject text like "2_00", which Python reads as a number."""
    if isinstance(value, str) and not (len(value) == 3 and value.isascii() and value.isdigit()):
        raise PydanticCustomError("status_text", "Input should be a status from 100 to 599")
    return value


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "timestamp_range", "Input should lie in the years 1 to 9999 UTC"
        ) from None


def _require_address(value: str) -> str:
    try:
        address_words(value)
    except ValueError:
        raise PydanticCustomError("ip_address", "Input should be an IPv4 or IPv6 address") from None
    return value


Timestamp = Annotated[
    datetime,
    BeforeValidator(_read_iso_text),
    AfterValidator(_to_utc),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": MIN_TIME, "maximum": MAX_TIME},
            ],
            "description": "ISO 8601, or Unix seconds. Without an offset it means UTC.",
        }
    ),
]
User = Annotated[str, Field(min_length=1, max_length=MAX_USER_CHARACTERS)]
Endpoint = Annotated[str, Field(min_length=1, max_length=MAX_ENDPOINT_CHARACTERS)]
Method = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=MAX_METHOD_CHARACTERS, to_upper=True
    ),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_METHOD_CHARACTERS,
            "pattern": "^\\S+$",
        }
    ),
]
Status = Annotated[
    int,
    BeforeValidator(_require_three_digits),
    Field(ge=MIN_STATUS, le=MAX_STATUS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": MIN_STATUS, "maximum": MAX_STATUS},
                {"type": "string", "pattern": "^[1-5][0-9][0-9]$"},
            ]
        }
    ),
]
Address = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ADDRESS_CHARACTERS),
    AfterValidator(_require_address),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
    ),
]
# Strict, because a lax float accepts true and "1" as 1. Sizes are whole numbers in floats, because
# a client with missing values often writes 512.0.
Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Bytes = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, multiple_of=1),
    WithJsonSchema({"type": "integer"}),
]
Label = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, multiple_of=1, ge=0, le=1),
    WithJsonSchema({"type": "integer", "enum": [0, 1]}),
]
Threshold = Annotated[
    float, Field(strict=True, allow_inf_nan=False, ge=MIN_THRESHOLD, le=MAX_THRESHOLD)
]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, lt=1)]


#: JSON schema: at least one of user_id and ip_address is present and not null.
_USER_OR_ADDRESS: dict[str, Any] = {
    "anyOf": [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
        for name in ("user_id", "ip_address")
    ]
}


@dataclass(
    slots=True, config=ConfigDict(val_temporal_unit="seconds", json_schema_extra=_USER_OR_ADDRESS)
)
class Log:
    """One entry of an access log. `response_time` is in seconds, sizes in bytes; null or negative
    values are unknown. `user_id` or `ip_address` is required."""

    timestamp: Timestamp
    endpoint: Endpoint
    method: Method
    status_code: Status
    user_id: User | None = None
    response_time: Seconds | None = None
    ip_address: Address | None = None
    user_agent: str | None = None
    request_size: Bytes | None = None
    response_size: Bytes | None = None
    label: Label | None = None

    def __post_init__(self) -> None:
        if self.user_id is None and self.ip_address is None:
            raise PydanticCustomError(ACTOR_MISSING, "A log needs a user_id or an ip_address")


def known_amount(value: float | None) -> float | None:
    """A duration or size, or None if it is negative, which means unknown."""
    return None if value is None or value < 0 else value


Logs = TypeVar("Logs")


@dataclass(slots=True)
class DetectBody(Generic[Logs]):
    """The body of POST /detect. `threshold` replaces the model's own for this call;
    `include_scores` returns the score of every log; `include_rules` returns which static rules
    fire on the logs; `update_state: false` scores without storing the logs in memory;
    `on_invalid: "skip"` leaves invalid logs out, instead of rejecting all."""

    logs: Logs
    threshold: Threshold | None = None
    include_scores: StrictBool | None = False
    include_rules: StrictBool | None = False
    update_state: StrictBool | None = True
    on_invalid: Literal["reject", "skip"] | None = "reject"


@dataclass(slots=True, config=ConfigDict(extra="forbid"))
class HistoryTrainBody:
    """The body of POST /train that trains on the kept history: the last `days` of it, or all."""

    source: Literal["history"]
    days: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)] | None = None
    test_size: Fraction | None = DEFAULT_TEST_SIZE


@dataclass(slots=True)
class TrainBody(Generic[Logs]):
    """The body of POST /train. `test_size` is the fraction of logs, the latest, that is held
    out."""

    logs: Logs
    test_size: Fraction | None = DEFAULT_TEST_SIZE
