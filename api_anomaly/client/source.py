"""Bytes -> numbered units: lines, or the items of a JSON array. Gzip is known by its first bytes.

A file is read as a stream, as often as needed; `-` (standard input) is first copied to a temporary
file when it has to be read twice. Nothing here knows what a unit means.
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

from api_anomaly.logs.formats.fields import Value

_GZIP = b"\x1f\x8b"
_BETWEEN = re.compile(r"[\s,]*")
_CHUNK = 1 << 18  # bytes read at once: large enough to be fast, small enough to look at
_ITEM_MOST = 1 << 24  # characters of one JSON item; more than any access log has


class SourceRefused(Exception):
    """The input cannot be read as an access log; the text says why, for people."""


class Unit(NamedTuple):
    """One piece of the input: its line number (or item number) from 1, and its content."""

    number: int
    value: Value


class Source:
    """A log file, or standard input, that can be opened again and again."""

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self._path = path
        self._stream = stream
        self._once: io.BufferedReader | None = None

    @contextmanager
    def opened(self) -> Iterator[io.BufferedReader]:
        """The content from its start, inflated if gzip. Standard input goes on where it was."""
        if self._path is None:
            if self._once is None:
                stream = self._stream if self._stream is not None else sys.stdin.buffer
                self._once = _inflated(cast(io.RawIOBase, stream))
            yield self._once
            return
        try:
            raw = self._path.open("rb", buffering=0)
        except OSError as error:
            raise SourceRefused(f"cannot read {self._path}: {error.strerror}") from error
        with raw:
            yield _inflated(raw)

    @contextmanager
    def rereadable(self) -> Iterator["Source"]:
        """The same content as a source that can be opened more than once."""
        if self._path is not None:
            yield self
            return
        with tempfile.NamedTemporaryFile(prefix="api-replay-") as copy, self.opened() as stream:
            with reading_sentences():
                shutil.copyfileobj(stream, copy)
            copy.flush()
            yield Source(Path(copy.name))


def _inflated(raw: io.RawIOBase) -> io.BufferedReader:
    plain: io.BufferedReader = io.BufferedReader(raw, _CHUNK)
    if not plain.peek(2).startswith(_GZIP):
        return plain
    return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=plain)), _CHUNK)


@contextmanager
def reading_sentences() -> Iterator[None]:
    """Faults of reading, said in a sentence."""
    try:
        yield
    except EOFError as error:
        raise SourceRefused("the gzip data breaks off before its end") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise SourceRefused(f"the gzip data is damaged: {error}") from error
    except OSError as error:
        raise SourceRefused(f"the input cannot be read: {error}") from error


def head(stream: io.BufferedReader) -> str:
    """The first characters, without taking them from the stream."""
    with reading_sentences():
        return stream.peek(_CHUNK).decode("utf-8-sig", "backslashreplace")


def text_lines(stream: io.BufferedReader) -> Iterator[Unit]:
    """Each line that is not blank, without its end. Bytes that are not UTF-8 become `\\xHH`."""
    with reading_sentences():
        for number, raw in enumerate(stream, start=1):
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "backslashreplace").strip(
                "\r\n"
            )
            if line.strip():
                yield Unit(number, line)


def array_items(stream: io.BufferedReader) -> Iterator[Unit]:
    """The items of the first JSON array in the input, one by one; it is never held whole."""
    letters = io.TextIOWrapper(stream, "utf-8-sig", errors="backslashreplace")
    items = _Items(letters)
    number = 0
    with reading_sentences():
        while items.more():
            number += 1
            try:
                value = items.take()
            except (ValueError, RecursionError) as error:  # also a number of thousands of digits
                raise SourceRefused(f"the JSON array breaks at item {number}: {error}") from error
            yield Unit(number, value)
    letters.detach()


class _Items:
    """A window on the text of an array: `buffer[place:]` is what was read and not yet decoded."""

    def __init__(self, letters: io.TextIOWrapper) -> None:
        self._letters = letters
        self._decoder = json.JSONDecoder()
        self._buffer = letters.read(_CHUNK)
        self._place = self._buffer.find("[") + 1

    def more(self) -> bool:
        """Whether another item stands before the closing bracket (or the end of the input)."""
        while True:
            between = _BETWEEN.match(self._buffer, self._place)
            self._place = between.end() if between else self._place
            if self._place < len(self._buffer):
                return self._buffer[self._place] != "]"
            if not self._grow():
                raise SourceRefused("the JSON array breaks off: its closing bracket is missing")

    def take(self) -> Value:
        """Decode the item at the window's start; reads on while it is not whole."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._place)
            except json.JSONDecodeError:
                if len(self._buffer) - self._place > _ITEM_MOST or not self._grow():
                    raise
                continue
            # A number at the very edge may go on behind it: 20 of 200.
            if end < len(self._buffer) or not self._grow():
                self._place = end
                return cast(Value, value)

    def _grow(self) -> bool:
        more = self._letters.read(_CHUNK)
        self._buffer = self._buffer[self._place :] + more
        self._place = 0
        return bool(more)
