"""The shapes of the requests, field by field, and the only place where a value is judged.

They are slotted dataclasses, because a training holds a million logs at once: an object takes a
quarter of the room of a pydantic model and validates faster.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

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

#: A user agent is cut here: its family is in the beginning.
AGENT_CHARACTERS = 1024
#: Type of the error for a log of nobody; it is reported at `user_id`.
NOBODY = "user_or_address_missing"


def _only_iso(value: Any) -> Any:
    """Refuse text that is a bare number: "20240101" may be a date or Unix seconds, so it is
    neither.
    """
    if isinstance(value, str) and (value[4:5] != "-" or value[5:6] == "W"):
        if "T" in value:  # the basic form, 20240131T134500Z, which pydantic does not read
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                pass
        raise PydanticCustomError(
            "timestamp_text", "Input should be ISO 8601 like 2024-01-31T13:45:00Z, or Unix seconds"
        )
    return value


def _three_digits(value: Any) -> Any:
    """Refuse text like "2_00", which Python reads as a number."""
    if isinstance(value, str) and not (len(value) == 3 and value.isascii() and value.isdigit()):
        raise PydanticCustomError("status_text", "Input should be a status from 100 to 599")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "timestamp_range", "Input should lie in the years 1 to 9999 UTC"
        ) from None


def _address(value: str) -> str:
    try:
        address_words(value)
    except ValueError:
        raise PydanticCustomError("ip_address", "Input should be an IPv4 or IPv6 address") from None
    return value


Timestamp = Annotated[
    datetime,
    BeforeValidator(_only_iso),
    AfterValidator(_in_utc),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": -62135596800, "maximum": 253402300799},
            ],
            "description": "ISO 8601, or Unix seconds. Without an offset it means UTC.",
        }
    ),
]
User = Annotated[str, Field(min_length=1, max_length=256)]
Endpoint = Annotated[str, Field(min_length=1, max_length=8192)]
Method = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64, to_upper=True),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^\\S+$"}),
]
Status = Annotated[
    int,
    BeforeValidator(_three_digits),
    Field(ge=100, le=599),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5][0-9][0-9]$"},
            ]
        }
    ),
]
Address = Annotated[
    str,
    Field(min_length=1, max_length=64),
    AfterValidator(_address),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
    ),
]
# Strict, because a lax float takes true for 1 and "1" for 1. Whole sizes are floats, because a
# client with missing values often writes 512.0.
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


#: A log is of somebody: what the schema of each field alone cannot say.
_SOMEBODY: dict[str, Any] = {
    "anyOf": [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
        for name in ("user_id", "ip_address")
    ]
}


@dataclass(slots=True, config=ConfigDict(val_temporal_unit="seconds", json_schema_extra=_SOMEBODY))
class Log:
    """One entry of an access log. `response_time` is in seconds, sizes in bytes; null or negative
    values are unknown. `user_id` or `ip_address` must be there."""

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
            raise PydanticCustomError(NOBODY, "A log needs a user_id or an ip_address")


Logs = TypeVar("Logs")


@dataclass(slots=True)
class DetectBody(Generic[Logs]):
    """The body of POST /detect. `threshold` replaces the model's own for this call; with
    `include_scores` every log's score comes back; with `include_rules` what static rules would have
    said of the logs; without `update_state` nothing is remembered."""

    logs: Logs
    threshold: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1, le=0)] | None = None
    include_scores: StrictBool | None = False
    include_rules: StrictBool | None = False
    update_state: StrictBool | None = True


@dataclass(slots=True)
class TrainBody(Generic[Logs]):
    """The body of POST /train. `test_size` is the share of the latest logs that is held out."""

    logs: Logs
    test_size: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, lt=1)] | None = 0.2
