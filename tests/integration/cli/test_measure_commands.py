"""`ringrift strength` and `ringrift gauntlet` on a real server: matches through the log, and the
same report from the log again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from ringrift.cli.main import main
from ringrift.events import Settings, draft
from ringrift.events.facts import (
    EvaluationRequested,
    GameCompleted,
    ModelPromoted,
    ModelRegistered,
    SettingsChanged,
)
from ringrift.events.settings import EvaluationSettings
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

CONFIG = "hex8_2p"


def fresh_network() -> bytes:
    torch.manual_seed(1)
    return TowerCheckpoint.save(
        build("v2-micro", hex_board=True), architecture="v2-micro", config=Config.parse(CONFIG)
    )


async def published(data: Path, blob: bytes) -> None:
    """A log with a network that is current, as after a first generation; its server is stopped
    again."""
    server = await EmbeddedServer.start(data)
    log = await JetStreamLog.open(server.url, name="test")
    try:
        await ensure(log)
        model = await Blobs(log).put(MODEL_BUCKET, blob)
        settings = Settings(evaluation=EvaluationSettings(opening_plies=60, starts_per_ticket=1))
        facts = (
            SettingsChanged(version=1, settings=settings, why="test"),
            ModelRegistered(
                config=CONFIG,
                model=model,
                generation=1,
                architecture="v2-micro",
                encoder="e",
                parameters=1,
                parents=(),
                ticket="t",
            ),
            ModelPromoted(
                config=CONFIG,
                generation=1,
                model=model,
                previous=None,
                evidence=None,
                why="test",
                settings_version=1,
            ),
        )
        for fact in facts:
            await log.append([draft(fact, cause=None, source="test")])
    finally:
        await log.close()
        await server.stop()


async def recorded(data: Path) -> tuple[list[EvaluationRequested], list[GameCompleted]]:
    """The requests and games of a log."""
    server = await EmbeddedServer.start(data)
    log = await JetStreamLog.open(server.url, name="test")
    try:
        events = [
            entry.recorded(stream).event
            for stream in ("EVENTS", "GAMES")
            async for batch in log.read(stream)
            for entry in batch
        ]
    finally:
        await log.close()
        await server.stop()
    requests = [event for event in events if isinstance(event, EvaluationRequested)]
    return requests, [event for event in events if isinstance(event, GameCompleted)]


@pytest.fixture
def ringrift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command on `tmp_path`; what it printed as JSON."""

    def run(*words: str) -> Any:
        status = main([*words, "--config", CONFIG, "--data", str(tmp_path), "--json"])
        out, err = capsys.readouterr()
        assert status == 0, (out, err)
        return json.loads(out)

    return run


@pytest.mark.slow
def test_strength_through_the_log(
    ringrift: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = fresh_network()
    name = digest_of(blob)[:12]
    asyncio.run(published(tmp_path, blob))
    report = ringrift("strength", "--starts", "2", "--simulations", "2")
    assert [(row["candidate"], row["opponent"], row["games"]) for row in report["results"]] == [
        (f"{name}:gumbel:s2", "baseline:random:s0", 4),
        (f"{name}:gumbel:s2", "baseline:heuristic:s0", 4),
        (f"{name}:gumbel:s2", f"{name}:gumbel:s4", 4),
        (f"{name}:policy:s0", "baseline:random:s0", 4),
    ]
    page = (tmp_path / f"strength_{CONFIG}.md").read_bytes()
    assert (tmp_path / f"strength_{CONFIG}.png").read_bytes().startswith(b"\x89PNG")
    assert ringrift("strength", "--report") == report
    assert (tmp_path / f"strength_{CONFIG}.md").read_bytes() == page

    assert (
        ringrift("strength", "--starts", "2", "--simulations", "2") == report
    )  # all of it is in the log: nothing is played
    requests, games = asyncio.run(recorded(tmp_path))
    assert len(requests) == 8
    assert {request.purpose for request in requests} == {"strength"}
    assert Counter(game.origin for game in games) == {"tournament": 16}

    tiers = ringrift("gauntlet", "--tiers", "--starts", "1", "--simulations", "2")
    assert (tiers["highest_tier_beaten"], [row["opponent"] for row in tiers["results"]]) == (
        None,
        ["baseline:random:s0"],
    )
    found = ringrift("gauntlet", "--starts", "1", "--simulations", "2")
    assert {row["participant"] for row in found["ratings"]} >= {
        f"{name}:gumbel:s2",
        f"{name}:policy:s0",
        "baseline:heuristic:s0",
    }
    words = ["gauntlet", "--all", "--starts", "1", "--simulations", "2", "--json"]
    capsys.readouterr()
    assert main([*words, "--data", str(tmp_path)]) == 0
    (everything,) = json.loads(capsys.readouterr().out)
    assert everything == {"config": CONFIG, **found}


def test_impossible_measurements_are_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        assert main([*words, "--config", CONFIG, "--data", str(tmp_path)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = [line for line in err.splitlines() if line.startswith("ringrift: ")]
        return line

    assert "no server is running for" in refused("strength")
    assert "no opponent is called god; there are random, heuristic, self2" in refused(
        "strength", "--against", "god"
    )
    assert "give --config, or --all" in refused("gauntlet", "--all")
    assert "at least two budgets" in refused("strength", "--ladder", "--budgets", "8")
    assert "hex8_2p has no current network yet: run `ringrift up --config hex8_2p`" in refused(
        "strength"
    )  # the ladder made a log
    assert "no networks of hex8_2p start with 'ab'" in refused("gauntlet", "--model", "ab")
