"""Prometheus's own tool accepts the alert rules and the dashboard, and the rules pass their
tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ringrift.cluster import monitoring
from ringrift.runtime.metrics import METRICS

ROOT = Path(__file__).parents[3]
RULES = ROOT / monitoring.RULES
TESTS = RULES.with_name("rules_test.yml")
BOARD = json.loads(monitoring.board())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: install the package prometheus"
)


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, cwd=RULES.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_raise_the_alerts_of_their_tests() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(TESTS))


def test_every_rule_is_tested_to_be_raised_and_not_to_be() -> None:
    rules = re.findall(r"alert: (\w+)", RULES.read_text())
    cases = re.findall(r"^- name: (.*)", TESTS.read_text(), flags=re.MULTILINE)
    assert cases == [case for name in rules for case in (name, f"{name} is not raised")]


@needs_promtool
def test_prometheus_parses_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    chosen = re.compile(r"\$\w+")
    rules = [
        {"record": f"panel:{number}", "expr": chosen.sub(".*", target["expr"])}
        for number, panel in enumerate(PANELS)
        for target in panel["targets"]
    ]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_the_dashboard_draws_every_metric_and_no_other() -> None:
    text = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    names = {name.removesuffix("_bucket") for name in re.findall(r"ringrift_\w+", text)}
    assert names == METRICS.keys()


def test_the_dashboard_has_rows_variables_and_units() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == list(monitoring.ROWS)
    variables = [item["name"] for item in BOARD["templating"]["list"]]
    assert variables == ["source", "config", "node"]
    units = {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS}
    assert units["heartbeat age seconds"] == "s"
    assert units["resource used ratio"] == "percentunit"


def test_no_panel_lies_on_another() -> None:
    cells = [
        (place["x"] // monitoring.PANEL_WIDTH, y)
        for panel in PANELS
        for place in [panel["gridPos"]]
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


@needs_promtool
def test_prometheus_accepts_the_documented_configuration(tmp_path: Path) -> None:
    text = (ROOT / "ops" / "README.md").read_text()
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    file = tmp_path / "prometheus.yml"
    file.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    promtool("check", "config", str(file))
