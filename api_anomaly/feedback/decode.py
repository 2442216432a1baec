"""From the bytes of POST /feedback to verdicts: which log, and whether it was an attack."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from api_anomaly.errors import BatchTooLarge
from api_anomaly.logs.columns import Columns
from api_anomaly.logs.decode import check_values, invalid_from, without_mark
from api_anomaly.logs.fast_path import columns_from_logs
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.logs.schema import Log

Verdict = Literal["false_positive", "true_positive"]
_AnomalyId = Annotated[str, Field(min_length=1, max_length=64)]
_ModelVersion = Annotated[str, Field(min_length=1, max_length=128)]

#: JSON schema: exactly one of anomaly_id and log.
_ID_OR_LOG: Any = {
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


@dataclass(slots=True, config=ConfigDict(json_schema_extra=_ID_OR_LOG))
class FeedbackItem:
    """One verdict, on an anomaly that was returned (`anomaly_id`) or on a `log`: exactly one of
    them. `false_positive`: no attack. `true_positive`: an attack, whether or not it was flagged."""

    verdict: Verdict
    anomaly_id: _AnomalyId | None = None
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
    """The body of POST /feedback. `model_version` is the model that returned the anomalies. If it
    is not the served model, the verdicts count too, because they are about what an actor did, and
    the response says so."""

    items: list[FeedbackItem]
    model_version: _ModelVersion | None = None


class FeedbackRequest(NamedTuple):
    """A decoded POST /feedback of n items: whether each is an attack, its anomaly id (None for a
    log), and the columns of the m items that are logs, in their order."""

    model_version: str | None
    hostile: list[bool]
    ids: list[str | None]
    columns: Columns


class FeedbackReader:
    """Decodes bodies of at most `max_items`. Raises Invalid or BatchTooLarge. `pseudonyms` replace
    users and addresses."""

    def __init__(self, max_items: int, pseudonyms: Pseudonyms | None = None) -> None:
        self._max_items = max_items
        self._pseudonyms = pseudonyms
        self._adapter = TypeAdapter(FeedbackBody)

    def read(self, body: bytes) -> FeedbackRequest:
        """The body of POST /feedback."""
        check_values(body, self._max_items, "items")
        try:
            valid = self._adapter.validate_json(without_mark(body))
        except ValidationError as error:
            raise invalid_from(error) from None
        if len(valid.items) > self._max_items:
            raise BatchTooLarge(f"At most {self._max_items} items fit into one request.")
        return FeedbackRequest(
            valid.model_version,
            [item.verdict == "true_positive" for item in valid.items],
            [item.anomaly_id for item in valid.items],
            columns_from_logs(
                [item.log for item in valid.items if item.log is not None], self._pseudonyms
            ),
        )
