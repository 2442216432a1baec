#!/usr/bin/env python3
"""Writes the dashboards' JSON from ``panels.py``.

monitoring/grafana/build.py            write dashboards/*.json
monitoring/grafana/build.py --check    exit code 1 when a file differs from what would be written
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from panels import DASHBOARDS, Dashboard, Panel  # noqa: E402  # beside this file

FOLDER = HERE / "dashboards"
JOB = "api-anomaly-detection"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WHO = f'job="{JOB}",instance=~"$instance"'
_HEIGHT = {"stat": 4, "timeseries": 8, "heatmap": 8, "table": 6}
_GRID = 24


def query(text: str) -> str:
    """PromQL with `{who}` and `{who,...}` replaced by the label matchers of the chosen series."""
    return text.replace("{who}", "{" + _WHO + "}").replace("{who,", "{" + _WHO + ",")


def dashboard(source: Dashboard) -> dict[str, Any]:
    """Grafana's JSON of one dashboard."""
    return {
        "uid": source.name,
        "title": source.title,
        "description": source.description,
        "tags": [JOB],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_datasource(), _instance()]},
        "panels": placed(source.panels),
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
    }


def _instance() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": _SOURCE,
        "query": f'label_values(up{{job="{JOB}"}}, instance)',
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """The panels, laid out in rows from left to right."""
    laid: list[dict[str, Any]] = []
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _GRID:
            x, y, tallest = 0, y + tallest, 0
        height = _HEIGHT[panel.kind]
        place = {"x": x, "y": y, "w": panel.width, "h": height}
        laid.append(drawn(number, panel, place))
        x, tallest = x + panel.width, max(tallest, height)
    return laid


def drawn(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    """Grafana's JSON of one panel."""
    targets = [
        _target(letter, text, legend, panel.kind)
        for letter, (text, legend) in zip("ABCDEF", panel.queries, strict=False)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _target(letter: str, text: str, legend: str, kind: str) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": query(text),
        "legendFormat": legend,
        "range": kind in ("timeseries", "heatmap"),
        "instant": kind in ("stat", "table"),
    }
    if kind in ("heatmap", "table"):
        target["format"] = kind
    return target


def _field(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    field: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        style = "off" if panel.limit is None else "dashed"
        field |= {"min": 0, "custom": {"thresholdsStyle": {"mode": style}, "fillOpacity": 10}}
    return field


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
    },
    "heatmap": {"calculate": False, "yAxis": {"unit": "short"}, "tooltip": {"mode": "single"}},
    "table": {"showHeader": True},
}


def text_of(source: Dashboard) -> str:
    """The file of one dashboard."""
    return json.dumps(dashboard(source), indent=2) + "\n"


def main() -> int:
    """Write the files, or compare them."""
    files = {FOLDER / f"{source.name}.json": text_of(source) for source in DASHBOARDS}
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in files.items() if path.read_text("utf-8") != text]
        print("\n".join(f"{name} is not what panels.py says" for name in stale) or "up to date")
        return 1 if stale else 0
    for path, text in files.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
