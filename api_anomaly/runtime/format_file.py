"""LOG_FORMATS_FILE: own log formats by name, each a server's directive, in YAML::

shop: '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from api_anomaly.errors import FormatUnknown
from api_anomaly.logs.formats import format as formats
from api_anomaly.logs.formats.directive import directive_format
from api_anomaly.logs.formats.format import TextFormat


def load_formats(path: Path | None) -> Mapping[str, TextFormat]:
    """The formats of the file; none without a file. Raises FormatUnknown, which says where the file
    is wrong."""
    if path is None:
        return {}
    try:
        rows = yaml.safe_load(path.read_text("utf-8")) or {}
        if not isinstance(rows, dict):
            raise FormatUnknown(f"{path} must map names to directives.")
        return {
            str(name): directive_format(str(text))._replace(name=str(name))
            for name, text in rows.items()
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, formats.FormatUnknown) as error:
        raise FormatUnknown(f"LOG_FORMATS_FILE {path}: {error}") from error
