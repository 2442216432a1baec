"""W3C extended logs: IIS, Amazon CloudFront. A `#Fields:` line names the columns of what follows.

Sources: learn.microsoft.com (IIS, W3C logging fields), docs.aws.amazon.com (CloudFront standard
and real-time logs), w3.org/TR/WD-logfile. Both write UTC. `time-taken` is milliseconds in IIS and
seconds in CloudFront; of other servers only a decimal fraction says seconds. The columns can also
be given, for real-time logs and for parts of a file.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import Parse, ParseError, RawLog, TextFormat

_DIRECTIVE = re.compile(r"#\s?(\w+(?:-\w+)?):?\s*(.*)", re.DOTALL)
_MISSING = ("-", "...", "")
_AGENT = ("cs(user-agent)", "cs-user-agent", "cs-user-agent(cs)")
_FORWARDED = ("x-forwarded-for", "cs(x-forwarded-for)", "cs-x-forwarded-for")
_CLOUDFRONT = ("x-edge-location", "x-edge-request-id", "x-edge-result-type")
_IIS = ("sc-win32-status", "sc-substatus", "s-sitename", "s-computername")


class _Columns:
    """The columns of lines, by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._index = {name.lower(): index for index, name in reversed([*enumerate(names)])}
        self.count = len(names)
        self.is_cloudfront = any(name in self._index for name in _CLOUDFRONT)
        self.is_iis = not self.is_cloudfront and any(name in self._index for name in _IIS)

    def value(self, values: Sequence[str], *names: str) -> str | None:
        """The first of these columns that holds a value."""
        for name in names:
            index = self._index.get(name)
            if index is not None and values[index] not in _MISSING:
                return values[index]
        return None


class _Parser:
    """The state of one stream: the columns and the date of the last header."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._columns = _Columns(names)
        self._date: str | None = None

    def __call__(self, line: str) -> RawLog | None:
        if line.startswith("#"):
            self._read_directive(line)
            return None
        columns = self._columns
        if not columns.count:
            raise ParseError("no #Fields line before it; give the columns with ?log_format=")
        values = line.split("\t") if "\t" in line else line.split()
        if len(values) != columns.count:
            raise ParseError(f"{len(values)} columns where #Fields names {columns.count}")
        return self._raw(values)

    def _read_directive(self, line: str) -> None:
        match = _DIRECTIVE.fullmatch(line)
        if not match:
            raise ParseError("a comment, but of no W3C log")
        name, text = match.group(1).lower(), match.group(2)
        if name == "fields":
            self._columns = _Columns(text.split())
        elif name == "date":
            self._date = text.split(" ")[0]

    def _raw(self, values: Sequence[str]) -> RawLog:
        def value(*names: str) -> str | None:
            return self._columns.value(values, *names)

        return RawLog(
            timestamp=self._timestamp(values),
            method=value("cs-method"),
            endpoint=_endpoint(value("cs-uri-stem", "cs-uri"), value("cs-uri-query")),
            status=value("sc-status") or "-",
            client=value("c-ip"),
            user=value("cs-username"),
            agent=self._decoded(value(*_AGENT)),
            seconds=self._seconds(value("time-taken")),
            request_size=value("cs-bytes"),
            response_size=value("sc-bytes"),
            forwarded=self._decoded(value(*_FORWARDED)),
        )

    def _timestamp(self, values: Sequence[str]) -> str | None:
        date = self._columns.value(values, "date") or self._date
        time = self._columns.value(values, "time")
        if date and time:
            return f"{date}T{time}Z"
        return self._columns.value(values, "timestamp(ms)", "timestamp")

    def _seconds(self, text: str | None) -> float | None:
        count = normalize.number(text)
        if text is None or count is None:
            return None
        if self._columns.is_iis:
            return count / 1000
        return count if self._columns.is_cloudfront or "." in text else None

    def _decoded(self, text: str | None) -> str | None:
        if text is None:
            return None
        return unquote(text) if self._columns.is_cloudfront else text.replace("+", " ")


def _endpoint(stem: str | None, query: str | None) -> str | None:
    """Path and query. CloudFront's real-time logs have the query in the path's column too."""
    if stem is None or query is None or "?" in stem:
        return stem
    return f"{stem}?{query}"


def w3c_format(name: str, names: Sequence[str] = ()) -> TextFormat:
    """The format of lines with these columns, until a #Fields line names others."""

    def start() -> Parse:
        return _Parser(names)

    return TextFormat(name, _TITLE, _EXAMPLE, start)


def knows_columns(names: Sequence[str]) -> bool:
    """Whether these are the names of the columns of a web server's W3C log."""
    return {"sc-status", "c-ip"} <= {name.lower() for name in names}


_TITLE = "W3C extended log (IIS, CloudFront)"
_EXAMPLE = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip"
    " cs(User-Agent) sc-status sc-substatus sc-win32-status time-taken\n"
    "2019-03-06 18:43:18 10.0.140.107 POST /api/v1/users id=7 443 EXAMPLE\\erin 203.0.113.9"
    " PostmanRuntime/7.36.0 401 1 1326 31"
)
W3C = w3c_format("w3c")
