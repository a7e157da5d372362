"""`ringrift import` on a real server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.games import play_game
from support.old_records import old_record, write_database

HOSTS = "hosts: {box: {gpu: RTX 4090, gpu_vram_gb: 24, ssh_host: 192.0.2.7}}\n"


def test_games_are_imported_once_shown_and_retracted(run: Any, tmp_path: Path) -> None:
    bad = old_record(play_game("square8_2p", 2), winner=9)
    path = write_database(tmp_path / "old.db", [old_record(play_game("square8_2p", 1)), bad])
    report = tmp_path / "report.jsonl"
    text = run("import", str(path), "--report", str(report))
    assert "1 game stored from source old" in text
    (row,) = map(json.loads, report.read_text().splitlines())
    assert (row["class"], row["why"].partition(",")[0]) == ("wrong_winner", "recorded winner 9")
    again = run.json("import", str(path))
    assert (again["stored"], again["games"]["already_imported"]) == ({}, 1)
    row = run.json("query", "SELECT game FROM game_completed WHERE origin = 'import'")
    assert run.json("game", "show", row["game"])["seats"] == ["legacy:random", "legacy:unknown"]
    (fact,) = run.json("retract", "--source", "old", "--why", "test")["retracted"]
    assert fact["count"] == 1


def test_imported_results_are_retracted_by_source(run: Any) -> None:
    elo = Path(__file__).parents[2] / "data" / "legacy" / "elo" / "elo_old_ab.db"
    run("import", str(elo), "--source", "elo")
    found = run.json("retract", "--source", "elo", "--why", "test")
    assert (found["retracted"], [row["games"] for row in found["results"]]) == ([], [2])
    run("retract", "--source", "elo", "--why", "again", status=1)
    assert "already retracted" in run.err


def test_what_cannot_be_imported_gets_a_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\x00" + bytes(90))
    (tmp_path / "b.pth").write_bytes(b"PK\x03\x04 cut")
    hosts = tmp_path / "distributed_hosts.yaml"
    hosts.write_text(HOSTS)
    text = run("import", str(tmp_path), str(hosts), "--dry-run")
    assert "hosts.yaml: a list of machines; register it with `ringrift fleet register" in text
    assert "a.db: the database cannot be read" in text
    assert "b.pth: the archive is damaged" in text
    run("import", str(tmp_path / "none"), "--dry-run", status=1)
    assert "there is no regular file or directory" in run.err


@pytest.mark.skipif(sys.platform == "darwin", reason="such a name cannot be given there")
def test_a_file_whose_name_is_no_text_is_named_by_escapes(run: Any, tmp_path: Path) -> None:
    path = write_database(tmp_path / "old\udcff.db", [old_record(play_game("square8_2p", 3))])
    found = run.json("import", str(tmp_path), "--dry-run")
    assert (found["files"][0]["file"], found["games"]) == (str(path)[:-4] + r"\xff.db", {"ok": 1})


def test_old_machines_are_registered(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "distributed_hosts.yaml"
    path.write_text(HOSTS)
    assert "1 nodes registered" in run("fleet", "register", str(path))
    (node,) = run.json("fleet", "list")
    name = node["node"]
    assert (node["known"], node["present"]) == ("registered", False)
    run("fleet", "reserve", name, "evaluation,selfplay", "--for", "2h")
    assert run.json("fleet", "show", name)["reserved_for"] == ["evaluation", "selfplay"]
    run("fleet", "release", name)
    run("fleet", "release", name, status=1)
    assert "is not reserved" in run.err
    run("fleet", "unregister", name)
    run("fleet", "forget", name)
    assert run.json("fleet", "list") == []
    run("fleet", "show", name, status=1)
    assert "is not a node of the fleet" in run.err


def test_a_game_goes_to_a_file_and_back(run: Any, system: Any, tmp_path: Path) -> None:
    path = tmp_path / "game.record"
    path.write_text(run("game", "show", system.game, "--format", "record"))
    found = run.json("import", str(path), "--dry-run")
    assert found["games"] == {"ok": 1}
