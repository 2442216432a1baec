"""The fast path from JSON to columns: msgspec decodes structs, NumPy stores their fields.

It accepts only a body that Pydantic (`logs/schema.py`) accepts, and returns the same columns. Where
that is not certain it declines, and Pydantic reads the body. It never reports an error.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, overload

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from numpy.typing import NDArray
from pydantic import TypeAdapter

from api_anomaly.logs.columns import Columns, columns_of, joined
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.logs.schema import (
    AGENT_CHARACTERS,
    DEFAULT_TEST_SIZE,
    MAX_ADDRESS_CHARACTERS,
    MAX_ENDPOINT_CHARACTERS,
    MAX_STATUS,
    MAX_THRESHOLD,
    MAX_TIME,
    MAX_USER_CHARACTERS,
    MIN_STATUS,
    MIN_THRESHOLD,
    MIN_TIME,
    Log,
    Method,
    Timestamp,
)

#: Levels of nesting, less than the 200 that Pydantic's parser accepts.
_MAX_DEPTH = 150
#: A bracket that may open a nested value; others are in texts.
_NESTED = re.compile(rb"[:,\[]\s*(?=[\[{])")
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_SLICE_BYTES = 1 << 16
#: Logs of a training body that exist as structs at the same time: a struct with its texts takes
#: about 700 bytes, its columns about 200.
_CHUNK_LOGS = 4_096

#: Unix seconds of the years 1970 to 2286, which Pydantic reads alike from JSON and from Python.
_Seconds = Annotated[float, Meta(ge=0, lt=1e10)]
_Whole = Annotated[float, Meta(multiple_of=1)]


class LogStruct(Struct, gc=False):
    """A log as msgspec decodes it: most limits are checked, its values are not normalized yet."""

    timestamp: datetime | _Seconds
    endpoint: Annotated[str, Meta(min_length=1, max_length=MAX_ENDPOINT_CHARACTERS)]
    method: str
    status_code: (
        Annotated[float, Meta(ge=MIN_STATUS, le=MAX_STATUS, multiple_of=1)]
        | Annotated[str, Meta(pattern=r"^[1-5][0-9][0-9]\Z")]
    )
    user_id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_CHARACTERS)] | None = None
    response_time: float | None = None
    ip_address: Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS_CHARACTERS)] | None = None
    user_agent: str | None = None
    request_size: _Whole | None = None
    response_size: _Whole | None = None
    label: Annotated[float, Meta(ge=0, le=1, multiple_of=1)] | None = None


class DetectOptions(Struct, kw_only=True):
    """The options of POST /detect."""

    threshold: Annotated[float, Meta(ge=MIN_THRESHOLD, le=MAX_THRESHOLD)] | None = None
    include_scores: bool | None = False
    include_rules: bool | None = False
    update_state: bool | None = True
    on_invalid: Literal["reject", "skip"] | None = "reject"


class DetectStruct(DetectOptions, kw_only=True):
    """The body of POST /detect."""

    logs: list[LogStruct]


class TrainStruct(Struct):
    """The body of POST /train. Its logs stay JSON until their chunk is decoded."""

    logs: list[Raw]
    test_size: Annotated[float, Meta(gt=0, lt=1)] | None = DEFAULT_TEST_SIZE


class LazyLogs(Sequence[Log]):
    """n valid logs. Each is validated when it is asked for: a response shows few of a batch."""

    __slots__ = ("_structs",)

    def __init__(self, structs: Sequence[LogStruct]) -> None:
        self._structs = structs

    def __len__(self) -> int:
        return len(self._structs)

    @overload
    def __getitem__(self, index: int) -> Log: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Log]: ...

    def __getitem__(self, index: int | slice) -> Log | Sequence[Log]:
        if isinstance(index, slice):
            return LazyLogs(self._structs[index])
        return LOG.validate_python(msgspec.structs.asdict(self._structs[index]))


LOG = TypeAdapter(Log)
_METHOD = TypeAdapter(Method)
_TIMESTAMPS = TypeAdapter(list[Timestamp])
_DETECT = msgspec.json.Decoder(DetectStruct)
_TRAIN = msgspec.json.Decoder(TrainStruct)
_LOG_STRUCT = msgspec.json.Decoder(LogStruct)
#: What declining raises: ValueError is also the base of the errors of msgspec, Pydantic and UTF-8.
_DECLINED = (ValueError, RecursionError)


class FastDetect(NamedTuple):
    """An accepted body of POST /detect with n logs."""

    options: DetectStruct
    columns: Columns


class FastTrain(NamedTuple):
    """An accepted body of POST /train with n logs; labels (n,) are 0, 1 or NaN for unknown."""

    options: TrainStruct
    columns: Columns
    labels: NDArray[np.float64]


def decode_detect(
    body: bytes, max_logs: int, pseudonyms: Pseudonyms | None = None
) -> FastDetect | None:
    """The body of POST /detect, or None to decline. About 0.9 µs a log."""
    try:
        options = _DETECT.decode(body)
        _check_skipped(body, len(options.logs), max_logs)
        return FastDetect(options, _columns_from_structs(options.logs, pseudonyms))
    except _DECLINED:
        return None


def decode_train(
    body: bytes, max_logs: int, pseudonyms: Pseudonyms | None = None
) -> FastTrain | None:
    """The body of POST /train, or None to decline. About 1 µs a log. Besides the columns it needs
    56 bytes a log, because only a chunk of the logs exists as objects at a time."""
    labels: list[NDArray[np.float64]] = []
    try:
        options = _TRAIN.decode(body)
        _check_skipped(body, len(options.logs), max_logs)
        columns = joined(_decode_chunks(options.logs, labels, pseudonyms))
        return FastTrain(options, columns, np.concatenate(labels))
    except _DECLINED:
        return None


def _decode_chunks(
    logs: list[Raw], labels: list[NDArray[np.float64]], pseudonyms: Pseudonyms | None
) -> Iterator[Columns]:
    """The columns of each chunk of `logs` (at least one); its labels are appended to `labels`."""
    for start in range(0, max(len(logs), 1), _CHUNK_LOGS):
        chunk = logs[start : start + _CHUNK_LOGS]
        read: Sequence[Log | LogStruct]
        try:
            read = structs = list(map(_LOG_STRUCT.decode, chunk))
            columns = _columns_from_structs(structs, pseudonyms)
        except _DECLINED:  # an unusual log: Pydantic reads this chunk
            read = valid = [LOG.validate_json(bytes(log)) for log in chunk]
            columns = columns_from_logs(valid, pseudonyms)
        labels.append(np.array([log.label for log in read], np.float64))
        yield columns


def columns_from_logs(logs: Sequence[Log], pseudonyms: Pseudonyms | None = None) -> Columns:
    """The columns of n valid logs, in which `pseudonyms` replace users and addresses."""
    if pseudonyms is not None:
        pseudonyms.replace(logs)
    return _columns(logs, [log.timestamp.timestamp() for log in logs])


def _columns_from_structs(logs: Sequence[LogStruct], pseudonyms: Pseudonyms | None) -> Columns:
    """The columns of n decoded logs, in which `pseudonyms` replace users and addresses. Raises
    ValueError where Pydantic has to decide."""
    if (None, None) in zip([log.user_id for log in logs], [log.ip_address for log in logs]):
        raise ValueError("a log has neither a user nor an address")
    if pseudonyms is not None:
        pseudonyms.replace(logs)
    return _columns(logs, _unix_seconds([log.timestamp for log in logs]))


def _columns(logs: Sequence[Log | LogStruct], time: list[float]) -> Columns:
    return columns_of(
        time,
        [log.user_id for log in logs],
        [log.endpoint for log in logs],
        [_normalize_method(log.method) for log in logs],
        [int(log.status_code) for log in logs],
        [log.response_time for log in logs],
        [log.ip_address for log in logs],
        [log.user_agent and log.user_agent[:AGENT_CHARACTERS] for log in logs],
        [log.request_size for log in logs],
        [log.response_size for log in logs],
    )


@lru_cache(maxsize=1_024)
def _normalize_method(method: str) -> str:
    return _METHOD.validate_python(method)


def _unix_seconds(timestamps: Sequence[datetime | float]) -> list[float]:
    """Times in Unix seconds (UTC). Raises ValueError beyond the years 1 to 9999."""
    moments: Any = timestamps
    if set(map(type, timestamps)) != {datetime}:
        moments = _TIMESTAMPS.validate_python(timestamps)
    times = [(time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() for time in moments]
    if min(times) < MIN_TIME or max(times) >= MAX_TIME + 1:
        raise ValueError("a timestamp is out of range")
    return times


def _check_skipped(body: bytes, logs: int, max_logs: int) -> None:
    """Raise ValueError if there are too many logs, or if Pydantic could reject an unknown field.
    msgspec skips such a field even if it is not UTF-8, is nested deeply or is a number with too
    many digits. (More than 4,300 digits, Python's limit, include 16 adjacent ones in a sample of
    every 256th byte.)
    """
    if logs > max_logs:
        raise ValueError("more logs than allowed")
    if _LONG_NUMBER.search(body[::256]):
        raise ValueError("perhaps a number with too many digits")
    utf8 = None if body.isascii() else codecs.getincrementaldecoder("utf-8")()
    data, brackets = np.frombuffer(body, np.uint8), 0
    for start in range(0, len(body), _SLICE_BYTES):
        part = data[start : start + _SLICE_BYTES]
        brackets += int(np.count_nonzero(part | 0x20 == 0x7B))  # the bit that "{" has and "[" not
        if utf8:
            utf8.decode(part.data)
    if brackets - logs > _MAX_DEPTH and sum(1 for _ in _NESTED.finditer(body)) - logs > _MAX_DEPTH:
        raise ValueError("perhaps nested too deeply")
