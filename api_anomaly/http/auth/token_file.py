"""The token file: hashes of tokens with scopes, read again while the service runs.

One entry a line, blank lines and ``# comments`` between them::

    <id> sha256:<64 hex digits> <scope>[,<scope>...] [until=<ISO 8601>]

Ids are for people and for the audit; two entries may share one, so that a new token can be given
out before the old one goes. ``python -m api_anomaly.http.auth.token_file --help`` makes entries.
"""

import argparse
import os
import re
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from api_anomaly.errors import TokenFileInvalid
from api_anomaly.http.auth.tokens import Caller, token_digest
from api_anomaly.http.auth.authenticator import GUESSABLE_CHARACTERS
from api_anomaly.http.auth.scopes import SCOPES

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
#: Far more than a team has; a file that is larger is some other file.
_MOST_BYTES = 1024 * 1024


class Entry(NamedTuple):
    """One line: the caller, the digest of its token, and when it ends in Unix seconds."""

    caller: Caller
    digest: bytes
    until: float


def entries_in(path: Path) -> list[Entry]:
    """The entries of the file, at least one. Raises TokenFileInvalid, which names the line.

    A file without an entry is refused too: it is more often half-written than meant.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        lines = data.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileInvalid(f"The token file cannot be read: {type(error).__name__}.") from error
    if len(data) > _MOST_BYTES:
        raise TokenFileInvalid(f"The token file is larger than {_MOST_BYTES} bytes.")
    entries = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].split()
        if text:
            entries.append(_entry(text, number))
    if not entries:
        raise TokenFileInvalid("The token file has no entry.")
    return entries


def callers_at(entries: Sequence[Entry], now: float) -> dict[bytes, Caller]:
    """The callers by digest whose entries have not ended at `now`, in Unix seconds."""
    return {entry.digest: entry.caller for entry in entries if entry.until > now}


def _entry(words: list[str], number: int) -> Entry:
    name, hashed, scopes = (*words, "", "", "")[:3]
    found = _HASH.fullmatch(hashed)
    held = frozenset(scopes.split(","))
    if not _ID.fullmatch(name) or not found or not held <= set(SCOPES) or len(words) > 4:
        raise TokenFileInvalid(
            f"Line {number} of the token file is not `<id> sha256:<64 hex digits> <scopes>"
            f" [until=<ISO 8601>]`, with scopes out of {', '.join(SCOPES)}."
        )
    until = _until(words[3], number) if len(words) == 4 else float("inf")
    return Entry(Caller(name, held, f"file:{name}"), bytes.fromhex(found[1]), until)


def _until(word: str, number: int) -> float:
    name, _, moment = word.partition("=")
    try:
        if name != "until":
            raise ValueError
        read = datetime.fromisoformat(moment)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise TokenFileInvalid(
            f"Line {number} of the token file: {word!r} is not until=<ISO 8601>."
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Make an entry, and a token for it unless one is given on standard input."""
    options = _parser().parse_args(arguments)
    token = sys.stdin.readline().strip() if options.stdin else secrets.token_urlsafe(32)
    if len(token) < GUESSABLE_CHARACTERS or not token.isascii() or not token.isprintable():
        print(f"A token has {GUESSABLE_CHARACTERS} printable characters or more.", file=sys.stderr)
        return 1
    line = f"{options.id} sha256:{token_digest(token.encode()).hex()} {options.scopes}"
    line += f" until={options.until}" if options.until else ""
    try:
        _entry(line.split(), 1)
        if options.file:
            _append(options.file, line)
    except (TokenFileInvalid, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if not options.file:
        print(line)
    if not options.stdin:
        print(f"The token, shown this once: {token}", file=sys.stderr)
    return 0


def _append(path: Path, line: str) -> None:
    """In one step, so that a running service never reads a half. Whoever may read stays so."""
    before = path.read_text("ascii") if path.exists() else ""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(before + ("" if before.endswith("\n") or not before else "\n") + line + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog="python -m api_anomaly.http.auth.token_file",
        description="Make an entry of the token file and a token for it.",
        epilog=" ".join(f"{name}: {meaning}." for name, meaning in SCOPES.items()),
    )
    words.add_argument("id", help="who will use it; named in the audit")
    words.add_argument("scopes", help=f"one or more of {','.join(SCOPES)}, comma-separated")
    words.add_argument("--until", help="when it ends, ISO 8601; without an offset it means UTC")
    words.add_argument("--file", type=Path, help="append to this file instead of printing")
    words.add_argument("--stdin", action="store_true", help="hash the token on standard input")
    return words


if __name__ == "__main__":
    sys.exit(main())
