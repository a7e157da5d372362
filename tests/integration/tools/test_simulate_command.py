"""`ringrift simulate` writes its log and a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringrift.cli.main import main

FLEET = Path(__file__).parents[3] / "ops" / "fleet.toml"


def test_commands_read_a_simulated_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--nodes", str(FLEET), "--hours", "0.1", "--log", str(tmp_path)]
    main([*words, "--json"])
    events = json.loads(capsys.readouterr().out)[0]["events"]
    assert main(["at", str(events), "fleet", "--json", "--data", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)["fleet"]["nodes"]) == 40
    assert main(words) == 1
    assert (
        f"{tmp_path} holds a log of {events} events already: name another directory for --log"
        in capsys.readouterr().err
    )


def test_one_log_holds_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--nodes", str(FLEET), "--seeds", "2", "--log", str(tmp_path)]) == 1
    assert "has room for one run: leave out --seeds" in capsys.readouterr().err


def test_a_report_has_the_findings_and_a_page_of_plots(tmp_path: Path) -> None:
    words = ["simulate", "--nodes", str(FLEET), "--hours", "0.1", "--seed", "5", "--compare"]
    main([*words, "--report", str(tmp_path)])
    assert json.loads((tmp_path / "simulation-5.json").read_text())["seed"] == 5
    assert (tmp_path / "simulation-5.png").read_bytes().startswith(b"\x89PNG")
