"""`parity check`, `search check` and `rating` reach what they name, and pass its exit status on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringrift.cli.main import main

DATA = Path(__file__).parents[2] / "data"


def test_parity_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file, *_) = sorted((DATA / "parity").glob("square8_2p*"))
    assert main(["parity", "check", str(file)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("games=")
    assert last.endswith("mismatches=0")
    assert main(["parity", "check", str(tmp_path / "missing.jsonl")]) == 2


def test_search_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file, *_) = sorted((DATA / "search").glob("*.json"))
    assert main(["search", "check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("failures=0")
    assert main(["search", "check", str(tmp_path / "missing.json")]) == 2


def test_rating_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rating", "fit", str(DATA / "rating" / "rating_games_A.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "bradley-terry"
    assert (
        main(
            [
                "rating",
                "sprt",
                "--results",
                "5,30,80,60,25",
                "--elo0",
                "-5",
                "--elo1",
                "35",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["state"] == "accepted"
