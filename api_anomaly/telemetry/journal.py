"""The service's own record, through Loguru: JSON lines in LOG_FILE, readable lines on the terminal.

(Not called a log: a log, in this project, is an entry of an API's access log.) An entry is an event
and a few fields from a fixed vocabulary: counts, codes, durations, versions, route templates. No
token, user, address, user agent, path or body is ever passed in, and exceptions are entered by type
and place, without their message, because a message may quote a body.
"""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

#: Above every level that can be set: an audit that can be switched off is none.
_AUDIT = "AUDIT"
_AUDIT_LEVEL = 60

_TERMINAL = (
    "<green>{time:YYYY-MM-DD HH:mm:ss}</green> <level>{level: <8}</level> {extra[readable]}\n"
)


class Journal:
    """One app's journal; `close` ends it. Entries of other apps in the process stay out of it."""

    def __init__(self, level: str, file: Path) -> None:
        self._logger = logger.bind(journal=self)
        #: Whether a `debug` entry would be written: hot paths ask before they make one.
        self.verbose = level in ("TRACE", "DEBUG")
        self._sinks: list[int] = []
        self._drop_default_sink()
        self._know_the_audit()
        common: dict[str, Any] = {"level": level, "filter": self._is_mine}
        common |= {"backtrace": False, "diagnose": False}
        self._sinks.append(logger.add(sys.stderr, format=_readable, **common))
        try:
            sink = logger.add(file, format=_json, rotation="00:00", retention="30 days", **common)
            self._sinks.append(sink)
        except OSError as error:
            self.warning("log file cannot be opened, terminal only", error=type(error).__name__)

    def debug(self, event: str, **fields: Any) -> None:
        """An entry for someone who looks into one request."""
        self._logger.bind(fields=fields).debug(event)

    def info(self, event: str, **fields: Any) -> None:
        """An entry of ordinary life."""
        self._logger.bind(fields=fields).info(event)

    def warning(self, event: str, **fields: Any) -> None:
        """An entry that a human should read."""
        self._logger.bind(fields=fields).warning(event)

    def audit(self, **fields: Any) -> None:
        """An entry of the audit, whatever LOG_LEVEL says: who did what, and what came of it."""
        self._logger.bind(fields=fields).log(_AUDIT, "audit")

    def failure(self, event: str, error: BaseException, **fields: Any) -> None:
        """An entry for an error nobody expected: its type and the place where it was raised."""
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        fields |= {"error": type(error).__name__, "places": places}
        self._logger.bind(fields=fields).error(event)

    def close(self) -> None:
        """Flush and let go of the file."""
        for sink in self._sinks:
            logger.remove(sink)
        self._sinks.clear()

    def _is_mine(self, record: "Record") -> bool:
        return record["extra"].get("journal") is self

    @staticmethod
    def _know_the_audit() -> None:
        """Loguru's levels are the process's, and each may be made once."""
        try:
            logger.level(_AUDIT)
        except ValueError:
            logger.level(_AUDIT, no=_AUDIT_LEVEL)

    @staticmethod
    def _drop_default_sink() -> None:
        """Loguru's own sink 0 would print every entry a second time."""
        try:
            logger.remove(0)
        except ValueError:
            return


def _json(record: "Record") -> str:
    entry = {
        "time": record["time"].astimezone().isoformat(),
        "level": record["level"].name,
        "event": record["message"],
    }
    record["extra"]["line"] = msgspec.json.encode(entry | record["extra"]["fields"]).decode()
    return "{extra[line]}\n"


def _readable(record: "Record") -> str:
    fields = [f"{name}={value}" for name, value in record["extra"]["fields"].items()]
    record["extra"]["readable"] = " ".join([record["message"], *fields])
    return _TERMINAL
