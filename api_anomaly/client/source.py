"""A log file or standard input -> numbered lines.

Input is read as a stream. Gzip is recognised by its first bytes. Standard input is copied to a
temporary file first where it has to be read twice.
"""

import gzip
import io
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple, cast

from api_anomaly.logs.formats.format import Value
from api_anomaly.logs.formats.registry import JSON_FORMATS
from api_anomaly.logs.formats.unwrap import decode, events_of_text, is_document

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 18


class SourceError(Exception):
    """The input cannot be read as an access log; the text says why."""


class Line(NamedTuple):
    """One line of the input as it is, and its number from 1."""

    number: int
    text: bytes


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


def read_lines(stream: io.BufferedReader) -> Iterator[Line]:
    """Each line that is not blank, without its end. JSON across lines (an array, a document of
    records) is read whole, and each of its objects is a line."""
    with explain_read_errors():
        lines = _split(stream)
        head = list(islice(lines, 2))
        # That is JSON across lines, or all of the input in one line.
        text = decode(b"\n".join(line.text for line in head))
        if is_document(text):
            rest = decode(b"\n" + stream.read()) if len(head) == 2 else ""
            for event in events_of_text(text + rest, JSON_FORMATS):
                yield Line(event.position, _encode(event.value))
            return
        yield from chain(head, lines)


def _split(stream: io.BufferedReader) -> Iterator[Line]:
    for number, raw in enumerate(stream, start=1):
        text = raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw
        text = text.rstrip(b"\r\n")
        if text and not text.isspace():
            yield Line(number, text)


def _encode(value: Value) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text.encode("utf-8", "replace")
