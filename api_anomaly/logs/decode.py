"""From the bytes of a body to a batch: the one door between JSON and columns.

`Decoder` holds the limits. An ordinary body is scanned (`service.ordinary`). Any other is read by
Pydantic in one pass; only when that fails, another pass lists the faults of every log, at most
`LISTED` of them in full, so that a body of a million faulty logs costs no more room than a good
one.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, TypeAdapter, ValidationError, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler, ValidationInfo

from api_anomaly.logs.columns import Columns
from api_anomaly.logs.scan.bodies import OPTIONS, known
from api_anomaly.logs.from_models import columns_from
from api_anomaly.logs.ordinary import Ordinary, ordinary
from api_anomaly.errors import BatchTooLarge, Invalid
from api_anomaly.logs.schema import NOBODY, DetectBody, Log, TrainBody

#: How many faults a 422 lists.
LISTED = 100
_SHOWN_CHARACTERS = 100
#: Commas in a body, for each log that may be in it: a log has eleven, and some in its texts. The
#: parser keeps every value of a body before it judges the first, some forty times its bytes when
#: they are ten million zeros.
COMMAS, FEWEST_COMMAS = 24, 100_000


_DETECT = known("logs", "threshold", "include_scores", "include_rules", "update_state")
_TRAIN = known("logs", "test_size")
_SCORES, _RULES, _REMEMBER = (
    OPTIONS.index(name) for name in ("include_scores", "include_rules", "update_state")
)


class Detection(NamedTuple):
    """A decoded POST /detect: n logs as columns and as sent, and its options."""

    columns: Columns
    logs: Sequence[Log]
    threshold: float | None
    include_scores: bool
    include_rules: bool
    remember: bool


class History(NamedTuple):
    """A decoded POST /train: n logs as columns; labels (n,) are 0, 1 or NaN for unknown."""

    columns: Columns
    labels: NDArray[np.float64]
    test_size: float


class Decoder:
    """Reads bodies with at most so many logs. Raises Invalid or BatchTooLarge. Without `scans` it
    lets Pydantic read all, which takes longer and makes no difference else."""

    def __init__(
        self, most_detection_logs: int, most_training_logs: int, scans: bool = True
    ) -> None:
        self._detection = _Reader(DetectBody, most_detection_logs, _DETECT if scans else None)
        self._training = _Reader(TrainBody, most_training_logs, _TRAIN if scans else None)

    def warm_up(self) -> None:
        """Scan once, so that no request has to wait until the kernels are compiled."""
        self._detection.short(b'{"logs": []}')

    def detection(self, body: bytes) -> Detection:
        """The body of POST /detect. A microsecond a log when it is ordinary, else about ten."""
        short = self._detection.short(body)
        if short is not None:
            threshold, truth = short.number, short.scanned.truth
            if threshold is None or -1 <= threshold <= 0:
                return Detection(
                    short.columns,
                    short.logs,
                    threshold,
                    truth(_SCORES) is True,
                    truth(_RULES) is True,
                    truth(_REMEMBER) is not False,
                )
        read = self._detection.long(body)
        remember = read.update_state is not False
        columns = columns_from(read.logs)
        scores, rules = bool(read.include_scores), bool(read.include_rules)
        return Detection(columns, read.logs, read.threshold, scores, rules, remember)

    def history(self, body: bytes) -> History:
        """The body of POST /train. Of an ordinary one no object is made for any log."""
        short = self._training.short(body)
        if short is not None:
            size = 0.2 if short.number is None else short.number
            if 0 < size < 1:
                return History(short.columns, short.labels, size)
        read = self._training.long(body)
        labels = np.array([log.label for log in read.logs], np.float64)
        size = 0.2 if read.test_size is None else read.test_size
        return History(columns_from(read.logs), labels, size)


class _Faults:
    """Collects the faults of logs, in order; the rest are only counted."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.more = 0
        self._log = -1

    def visit(self, value: Any, validate: ValidatorFunctionWrapHandler) -> None:
        """Validate one log and keep nothing of it but its faults."""
        self._log += 1
        try:
            validate(value)
        except ValidationError as error:
            self.add(error, ("logs", self._log))

    def add(self, error: ValidationError, place: tuple[str | int, ...] = ()) -> None:
        """List the faults of `error` as long as there is room."""
        remaining = max(0, LISTED - len(self.items))
        if remaining:
            faults = error.errors(include_url=False, include_context=False)
            self.items += [_item(fault, place) for fault in faults[:remaining]]
        self.more += max(0, error.error_count() - remaining)


def refusal_of(error: ValidationError) -> Invalid:
    """The refusal that lists the faults of a whole body."""
    faults = _Faults()
    faults.add(error)
    return Invalid(faults.items, faults.more)


def _visit(
    value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo[_Faults]
) -> None:
    info.context.visit(value, validate)


class _Reader:
    """One kind of body: `shape` is DetectBody or TrainBody, `options` what a scan may find in it;
    None when nothing is to be scanned."""

    def __init__(self, shape: Any, most_logs: int, options: int | None) -> None:
        length = Field(max_length=most_logs)
        self._options = options
        self._most_logs = most_logs
        self._most_commas = max(COMMAS * most_logs, FEWEST_COMMAS)
        self._strict = TypeAdapter(shape[Annotated[list[Log], FailFast(), length]])
        visited = Annotated[Log, WrapValidator(_visit)]
        self._explaining = TypeAdapter(shape[Annotated[list[visited], length]])

    def short(self, body: bytes) -> Ordinary | None:
        """The body, if it is ordinary. Raises BatchTooLarge."""
        if len(body) > self._most_commas and body.count(b",") > self._most_commas:
            raise BatchTooLarge(f"At most {self._most_logs} logs fit, and this has more values.")
        if self._options is None:
            return None
        return ordinary(body, self._most_logs, self._options)

    def long(self, body: bytes) -> Any:
        """The body as Pydantic reads it. Raises Invalid or BatchTooLarge."""
        try:
            return self._strict.validate_json(body)
        except ValidationError as error:
            raise self._refusal(body, error) from None

    def _refusal(self, body: bytes, first: ValidationError) -> Invalid | BatchTooLarge:
        faults = _Faults()
        try:
            self._explaining.validate_json(body, context=faults)
        except ValidationError as error:
            if any(_is_too_long(fault) for fault in error.errors(include_input=False)):
                return BatchTooLarge(f"At most {self._most_logs} logs fit into one request.")
            faults.add(error)
        # The second pass is written to find at least what the first one found; this is the net.
        items = faults.items or [_item(fault, ()) for fault in first.errors(include_url=False)]
        return Invalid(items, faults.more)


def _is_too_long(fault: Any) -> bool:
    return bool(fault["type"] == "too_long" and fault["loc"] == ("logs",))


def _item(fault: Any, place: tuple[str | int, ...]) -> dict[str, Any]:
    """A fault as FastAPI lists it; the input only when it is a short scalar that JSON can carry."""
    kind, where = fault["type"], fault["loc"]
    if kind == NOBODY:
        where = (*where, "user_id")
    item = {"type": kind, "loc": ["body", *place, *where], "msg": fault["msg"]}
    value = fault["input"]
    if isinstance(value, str) and kind != "json_invalid":
        item["input"] = value[:_SHOWN_CHARACTERS]
    elif isinstance(value, bool | int) and abs(value) < 2**53:
        item["input"] = value
    elif isinstance(value, float) and math.isfinite(value):
        item["input"] = value
    return item
