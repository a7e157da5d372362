"""Pages of reference as Markdown, written from the declarations: settings, events, processes,
metrics."""

from __future__ import annotations

from itertools import groupby

import msgspec

from ringrift.events import Settings
from ringrift.insight.process_tables import table, tables
from ringrift.insight.settings_guide import Explanation, explained
from ringrift.runtime.metrics import METRICS

DEFAULT_CHARS_MAX = 60


def settings(in_force: Settings | None = None) -> str:
    """Every setting by group, with its reason; also its value where it is not the default."""
    head = ["setting", "meaning", "values", "default", *(["in force"] if in_force else [])]
    found = "# Settings\n\nPrinted by `ringrift settings --explain` too. Change one with `--set`.\n"
    for group, items in groupby(explained(in_force or Settings()), _group):
        rows = [_setting(item)[: len(head)] for item in items]
        found += f"\n## {group or 'The loop'}\n\n{table(head, rows)}"
    return found


def _group(item: Explanation) -> str:
    return item.name.rpartition(".")[0].partition(".")[0]


def _setting(item: Explanation) -> list[str]:
    now = _value(item.in_force) if item.in_force != item.default else ""
    return [f"`{item.name}`", _cell(item.meaning), _cell(item.values), _value(item.default), now]


def _value(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return f"`{text}`" if len(text) <= DEFAULT_CHARS_MAX else f"{len(text)} characters of JSON"


def events() -> str:
    """Every event: meaning, subject, stream, who writes and who reads it."""
    return f"# Events\n\n{tables(linked=False)['events']}"


def processes() -> str:
    """The processes, the deciders that they run, and the roles of nodes."""
    found = tables()
    return "# Processes\n" + "".join(
        f"\n## {title}\n\n{found[name]}"
        for title, name in (
            ("Processes", "processes"),
            ("Roles", "roles"),
            ("Deciders", "deciders"),
        )
    )


def metrics() -> str:
    """Every metric of `GET /metrics`."""
    rows = [
        (f"`{metric.name}`", metric.type, ", ".join(metric.labels), _cell(metric.help))
        for metric in METRICS.values()
    ]
    return f"# Metrics\n\n{table(('metric', 'type', 'labels', 'meaning'), rows)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
