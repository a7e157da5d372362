"""The files that an operator's monitoring imports.

ops/prometheus/rules.yml   alert rules, for Prometheus's `rule_files`; edited by hand
ops/grafana/board.json     a dashboard for Grafana's import, written from the list of metrics
"""

import json
import re
from pathlib import Path
from typing import Any

from ringrift.runtime.metrics import METRICS, Metric

RULES, BOARD = Path("ops/prometheus/rules.yml"), Path("ops/grafana/board.json")
COLUMNS, PANEL_HEIGHT, PANEL_WIDTH = 24, 7, 8


def export(root: Path) -> list[Path]:
    """Write the dashboard under `root`; return the files that changed."""
    target = root / BOARD
    if target.exists() and target.read_text() == board():
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(board())
    return [BOARD]


def problems(root: Path) -> list[str]:
    """The problems of the files under `root`: an old dashboard, rules over unknown metrics."""
    found = []
    if not (root / BOARD).exists() or (root / BOARD).read_text() != board():
        found.append(f"{BOARD} is out of date: run `ringrift metrics export` and commit")
    rules = (root / RULES).read_text() if (root / RULES).exists() else ""
    unknown = sorted(set(re.findall(r"ringrift_\w+", rules)) - METRICS.keys())
    return found + [f"{RULES} names {name}, which is not a metric" for name in unknown]


def board() -> str:
    """The Grafana dashboard: a panel for every metric, those of the cluster first."""
    shown = sorted(METRICS.values(), key=lambda metric: not metric.cluster)
    panels = [_panel(metric, number) for number, metric in enumerate(shown)]
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    found: dict[str, Any] = {
        "title": "RingRift",
        "uid": "ringrift",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }
    return json.dumps(found, indent=1) + "\n"


def _panel(metric: Metric, number: int) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS // PANEL_WIDTH)
    by = ("consumer", "node", *metric.labels) if not metric.cluster else metric.labels
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or "cluster"
    size = {"h": PANEL_HEIGHT, "w": PANEL_WIDTH}
    return {
        "id": number + 1,
        "title": metric.name.removeprefix("ringrift_"),
        "description": metric.help,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {**size, "x": column * PANEL_WIDTH, "y": row * PANEL_HEIGHT},
        "targets": [{"expr": _query(metric), "legendFormat": legend}],
    }


def _query(metric: Metric) -> str:
    """The PromQL expression that a panel draws."""
    if metric.type == "counter":
        return f"rate({metric.name}[5m])"
    if metric.type == "histogram":
        by = ", ".join(("consumer", "node", *metric.labels, "le"))
        return f"histogram_quantile(0.95, sum by ({by}) (rate({metric.name}_bucket[5m])))"
    return metric.name
