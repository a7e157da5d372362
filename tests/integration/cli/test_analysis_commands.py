"""The engine, `play` and `analyse` as programs, mostly without a log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "engine.md").read_text()
RINGRIFT = (sys.executable, "-m", "ringrift.cli.main")
SECONDS_MAX = 120


def block(name: str) -> str:
    found = re.search(rf"```{name}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def program(folder: Path, *words: str, typed: str | bytes = "") -> subprocess.CompletedProcess[str]:
    given = typed.encode() if isinstance(typed, str) else typed
    command = (*RINGRIFT, *words)
    done = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, timeout=SECONDS_MAX, check=False
    )
    streams = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(command, done.returncode, *streams)


def about(value: Any) -> Any:
    """A document with its numbers to two digits, as processors round differently."""
    if isinstance(value, dict):
        return {key: about(item) for key, item in value.items()}
    if isinstance(value, list):
        return [about(item) for item in value]
    return pytest.approx(value, abs=2e-3) if isinstance(value, float) else value


def test_the_session_of_the_page_is_real(tmp_path: Path) -> None:
    done = program(tmp_path, "engine", typed=block("json queries"))
    assert done.returncode == 0

    def ordered(lines: str) -> list[Any]:
        answers = map(json.loads, lines.splitlines())
        return sorted(answers, key=lambda one: (one["id"], one.get("turnNumber", 0)))

    assert ordered(done.stdout) == about(ordered(block("json answers")))


def test_the_client_of_the_page_is_the_one_that_runs(tmp_path: Path) -> None:
    client = ROOT / "docs" / "scripts" / "engine_client.py"
    assert block("python client") == client.read_text()
    program = tmp_path / "ringrift"
    program.write_text(f'#!/bin/sh\nexec {" ".join(RINGRIFT)} "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, client],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    line = re.compile(r"\w+: @\w+(?:\*[23])?, worth [+-]\d\.\d\d to seat 1")
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert all(map(line.fullmatch, lines))


def test_lines_that_are_broken_huge_or_cut_off_are_errors(tmp_path: Path) -> None:
    huge = b'{"id": "' + b"x" * 3_000_000 + b'"}'
    lines = [b'{"id": "\xff"}', huge, b"", b'{"id": "v", "action": "query_version"}', b'{"id']
    done = program(tmp_path, "engine", typed=b"\n".join(lines))
    assert done.returncode == 0
    *errors, version, cut = map(json.loads, done.stdout.splitlines())
    assert [one["error"].partition(":")[0] for one in (*errors, cut)] == [
        "the line is not JSON",
        "the line has more than 1,048,576 bytes",
        "the line is not JSON",
    ]
    assert version["id"] == "v"


def test_a_reader_that_leaves_ends_the_engine(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*RINGRIFT, "engine"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as engine:
        engine.stdin.write(b'{"id": "v", "action": "query_version"}\n')
        engine.stdin.flush()
        assert engine.stdout.readline()
        engine.stdout.close()
        engine.stdin.write(b'{"id": "v", "action": "query_version"}\n')
        engine.stdin.flush()
        # its input stays open
        assert engine.wait(SECONDS_MAX) == 0
        assert engine.stderr.read() == b""


def test_a_game_is_played_saved_and_analysed(tmp_path: Path) -> None:
    typed = "@e5\ne5-e9\nhint\nresign\n"
    options = ("--against", "D2", "--seed", "1", "--save", "game.txt")
    done = program(tmp_path, "play", "hex8_2p", *options, typed=typed)
    assert done.returncode == 0
    assert "seat 2 (heuristic) plays" in done.stdout
    assert "seat 2 wins by resign" in done.stdout
    assert "seat 1 to act, 128 positions" in done.stdout
    assert "\x1b" not in done.stdout
    # the file is a game for `analyse`
    done = program(tmp_path, "analyse", "game.txt", "--by", "D3", "--json")
    review = json.loads(done.stdout)
    assert review["config"] == "hex8_2p"
    assert [ply["move"] for ply in review["plies"]][:2] == ["@e5", "e5-e9"]
    assert review["final"] == [-1.0, 1.0]
    done = program(tmp_path, "analyse", "game.txt", "--by", "D3", "--ply", "0")
    assert "searched by gumbel, 8 simulations" in done.stdout
    assert re.search(r"^ @\w+ +\d+ ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("analyse", "hex8/2 x"), "a position has 8 fields"),
        (("analyse", "game.txt"), "there is no file game.txt"),
        (("analyse", "game-1"), "game-1 is no file, and there is no log"),
        (("play", "hex8_2p", "--against", "chess"), "'chess' is no player and no file"),
        (("play", "hex8_3p", "--seats", "you,D1"), "hex8_3p has 3 seats, not 2"),
        (("play", "hex8_2p", "--against", "maxn"), "maxn plays with 3 or 4 seats"),
        (("play", "hex8_2p", "--save", "missing/game.txt"), "there is no folder missing"),
        (("play", "hex8_2p", "--keep", "Anna"), "there is no log to keep the game in"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    done = program(tmp_path, *words)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_finished_game_is_kept_under_a_name(run: Any, system: Any, tmp_path: Path) -> None:
    def played(*typed: str) -> str:
        words = ("hex8_2p", "--against", "D2", "--keep", "Anna", "--data", str(system.data))
        done = program(tmp_path, "play", *words, typed="\n".join(typed))
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "the game is not kept, because it is not over" in played("@e5", "quit")
    kept = re.search(r"(GAMES/\d+) holds the game", played("@e5", "e5-e9", "resign"))
    assert kept
    game = run.json("events", "show", kept[1])["event"]["data"]
    assert (game["origin"], game["reason"]) == ("human", "resign")
    assert game["seats"][0]["participant"] == "person:Anna"
    (first, *_) = run.json("rating", "people")
    assert first["participant"] in ("person:Anna", "baseline:heuristic:s0")
    rows = run("analyse", kept[1], "--by", "D3", "--format", "csv").splitlines()
    assert rows[0].startswith("ply,seat,move,")
    assert rows[1].startswith("0,1,@e5,")


def test_a_game_of_the_log_is_analysed(run: Any, system: Any) -> None:
    for name in (system.game, "GAMES/1"):
        review = run.json("analyse", name, "--by", "D3")
        shown = run.json("game", "show", name)
        assert [ply["move"] for ply in review["plies"]] == list(shown["moves"])
        assert review["participant"] == "baseline:gumbel:s8"
    assert "blunders (loss of at least 0.5): seat 1: " in run(
        "analyse", system.game, "--by", "D3", "--blunder", "0.5"
    )
    run("analyse", "GAMES/999", status=1)
    assert "GAMES/999 is neither a file nor a game in the log" in run.err
