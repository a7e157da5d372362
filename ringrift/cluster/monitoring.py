"""The files that an operator's monitoring imports.

ops/prometheus/rules.yml        alert rules, for Prometheus's `rule_files`; edited by hand
ops/prometheus/rules_test.yml   their tests, for `promtool test rules`; edited by hand
ops/grafana/board.json          a dashboard for Grafana's import, written from the list of metrics
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ringrift.runtime.metrics import METRICS, Metric

RULES, BOARD = Path("ops/prometheus/rules.yml"), Path("ops/grafana/board.json")
COLUMNS, PANEL_HEIGHT, PANEL_WIDTH = 24, 7, 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}
VARIABLES = {
    "config": "label_values(ringrift_games, config)",
    "node": "label_values(ringrift_node_processes, node)",
}
"""choices of the dashboard, with the query that lists their values"""
ROWS = ("Loop", "Cluster", "Nodes", "Work", "Processes")


class Panel(NamedTuple):
    """One graph: what it draws, in which unit of Grafana, and the name of each line."""

    title: str
    help: str
    query: str
    unit: str
    legend: str


_GAMES_HOUR = 'deriv(ringrift_games{config=~"$config"}[15m]) * 3600'
DERIVED = (
    Panel("games per hour", "All games of a config in the log.", _GAMES_HOUR, "none", "{{config}}"),
    Panel(
        "price of 1,000 self-play games",
        "In your currency, from the prices of the nodes.",
        "1000 * sum(ringrift_node_price_per_hour)"
        " / (sum(rate(ringrift_node_games_total[1h])) * 3600)",
        "none",
        "fleet",
    ),
)
"""computed from several metrics; they come first"""


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
    """The Grafana dashboard: a panel for every metric, in rows by subject."""
    shown = sorted(METRICS.values(), key=lambda metric: ROWS.index(_row(metric)))
    panels: list[dict[str, Any]] = []
    height = 0
    for title, metrics in groupby(shown, key=_row):
        drawn = [*(DERIVED if title == ROWS[0] else ()), *map(panel_of, metrics)]
        placed = list(_placed(drawn, height + 1))
        place = {"x": 0, "y": height, "w": COLUMNS, "h": 1}
        panels += [{"type": "row", "title": title, "collapsed": False, "gridPos": place}, *placed]
        height = placed[-1]["gridPos"]["y"] + PANEL_HEIGHT
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    variables = [_variable(name, query) for name, query in VARIABLES.items()]
    found: dict[str, Any] = {
        "title": "RingRift",
        "uid": "ringrift",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, start=1)],
    }
    return json.dumps(found, indent=1) + "\n"


def panel_of(metric: Metric) -> Panel:
    """The panel of a metric."""
    by = ("consumer", "node", *metric.labels) if not metric.cluster else metric.labels
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or "cluster"
    title = metric.name.removeprefix("ringrift_").replace("_", " ")
    return Panel(title, metric.help, _query(metric, by), _unit(metric), legend)


def _query(metric: Metric, labels: Sequence[str]) -> str:
    """The PromQL expression that a panel draws."""
    chosen = ",".join(f'{name}=~"${name}"' for name in VARIABLES if name in labels)
    where = f"{{{chosen}}}" if chosen else ""
    if metric.type == "counter":
        return f"rate({metric.name}{where}[5m])"
    if metric.type == "histogram":
        by = ", ".join((*labels, "le"))
        return f"histogram_quantile(0.95, sum by ({by}) (rate({metric.name}_bucket{where}[5m])))"
    return f"{metric.name}{where}"


def _unit(metric: Metric) -> str:
    if metric.type == "counter":
        return "none" if metric.name.endswith("_seconds_total") else "ops"
    ends = {"_seconds": "s", "_ratio": "percentunit", "_score": "percentunit"}
    return next((unit for end, unit in ends.items() if metric.name.endswith(end)), "none")


def _row(metric: Metric) -> str:
    if "_work_" in metric.name or "_ticket" in metric.name:
        return "Work"
    if not metric.cluster:
        return "Processes"
    return {"config": "Loop", "node": "Nodes"}.get("".join(metric.labels[-1:]), "Cluster")


def _placed(panels: Sequence[Panel], top: int) -> Iterator[dict[str, Any]]:
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS // PANEL_WIDTH)
        place = {"x": column * PANEL_WIDTH, "y": top + row * PANEL_HEIGHT}
        yield {
            "title": panel.title,
            "description": panel.help,
            "type": "timeseries",
            "datasource": _SOURCE,
            "gridPos": {**place, "w": PANEL_WIDTH, "h": PANEL_HEIGHT},
            "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
            "targets": [{"expr": panel.query, "legendFormat": panel.legend}],
        }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
