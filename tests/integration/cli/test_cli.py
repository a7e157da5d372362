"""The commands that look at a running system, against a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ringrift.cli import events
from ringrift.cli.common import Source, opened
from ringrift.cli.main import main
from ringrift.events import draft
from ringrift.events.facts import PipelineResumed


def test_status_shows_generations_consumers_streams_and_the_queue(run: Any) -> None:
    shown = run("status")
    texts = (
        "settings version 1",
        "hex8_2p: generations",
        "rater",
        "GAMES",
        "selfplay 0 waiting, 0 in progress",
        "dead letters: 0",
        "to look: ringrift context --data ",
    )
    for text in texts:
        assert text in shown


def test_status_as_json(run: Any, system: Any) -> None:
    known = run.json("status")
    assert known["server"] == system.server.url
    assert known["configs"]["hex8_2p"]["generations"][0]["scores"]["random"]["games"] == 16
    assert known["configs"]["hex8_2p"]["ratings"][0]["games"] == 16
    (rater,) = known["consumers"]
    assert rater["lag"] == system.seqs["garbage"] - system.seqs["rated1"]
    assert {stream["name"]: stream["messages"] for stream in known["streams"]}["GAMES"] == 1


def test_status_without_a_server_names_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--data", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert (
        f"no server is running for {tmp_path}: start `ringrift up --data {tmp_path}`, "
        "or name one with --server" in err
    )


def test_tail_prints_one_line_per_event(run: Any, system: Any) -> None:
    lines = run("events", "tail", "--no-follow").splitlines()
    assert len(lines) == system.seqs["garbage"]
    assert lines[1].split()[3:] == [
        "SelfplayPlanned",
        "hex8_2p",
        "generation=0",
        "games=1",
        "simulations=4",
        "←",
        "EVENTS/1",
    ]
    assert "undecodable ringrift.pipeline.all.paused" in lines[-1]


def test_tail_filters_by_subject_and_start(run: Any, system: Any) -> None:
    lines = run(
        "events",
        "tail",
        "--no-follow",
        "--subject",
        "ringrift.evaluation.>",
        "--since",
        str(system.seqs["scored1"]),
    )
    assert [line.split()[3] for line in lines.splitlines()] == ["EvaluationScored"]
    assert (
        run("events", "tail", "--no-follow", "--since", "1d").count("\n") == system.seqs["garbage"]
    )
    assert run("events", "tail", "--no-follow", "--since", "2100-01-01") == ""
    assert system.game in run("events", "tail", "--no-follow", "--subject", "ringrift.game.>")
    run("events", "tail", "--no-follow", "--since", "yesterday", status=2)
    assert "'yesterday' is not a point in the log" in run.err


def test_tail_as_json_prints_one_envelope_per_line(run: Any) -> None:
    documents = [
        json.loads(line) for line in run("events", "tail", "--no-follow", "--json").splitlines()
    ]
    assert [document["seq"] for document in documents] == list(range(1, len(documents) + 1))
    assert documents[0]["type"] == "ringrift.SettingsChanged.v2"
    assert documents[-1]["body"] == '{"not": "ours"'


def test_show_prints_an_event_with_its_cause_and_effects(run: Any, system: Any) -> None:
    shown = run("events", "show", str(system.seqs["plan"]))
    head, _, effects = shown.partition("led to")
    assert '"type": "ringrift.SelfplayPlanned.v1"' in head
    assert "SettingsChanged all  version=1 why=test" in head
    assert "SelfplayFinished" in effects
    assert system.game in effects
    known = run.json("events", "show", str(system.seqs["plan"]))
    assert known["cause"]["seq"] == system.seqs["settings"]
    assert [effect["type"] for effect in known["effects"]] == [
        "ringrift.SelfplayFinished.v1",
        "ringrift.GameCompleted.v1",
    ]


def test_show_reports_undecodable_and_missing_messages(run: Any, system: Any) -> None:
    assert '"undecodable"' in run("events", "show", str(system.seqs["garbage"]))
    run("events", "show", "999", status=1)
    assert "no message EVENTS/999" in run.err


def test_game_show_draws_a_game_of_the_log(run: Any, system: Any, tmp_path: Path) -> None:
    picture = tmp_path / "board.svg"
    shown = run("game", "show", system.game, "--svg", str(picture))
    assert "hex8_2p, ply 31: seat" in shown
    assert "wins by resign" in shown
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    known = run.json("game", "show", system.game, "--ply", "4")
    assert known["ply"] == 4
    assert known["plies"] == 31
    assert known["position"].startswith("hex8/2 ")
    assert known["moves"][-1] == "resign"
    assert run.json("game", "show", "GAMES/1")["game"] == system.game
    run("game", "show", system.game, "--ply", "32", status=1)
    assert "plies 0 to 31" in run.err
    run("game", "show", "selfplay-events-2-0-9", status=1)
    assert "neither a file nor a game" in run.err


def test_game_show_draws_a_game_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "game.txt"
    head = '[Game "RingRift"]\n[Board "square8"]\n[Seats "2"]\n'
    path.write_text(f'{head}[Seat1 "alpha"] [Seat2 "beta"]\n1/1. @a2*3 a2-f7 -l -t\n*\n')
    assert main(["game", "show", str(path)]) == 0
    assert "last turn: @a2*3 a2-f7 -l -t" in capsys.readouterr().out
    assert main(["game", "show", str(tmp_path / "missing.txt")]) == 1
    assert "there is no file" in capsys.readouterr().err
    path.write_text(f"{head}1/1. @z9\n*\n")
    assert main(["game", "show", str(path)]) == 1
    assert "line 4" in capsys.readouterr().err


def test_rebuilt_ratings_equal_the_live_table(run: Any, system: Any) -> None:
    assert f"identical to the live table EVENTS/{system.seqs['rated1']}, bit for bit" in run(
        "replay", "elo"
    )
    (known,) = run.json("replay", "elo")["configs"]
    assert known["identical"] is True
    assert known["ratings"] == run.json("status")["configs"]["hex8_2p"]["ratings"]


def test_ratings_are_rebuilt_up_to_a_point(run: Any, system: Any) -> None:
    (first,) = run.json("replay", "elo", "--until", str(system.seqs["rated0"]))["configs"]
    assert (first["games"], first["live"], first["identical"]) == (
        8,
        f"EVENTS/{system.seqs['rated0']}",
        True,
    )
    (between,) = run.json("replay", "elo", "--until", str(system.seqs["scored1"]))["configs"]
    assert (between["games"], between["unrated_evaluations"], between["identical"]) == (16, 1, True)
    (before,) = run.json("replay", "elo", "--until", str(system.seqs["scored0"]))["configs"]
    assert before["identical"] is None
    assert run.json("replay", "elo", "--until", "2000-01-01")["configs"] == []


def test_tail_follows_new_events(system: Any) -> None:
    async def follow() -> list[int]:
        async with opened(Source(server=system.server.url)) as log:
            shown = events.messages(log, "ringrift.pipeline.>", None, follow=True)
            seen = [(await anext(shown)).entry.seq]
            fact = PipelineResumed(scope="square19_4p", why="test")
            stored = await log.append([draft(fact, cause=None, source="test", key="follow")])
            async with asyncio.timeout(5):
                seen.append((await anext(shown)).entry.seq)
            await shown.aclose()
            assert seen[1:] == stored
            return seen

    assert system.call(follow())[0] == system.seqs["garbage"]
