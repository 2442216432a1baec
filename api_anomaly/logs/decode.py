"""From the bytes of a request body to columns.

`Decoder` tries the fast path first (`logs/fast_path.py`). What that declines is read by Pydantic in
one pass. Only when that fails, a second pass collects the errors of all logs, at most `MAX_ERRORS`
of them in full, so that a body with a million invalid logs needs no more memory than a valid one.
"""

import math
from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, TypeAdapter, ValidationError, WrapValidator
from pydantic_core.core_schema import ValidationInfo, ValidatorFunctionWrapHandler

from api_anomaly.errors import BatchTooLarge, Invalid
from api_anomaly.logs.columns import Columns
from api_anomaly.logs.fast_path import (
    DetectOptions,
    LazyLogs,
    columns_from_logs,
    decode_detect,
    decode_train,
)
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.logs.json_position import broken_log
from api_anomaly.logs.skip import Skipped, read_valid
from api_anomaly.logs.schema import (
    ACTOR_MISSING,
    DEFAULT_TEST_SIZE,
    DetectBody,
    HistoryTrainBody,
    Log,
    TrainBody,
)

#: Errors that a response with status 422 lists.
MAX_ERRORS = 100
_SHOWN_CHARACTERS = 100
#: Bytes of a POST /train without logs, at most.
_MAX_HISTORY_BODY = 4_096
_HISTORY_TRAINING = TypeAdapter(HistoryTrainBody)
#: Commas in a body for each log that it may hold: a log has eleven, and some in its texts. Pydantic
#: keeps every value of a body before it validates the first: ten million zeros take forty times
#: their bytes.
_COMMAS_PER_LOG, _MIN_COMMAS = 24, 100_000


class DetectRequest(NamedTuple):
    """A decoded POST /detect: n logs as columns and as records, and its options. `skipped`: what is
    not among them, if invalid logs are to be skipped."""

    columns: Columns
    logs: Sequence[Log]
    threshold: float | None
    include_scores: bool
    include_rules: bool
    update_state: bool
    skipped: Skipped | None = None


class TrainRequest(NamedTuple):
    """A decoded POST /train: n logs as columns; labels (n,) are 0, 1 or NaN for unknown."""

    columns: Columns
    labels: NDArray[np.float64]
    test_size: float


