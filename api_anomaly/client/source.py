"""A log file or standard input -> numbered records: lines, or the items of a JSON array.

Input is read as a stream. Gzip is recognised by its first bytes. Standard input is copied to a
temporary file first where it has to be read twice.
"""

import gzip
import io
import json
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from api_anomaly.logs.formats.format import Value

_GZIP = b"\x1f\x8b"
_SEPARATORS = re.compile(r"[\s,]*")
_CHUNK_BYTES = 1 << 18
_MAX_ITEM_CHARACTERS = 1 << 24  # of one JSON item


class SourceError(Exception):
    """The input cannot be read as an access log; the text says why."""


class Record(NamedTuple):
    """One line or item of the input, and its number from 1."""

    number: int
    value: Value


class Source:
    """A log file, or standard input where `path` is None."""

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self._path = path
        self._stream = stream
        self._standard_input: io.BufferedReader | None = None

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """The decompressed content, from its start; standard input from where it was left."""
        if self._path is None:
            if self._standard_input is None:
                stream = self._stream if self._stream is not None else sys.stdin.buffer
                self._standard_input = _decompress(cast(io.RawIOBase, stream))
            yield self._standard_input
            return
        try:
            raw = self._path.open("rb", buffering=0)
        except OSError as error:
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error
        with raw:
            yield _decompress(raw)

    @contextmanager
    def rereadable(self) -> Iterator["Source"]:
        """The same content as a source that can be opened more than once."""
        if self._path is not None:
            yield self
            return
        with tempfile.NamedTemporaryFile(prefix="api-replay-") as copy, self.open() as stream:
            with explain_read_errors():
                shutil.copyfileobj(stream, copy)
            copy.flush()
            yield Source(Path(copy.name))


def _decompress(raw: io.RawIOBase) -> io.BufferedReader:
    plain: io.BufferedReader = io.BufferedReader(raw, _CHUNK_BYTES)
    if not plain.peek(2).startswith(_GZIP):
        return plain
    return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=plain)), _CHUNK_BYTES)


@contextmanager
def explain_read_errors() -> Iterator[None]:
    """Turn errors of reading into SourceError."""
    try:
        yield
    except EOFError as error:
        raise SourceError("the gzip data breaks off before its end") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"the gzip data is damaged: {error}") from error
    except OSError as error:
        raise SourceError(f"the input cannot be read: {error}") from error


def read_sample(stream: io.BufferedReader) -> str:
    """The first 256 KiB as text; they stay in the stream."""
    with explain_read_errors():
        return stream.peek(_CHUNK_BYTES).decode("utf-8-sig", "backslashreplace")


def read_lines(stream: io.BufferedReader) -> Iterator[Record]:
    """Each line that is not blank, without its end. Bytes that are not UTF-8 become `\\xHH`."""
    with explain_read_errors():
        for number, raw in enumerate(stream, start=1):
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "backslashreplace").strip(
                "\r\n"
            )
            if line.strip():
                yield Record(number, line)


def read_array(stream: io.BufferedReader) -> Iterator[Record]:
    """The items of the first JSON array in the input, one at a time."""
    characters = io.TextIOWrapper(stream, "utf-8-sig", errors="backslashreplace")
    items = _ArrayReader(characters)
    number = 0
    with explain_read_errors():
        while items.has_next():
            number += 1
            try:
                value = items.read_next()
            except (ValueError, RecursionError) as error:  # also a number of thousands of digits
                raise SourceError(f"the JSON array breaks at item {number}: {error}") from error
            yield Record(number, value)
    characters.detach()


class _ArrayReader:
    """Decodes a JSON array item by item; `buffer[position:]` was read and not decoded yet."""

    def __init__(self, characters: io.TextIOWrapper) -> None:
        self._characters = characters
        self._decoder = json.JSONDecoder()
        self._buffer = characters.read(_CHUNK_BYTES)
        self._position = self._buffer.find("[") + 1

    def has_next(self) -> bool:
        """Whether another item follows before the closing bracket."""
        while True:
            separators = _SEPARATORS.match(self._buffer, self._position)
            self._position = separators.end() if separators else self._position
            if self._position < len(self._buffer):
                return self._buffer[self._position] != "]"
            if not self._read_more():
                raise SourceError("the JSON array breaks off: its closing bracket is missing")

    def read_next(self) -> Value:
        """Decode the next item, reading on until it is complete."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError:
                if (
                    len(self._buffer) - self._position > _MAX_ITEM_CHARACTERS
                    or not self._read_more()
                ):
                    raise
                continue
            # A number at the end of the buffer may continue in the next chunk: 20 of 200.
            if end < len(self._buffer) or not self._read_more():
                self._position = end
                return cast(Value, value)

    def _read_more(self) -> bool:
        more = self._characters.read(_CHUNK_BYTES)
        self._buffer = self._buffer[self._position :] + more
        self._position = 0
        return bool(more)
