"""From the bytes of POST /feedback to verdicts: which log, and whether it was an attack."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from api_anomaly.logs.columns import Columns
from api_anomaly.logs.from_models import columns_from
from api_anomaly.logs.decode import COMMAS, FEWEST_COMMAS, refusal_of
from api_anomaly.errors import BatchTooLarge
from api_anomaly.logs.schema import Log

_ID = Annotated[str, Field(min_length=1, max_length=64)]
_VERSION = Annotated[str, Field(min_length=1, max_length=128)]
Verdict = Literal["false_positive", "true_positive"]


_ONE_OF: Any = {
    "oneOf": [
        {
            "required": ["anomaly_id"],
            "properties": {"anomaly_id": {"type": "string"}, "log": {"type": "null"}},
        },
        {
            "required": ["log"],
            "properties": {"log": {"type": "object"}, "anomaly_id": {"type": "null"}},
        },
    ]
}


@dataclass(slots=True, config=ConfigDict(json_schema_extra=_ONE_OF))
class FeedbackItem:
    """One verdict, on an anomaly that was returned (`anomaly_id`) or on a `log`: exactly one of
    them. `false_positive`: no attack. `true_positive`: an attack, whether or not it was flagged."""

    verdict: Verdict
    anomaly_id: _ID | None = None
    log: Log | None = None

    def __post_init__(self) -> None:
        if (self.anomaly_id is None) == (self.log is None):
            raise PydanticCustomError(
                "anomaly_or_log", "An item needs an anomaly_id or a log, and not both"
            )


_EXAMPLE: Any = {
    "items": [
        {"anomaly_id": "5f0c1d2e3a4b596877869504", "verdict": "false_positive"},
        {
            "log": {
                "timestamp": "2025-06-06T08:43:09Z",
                "user_id": "usr_489562",
                "endpoint": "/api/v1/users/18834",
                "method": "GET",
                "status_code": 404,
            },
            "verdict": "true_positive",
        },
    ]
}


@dataclass(slots=True, config=ConfigDict(json_schema_extra={"examples": [_EXAMPLE]}))
class FeedbackBody:
    """The body of POST /feedback. `model_version` is the model whose anomalies were judged; another
    one than the served is taken and said so in the answer, because a verdict is about behaviours
    and not about a model."""

    items: list[FeedbackItem]
    model_version: _VERSION | None = None


class FeedbackRequest(NamedTuple):
    """A decoded POST /feedback of n items: verdicts, ids (None for a log), and the columns of the
    m items that are logs, in their order."""

    model_version: str | None
    hostile: list[bool]
    ids: list[str | None]
    columns: Columns


class FeedbackReader:
    """Reads bodies with at most so many items. Raises Invalid or BatchTooLarge."""

    def __init__(self, most_items: int) -> None:
        self._most = most_items
        self._most_commas = max(COMMAS * most_items, FEWEST_COMMAS)
        self._adapter = TypeAdapter(FeedbackBody)

    def read(self, body: bytes) -> FeedbackRequest:
        """The body of POST /feedback. Its values are counted before any is parsed: each fault of a
        million would be kept until all are found."""
        if body.count(b",") > self._most_commas:
            raise BatchTooLarge(f"At most {self._most} items fit, and this has more values.")
        try:
            read = self._adapter.validate_json(body)
        except ValidationError as error:
            raise refusal_of(error) from None
        if len(read.items) > self._most:
            raise BatchTooLarge(f"At most {self._most} items fit into one request.")
        logs = [item.log for item in read.items if item.log is not None]
        return FeedbackRequest(
            read.model_version,
            [item.verdict == "true_positive" for item in read.items],
            [item.anomaly_id for item in read.items],
            columns_from(logs),
        )