class Decoder:
    """Decodes bodies. Raises Invalid, or BatchTooLarge if a body has more logs than allowed.

    With `fast_path=False` Pydantic reads every body; the results are the same. With `pseudonyms`
    no user and no address of a body is in the result, only what replaces it.
    """

    def __init__(
        self,
        max_detect_logs: int,
        max_train_logs: int,
        fast_path: bool = True,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._detect = _BodyValidator(DetectBody, max_detect_logs)
        self._train = _BodyValidator(TrainBody, max_train_logs)
        self._fast_path = fast_path
        self._pseudonyms = pseudonyms

    def decode_detect(self, body: bytes) -> DetectRequest:
        """The body of POST /detect. About 1 µs a log on the fast path, else 5 to 10."""
        body = without_mark(body)
        check_values(body, self._detect.max_logs, "logs")
        fast = None
        if self._fast_path:
            fast = decode_detect(body, self._detect.max_logs, self._pseudonyms)
        if fast is not None:
            return _detect_request(fast.options, fast.columns, LazyLogs(fast.options.logs))
        found = read_valid(body, self._detect.max_logs)
        if found is not None:
            columns = columns_from_logs(found.logs, self._pseudonyms)
            return _detect_request(found.options, columns, found.logs, found.skipped)
        valid = self._detect.validate(body)
        columns = columns_from_logs(valid.logs, self._pseudonyms)
        return _detect_request(valid, columns, valid.logs)

    def decode_train(self, body: bytes) -> TrainRequest:
        """The body of POST /train. On the fast path few logs exist as objects at a time."""
        body = without_mark(body)
        check_values(body, self._train.max_logs, "logs")
        fast = None
        if self._fast_path:
            fast = decode_train(body, self._train.max_logs, self._pseudonyms)
        if fast is not None:
            return TrainRequest(fast.columns, fast.labels, _test_size(fast.options.test_size))
        valid = self._train.validate(body)
        labels = np.array([log.label for log in valid.logs], np.float64)
        columns = columns_from_logs(valid.logs, self._pseudonyms)
        return TrainRequest(columns, labels, _test_size(valid.test_size))


def _detect_request(
    options: DetectOptions | DetectBody[list[Log]],
    columns: Columns,
    logs: Sequence[Log],
    skipped: Skipped | None = None,
) -> DetectRequest:
    if skipped is None and options.on_invalid == "skip":
        skipped = Skipped(range(len(logs)), ())
    return DetectRequest(
        columns,
        logs,
        options.threshold,
        bool(options.include_scores),
        bool(options.include_rules),
        options.update_state is not False,
        skipped,
    )


def without_mark(body: bytes) -> bytes:
    """A body without the byte order mark that some editors and shells write before it; RFC 8259
    allows to ignore it."""
    return body[len(BOM_UTF8) :] if body.startswith(BOM_UTF8) else body


def decode_history_training(body: bytes) -> HistoryTrainBody | None:
    """The body of a POST /train on the kept history; None if it has logs of its own. Raises
    Invalid."""
    if len(body) > _MAX_HISTORY_BODY or b'"source"' not in body or b'"logs"' in body:
        return None
    try:
        return _HISTORY_TRAINING.validate_json(without_mark(body))
    except ValidationError as error:
        raise invalid_from(error) from None


def _test_size(given: float | None) -> float:
    return DEFAULT_TEST_SIZE if given is None else given


def check_values(body: bytes, max_items: int, what: str) -> None:
    """Raise BatchTooLarge if `body` has more values than `max_items` logs can have. Nothing is
    parsed, because parsed values take many times their bytes."""
    max_commas = max(_COMMAS_PER_LOG * max_items, _MIN_COMMAS)
    if len(body) > max_commas and body.count(b",") > max_commas:
        raise BatchTooLarge(f"At most {max_items} {what} fit, and this has more values.")


class _BodyValidator:
    """Pydantic's reading of one kind of body: `body_type` is DetectBody or TrainBody."""

    def __init__(self, body_type: Any, max_logs: int) -> None:
        self.max_logs = max_logs
        length = Field(max_length=max_logs)
        self._strict = TypeAdapter(body_type[Annotated[list[Log], FailFast(), length]])
        collected = Annotated[Log, WrapValidator(_collect)]
        self._collecting = TypeAdapter(body_type[Annotated[list[collected], length]])

    def validate(self, body: bytes) -> Any:
        """The valid body. Raises Invalid or BatchTooLarge."""
        try:
            return self._strict.validate_json(body)
        except ValidationError as error:
            raise self._explain(body, error) from None

    def _explain(self, body: bytes, first: ValidationError) -> Invalid | BatchTooLarge:
        collector = _ErrorCollector()
        try:
            self._collecting.validate_json(body, context=collector)
        except ValidationError as error:
            if any(_is_too_long(detail) for detail in error.errors(include_input=False)):
                return BatchTooLarge(f"At most {self.max_logs} logs fit into one request.")
            collector.add(error, _place(error, body))
        if not collector.items:  # the second pass found nothing, which should not happen
            collector.add(first)
        return Invalid(collector.items, collector.more)


class _ErrorCollector:
    """Collects the errors of all logs, in order: the first `MAX_ERRORS` as items, the rest as a
    number."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.more = 0
        self._log = -1

    def validate_log(self, value: Any, validate: ValidatorFunctionWrapHandler) -> None:
        """Validate one log and keep only its errors."""
        self._log += 1
        try:
            validate(value)
        except ValidationError as error:
            self.add(error, ("logs", self._log))

    def add(self, error: ValidationError, location: tuple[str | int, ...] = ()) -> None:
        """Add the details of `error`, which occurred at `location` of the body."""
        remaining = max(0, MAX_ERRORS - len(self.items))
        if remaining:
            details = error.errors(include_url=False, include_context=False)
            self.items += [_item(detail, location) for detail in details[:remaining]]
        self.more += max(0, error.error_count() - remaining)


def _collect(
    value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo[_ErrorCollector]
) -> None:
    info.context.validate_log(value, validate)


def invalid_from(error: ValidationError) -> Invalid:
    """The errors of a whole body."""
    collector = _ErrorCollector()
    collector.add(error)
    return Invalid(collector.items, collector.more)


def _place(error: ValidationError, body: bytes) -> tuple[str | int, ...]:
    """In which log a body is broken JSON, as a location; empty where that is not the fault."""
    fault = error.errors(include_url=False, include_input=False)[0]
    index = broken_log(body, fault["msg"]) if fault["type"] == "json_invalid" else None
    return () if index is None else ("logs", index)


def _is_too_long(detail: Any) -> bool:
    return bool(detail["type"] == "too_long" and detail["loc"] == ("logs",))


def _item(detail: Any, location: tuple[str | int, ...]) -> dict[str, Any]:
    """An error as FastAPI lists it. The input is included only if it is a short scalar that JSON
    can represent."""
    kind, where = detail["type"], detail["loc"]
    if kind == ACTOR_MISSING:
        where = (*where, "user_id")
    item = {"type": kind, "loc": ["body", *location, *where], "msg": detail["msg"]}
    value = detail["input"]
    if isinstance(value, str) and kind != "json_invalid":
        item["input"] = value[:_SHOWN_CHARACTERS]
    elif isinstance(value, bool | int) and abs(value) < 2**53:
        item["input"] = value
    elif isinstance(value, float) and math.isfinite(value):
        item["input"] = value
    return item
