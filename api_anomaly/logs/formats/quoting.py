r"""Quoted texts in log lines, and the escapes that Apache and nginx write in them."""

import re

#: A quoted text; its group is the content.
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_ESCAPE = re.compile(r'\\(?:([\\"])|((?:x[0-9A-Fa-f]{2})(?:\\x[0-9A-Fa-f]{2})*))')


def unescape(text: str) -> str:
    r"""Undo `\"`, `\\` and runs of `\xHH` that are printable UTF-8.

    Control characters stay escaped (`\x16\x03`), so that no log can steer a terminal.
    """
    return _ESCAPE.sub(_decode_escape, text) if "\\" in text else text


def _decode_escape(escape: re.Match[str]) -> str:
    if escape.group(1):
        return escape.group(1)
    try:
        text = bytes.fromhex(escape.group(2).replace("\\", "").replace("x", "")).decode("utf-8")
    except UnicodeDecodeError:
        return escape.group(0)
    return text if text.isprintable() else escape.group(0)
