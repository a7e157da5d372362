"""Games of the old system are enough to learn from: imported, searched again, trained on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.games import play_game
from support.old_records import old_record, write_database
from support.system import System, running

from ringrift.consumers import exporter
from ringrift.consumers.games.reanalysis import reanalyse
from ringrift.events import Settings
from ringrift.events.facts import EvaluationRequested, EvaluationScored, SettingsChanged
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings, SelfplaySettings, ShardSettings
from ringrift.events.settings_sources import load
from ringrift.events.tickets import EvaluationTicket, ReanalysisTicket, tickets_of
from ringrift.insight.models import hand_training
from ringrift.insight.reanalyse import reanalyse as request
from ringrift.learning.matches import play_match
from ringrift.learning.models import model_of
from ringrift.learning.play import Host
from ringrift.legacy.importing import import_games
from ringrift.nets.header import digest_of

CONFIG, GAMES = "hex8_2p", 120
STARTS = 20


async def cut(system: System) -> None:
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)


@pytest.mark.slow
async def test_a_network_trained_on_imported_games_alone_beats_random(
    system: System, tmp_path: Path
) -> None:
    settings = Settings(
        shard=ShardSettings(games=GAMES), selfplay=SelfplaySettings(games_per_ticket=GAMES)
    )
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    path = write_database(
        tmp_path / "old.db", [old_record(play_game(CONFIG, n)) for n in range(GAMES)]
    )
    summary = await import_games(system.log, [path], source="old", author="test")
    assert summary.stored == {CONFIG: GAMES}
    await cut(system)
    (asked,) = await request(
        system.log, CONFIG, None, games=GAMES, simulations=16, source="test", origin="import"
    )
    newest = await system.log.tail("EVENTS")
    (ticket,) = tickets_of(asked, f"EVENTS/{newest}")
    assert isinstance(ticket, ReanalysisTicket)
    networks: Any = None
    await reanalyse(system.process(), ticket, 1, networks)
    await cut(system)
    names = await system.process().blobs.names("shards")
    shards = await hand_training.shards(names, system.log, (CONFIG,))
    assert sum(shard.samples for shard in shards) > 1_000
    training = load(
        {"training.architecture": "v2-micro", "training.batch": "128"}, base=Settings()
    ).training
    trained = await asyncio.to_thread(
        hand_training.train,
        shards,
        training,
        steps=400,
        start=None,
        seed=1,
        report=lambda _: None,
        stop=lambda: False,
    )
    assert won(trained.data) > 0.8


def won(data: bytes) -> float:
    """Share of games against random that the bare policy of the network wins."""
    digest = digest_of(data)
    model = model_of(data, digest=digest, config=CONFIG)
    match = EvaluationRequested(
        config=CONFIG,
        generation=1,
        candidate=seat("policy", model=digest),
        opponent=seat("random"),
        purpose="random",
        round=0,
        starts=STARTS,
        seed=1,
        settings_version=1,
    )
    (ticket,) = tickets_of(match, "EVENTS/1")
    assert isinstance(ticket, EvaluationTicket)
    host = Host(node="n", threads=1)
    played = play_match(ticket, EvaluationSettings(), host, model_of=lambda _: model)
    (score,) = [fact for fact in played if isinstance(fact, EvaluationScored)]
    return score.wins / score.games
