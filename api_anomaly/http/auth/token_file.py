"""The token file: digests of tokens with scopes. The service reads it again when it changes.

One entry a line; blank lines and ``# comments`` are skipped::

    <id> sha256:<64 hex digits> <scope>[,<scope>...] [until=<ISO 8601>]

Ids are for people and for the audit log. Two entries may share an id, so that a new token can be
given out before the old one is removed. ``python -m api_anomaly.http.auth.token_file --help``
creates entries.
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
from api_anomaly.http.auth.scopes import SCOPES
from api_anomaly.http.auth.tokens import MIN_STRONG_CHARACTERS, Caller, token_digest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
#: Far more entries than a team has; a larger file is a wrong path.
_MAX_BYTES = 1024 * 1024


class Entry(NamedTuple):
    """One line. `until`: Unix seconds at which the token expires."""

    caller: Caller
    digest: bytes
    until: float


def read_token_file(path: Path) -> list[Entry]:
    """The entries of the file. Raises TokenFileInvalid, which names the line.

    A file without an entry is refused too: usually it is being written.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        lines = data.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileInvalid(f"The token file cannot be read: {type(error).__name__}.") from error
    if len(data) > _MAX_BYTES:
        raise TokenFileInvalid(f"The token file is larger than {_MAX_BYTES} bytes.")
    entries = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].split()
        if text:
            entries.append(_parse_entry(text, number))
    if not entries:
        raise TokenFileInvalid("The token file has no entry.")
    return entries


def active_callers(entries: Sequence[Entry], now: float) -> dict[bytes, Caller]:
    """Callers by token digest, without those that expired before `now` (Unix seconds)."""
    return {entry.digest: entry.caller for entry in entries if entry.until > now}


def _parse_entry(words: list[str], number: int) -> Entry:
    name, hashed, scope_list = (*words, "", "", "")[:3]
    digest = _HASH.fullmatch(hashed)
    scopes = frozenset(scope_list.split(","))
    if not _ID.fullmatch(name) or not digest or not scopes <= set(SCOPES) or len(words) > 4:
        raise TokenFileInvalid(
            f"Line {number} of the token file is not `<id> sha256:<64 hex digits> <scopes>"
            f" [until=<ISO 8601>]`, with scopes out of {', '.join(SCOPES)}."
        )
    until = _parse_until(words[3], number) if len(words) == 4 else float("inf")
    return Entry(Caller(name, scopes, f"file:{name}"), bytes.fromhex(digest[1]), until)


def _parse_until(word: str, number: int) -> float:
    name, _, time = word.partition("=")
    try:
        if name != "until":
            raise ValueError
        parsed = datetime.fromisoformat(time)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise TokenFileInvalid(
            f"Line {number} of the token file: {word!r} is not until=<ISO 8601>."
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Create an entry, and a token for it unless one is given on standard input."""
    options = _parser().parse_args(arguments)
    token = sys.stdin.readline().strip() if options.stdin else secrets.token_urlsafe(32)
    if len(token) < MIN_STRONG_CHARACTERS or not token.isascii() or not token.isprintable():
        print(f"A token has {MIN_STRONG_CHARACTERS} printable characters or more.", file=sys.stderr)
        return 1
    line = f"{options.id} sha256:{token_digest(token.encode()).hex()} {options.scopes}"
    line += f" until={options.until}" if options.until else ""
    try:
        _parse_entry(line.split(), 1)
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
    """Replace the file in one step, so that a running service never reads half of it; keep its
    permissions."""
    before = path.read_text("ascii") if path.exists() else ""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(before + ("" if before.endswith("\n") or not before else "\n") + line + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api_anomaly.http.auth.token_file",
        description="Create an entry of the token file and a token for it.",
        epilog=" ".join(f"{name}: {meaning}." for name, meaning in SCOPES.items()),
    )
    parser.add_argument("id", help="who will use it; named in the audit")
    parser.add_argument("scopes", help=f"one or more of {','.join(SCOPES)}, comma-separated")
    parser.add_argument("--until", help="when it ends, ISO 8601; without an offset it means UTC")
    parser.add_argument("--file", type=Path, help="append to this file instead of printing")
    parser.add_argument("--stdin", action="store_true", help="hash the token on standard input")
    return parser


if __name__ == "__main__":
    sys.exit(main())
