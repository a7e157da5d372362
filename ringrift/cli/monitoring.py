"""`ringrift metrics export|check|list`: alert rules and the Grafana board, written from the one
list of metrics.

ops/prometheus/rules.yml   as Prometheus's `rule_files` takes it
ops/grafana/board.json     as Grafana's import takes it
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.runtime.metrics import METRICS, Metric

EXIT_DIFFERENT = 1
RULES, BOARD = "ops/prometheus/rules.yml", "ops/grafana/board.json"
COLUMNS, PANEL_HEIGHT, PANEL_WIDTH = 24, 7, 8


class Alert(Struct, frozen=True):
    """A condition on `metric` (`{}` stands for its name) that holds `minutes` long, and what to
    do."""

    name: str
    metric: str
    condition: str
    minutes: int
    severity: str
    summary: str


ALERTS = (
    Alert(
        "QuorumDegraded",
        "ringrift_quorum_health_level",
        "{} < 3",
        5,
        "warning",
        "a voter is away: start it again",
    ),
    Alert(
        "QuorumLost",
        "ringrift_quorum_health_level",
        "{} == 0",
        0,
        "critical",
        "too few voters: nothing can be written",
    ),
    Alert(
        "HealthLow",
        "ringrift_health_level",
        "{} < 2",
        5,
        "critical",
        "see the advice of `ringrift status`",
    ),
    Alert(
        "ResilienceLow",
        "ringrift_resilience_score",
        "{} < 0.7",
        5,
        "warning",
        "see the advice of `ringrift status`",
    ),
    Alert(
        "ResilienceWarning",
        "ringrift_resilience_level",
        "{} < 2",
        5,
        "warning",
        "see the advice of `ringrift status`",
    ),
    Alert(
        "DeadLetters",
        "ringrift_dead_letters_unresolved",
        "{} >= 50",
        0,
        "warning",
        "see `ringrift dlq list`",
    ),
    Alert(
        "BreakerOpen",
        "ringrift_breakers_open",
        "{} > 0",
        10,
        "warning",
        "see `ringrift breakers list`",
    ),
    Alert(
        "ConsumerStalled",
        "ringrift_consumer_alive",
        "{} == 0",
        1,
        "critical",
        "a process makes no progress: start it again",
    ),
    Alert(
        "ConsumerBehind",
        "ringrift_consumer_lag_seconds",
        "{} > 60",
        5,
        "warning",
        "a decider has been behind for long",
    ),
    Alert(
        "ServerSilent",
        "ringrift_heartbeat_age_seconds",
        "{} > 30",
        1,
        "critical",
        "the server does not answer a process",
    ),
    Alert(
        "MemoryTight",
        "ringrift_memory_pressure_tier",
        "{} >= 2",
        5,
        "warning",
        "a node takes no tickets: run fewer workers",
    ),
    Alert(
        "NodesMissing",
        "ringrift_nodes",
        'sum({}{{standing=~"suspected|degraded|lost"}}) > 0',
        0,
        "warning",
        "nodes are silent",
    ),
    Alert(
        "WorkStuck",
        "ringrift_work_last_ack_age_seconds",
        "{} > 3600 and on(kind) ringrift_work_pending > 0",
        5,
        "warning",
        "tickets wait and none is finished: are workers running, is it paused?",
    ),
    # requirements G08.26 and G10.10: after 5,000 games, 20 generations of 256, a network beats the
    # heuristic
    Alert(
        "BelowHeuristic",
        "ringrift_elo_above_heuristic",
        "{} < 0 and on(config) ringrift_generation >= 20",
        30,
        "warning",
        "so many games should beat the heuristic: look at losses and data quality, `ringrift plot loss`",
    ),
)


def files() -> dict[str, str]:
    """Content of each file by its path from the root."""
    return {RULES: rules(), BOARD: board()}


def rules() -> str:
    """The alert rules as YAML; every text is quoted as JSON, which YAML reads."""
    lines = [
        "# Written by `ringrift metrics export`; a test compares.",
        "groups:",
        "- name: ringrift",
        "  rules:",
    ]
    for alert in ALERTS:
        lines += [
            f"  - alert: {alert.name}",
            f"    expr: {json.dumps(alert.condition.format(METRICS[alert.metric].name))}",
            f"    for: {alert.minutes}m",
            f"    labels: {{severity: {alert.severity}}}",
            f"    annotations: {{summary: {json.dumps(alert.summary)}}}",
        ]
    return "\n".join(lines) + "\n"


def board() -> str:
    """The Grafana board: a panel for every metric, those of the cluster first."""
    shown = sorted(METRICS.values(), key=lambda metric: not metric.cluster)
    panels = [_panel(metric, number) for number, metric in enumerate(shown)]
    found: dict[str, Any] = {
        "title": "RingRift",
        "uid": "ringrift",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "type": "datasource",
                    "query": "prometheus",
                    "label": "Prometheus",
                }
            ]
        },
        "panels": panels,
    }
    return json.dumps(found, indent=1) + "\n"


def _panel(metric: Metric, number: int) -> dict[str, Any]:
    across = COLUMNS // PANEL_WIDTH
    by = ("consumer", "node", *metric.labels) if not metric.cluster else metric.labels
    return {
        "id": number + 1,
        "title": metric.name.removeprefix("ringrift_"),
        "description": metric.help,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {
            "h": PANEL_HEIGHT,
            "w": PANEL_WIDTH,
            "x": number % across * PANEL_WIDTH,
            "y": number // across * PANEL_HEIGHT,
        },
        "targets": [
            {
                "expr": _query(metric),
                "legendFormat": " ".join(f"{{{{{label}}}}}" for label in by) or "cluster",
            }
        ],
    }


def _query(metric: Metric) -> str:
    if metric.type == "counter":
        return f"rate({metric.name}[5m])"
    if metric.type == "histogram":
        by = ", ".join(("consumer", "node", *metric.labels, "le"))
        return f"histogram_quantile(0.95, sum by ({by}) (rate({metric.name}_bucket[5m])))"
    return metric.name


def export(options: argparse.Namespace) -> int:
    """Write the files. Raises CommandError."""
    for path in _differing(options.root):
        target = options.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files()[path])
        print(f"written  {path}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Compare the files with the list; 1 if one differs."""
    differing = _differing(options.root)
    for path in differing:
        print(f"not as declared: {path}")
    return EXIT_DIFFERENT if differing else 0


def list_metrics(options: argparse.Namespace) -> int:
    """Every metric with its labels and what it says."""
    for metric in METRICS.values():
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        print(f"{metric.type:<9}  {metric.name}{labels}  {metric.help}")
    return 0


def _differing(root: Path) -> list[str]:
    if not (root / "pyproject.toml").exists():
        raise CommandError(
            f"{root.resolve()} is not the root of the repository: go there, or name it with --root"
        )
    return [
        path
        for path, text in files().items()
        if not (root / path).exists() or (root / path).read_text() != text
    ]
