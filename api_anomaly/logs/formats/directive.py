"""A server's own directive -> a format of its lines."""

from api_anomaly.logs.formats.format import FormatUnknown, TextFormat


def directive_format(directive: str, name: str = "log_format") -> TextFormat:
    """The format that a directive describes. Raises FormatUnknown where it cannot be read."""
    raise FormatUnknown("directives are not read yet")
