"""Imported games in the log: each once, exported, reanalysed, retracted by their source."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from support.games import play_game
from support.old_records import old_record, write_database, write_lines
from support.system import System, running

from ringrift.consumers import exporter
from ringrift.consumers.games.reanalysis import reanalyse
from ringrift.consumers.verification.games import GameLedger, replayed
from ringrift.consumers.verification.history import History
from ringrift.deciders.loop import progress
from ringrift.events import Recorded, Settings
from ringrift.events.facts import (
    GameCompleted,
    GamesImported,
    ImportStarted,
    MatchesImported,
    MatchesRetracted,
    SettingsChanged,
    ShardExported,
)
from ringrift.events.settings import ShardSettings
from ringrift.events.tickets import ReanalysisTicket, tickets_of
from ringrift.insight.reanalyse import reanalyse as request
from ringrift.legacy import importing
from ringrift.legacy.importing import Summary, import_games
from ringrift.log import read
from ringrift.runtime.retract import Selection, retract_imported, retractions

ELO = Path(__file__).parents[2] / "data" / "legacy" / "elo" / "elo_old_ab.db"


async def imported(system: System, *paths: Path, **options: Any) -> Summary:
    return await import_games(system.log, paths, source="old", author="test", **options)


def files(folder: Path, games: int = 3) -> list[Path]:
    """A database and a file of lines that share a game, and have a rejected one each."""
    records = [old_record(play_game("hex8_2p", seed)) for seed in range(games)]
    bad = old_record(play_game("hex8_2p", 9), winner=3)
    return [
        write_database(folder / "a.db", [*records[:2], bad]),
        write_lines(folder / "b.jsonl", [*records[1:], {**bad, "game_id": "other"}]),
    ]


async def cut(system: System) -> list[ShardExported]:
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
    return await system.facts(ShardExported)


async def test_a_game_is_stored_once_whatever_its_old_ids(system: System, tmp_path: Path) -> None:
    summary = await imported(system, *files(tmp_path))
    assert summary.stored == {"hex8_2p": 3}
    assert summary.games == {"ok": 3, "wrong_winner": 2, "duplicate_same": 1}
    again = await imported(system, tmp_path)
    assert again.stored == {}
    assert again.games["already_imported"] == 3
    games = await system.facts(GameCompleted)
    assert len(games) == len({game.game for game in games}) == 3
    (done,) = await system.facts(GamesImported)
    assert (done.games, done.others) == (3, {"wrong_winner": 2, "duplicate_same": 1})


async def test_an_interrupted_import_continues(
    system: System, tmp_path: Path, monkeypatch: Any
) -> None:
    paths = files(tmp_path, games=5)
    monkeypatch.setattr(importing, "BATCH_GAMES", 1)
    importer = importing.Importer.accepted

    def broken(self: Any, *options: Any) -> Any:
        games = importer(self, *options)
        yield next(games)
        yield next(games)
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(importing.Importer, "accepted", broken)
        with contextlib.suppress(RuntimeError):
            await imported(system, *paths)
    before = len(await system.facts(GameCompleted))
    assert 0 < before < 5
    summary = await imported(system, *paths)
    assert summary.stored == {"hex8_2p": 5 - before}
    assert len(await system.facts(GameCompleted)) == 5


async def test_the_exporter_takes_imported_games_only_from_an_import(
    system: System, tmp_path: Path
) -> None:
    settings = Settings(shard=ShardSettings(games=2))
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    await imported(system, *files(tmp_path))
    (shard,) = await cut(system)
    assert (shard.games, shard.imported, shard.samples, shard.refused) == (2, 2, 0, {})
    games = await system.facts(GameCompleted)
    await system.write(games[0], games[1])  # without a request
    shards = await cut(system)
    assert [len(one.refused.get("unrequested", ())) for one in shards] == [0, 1]


async def test_reanalysis_gives_imported_games_samples(system: System, tmp_path: Path) -> None:
    settings = Settings(shard=ShardSettings(games=3))
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    await imported(system, *files(tmp_path))
    await cut(system)
    (asked,) = await request(
        system.log, "hex8_2p", None, games=9, simulations=2, source="test", origin="import"
    )
    last = [meta async for _, meta in read.facts(system.log, type(asked))][-1]
    (ticket,) = tickets_of(asked, last.position)
    assert isinstance(ticket, ReanalysisTicket)
    networks: Any = None  # the heuristic searches
    await reanalyse(system.process(), ticket, 1, networks)
    before, after = await cut(system)
    assert (before.samples, after.supersedes, after.imported) == (0, before.digest, 3)
    assert after.samples == after.samples_added > 100
    # they are new samples for the training, but not games that self-play waits for
    counted = progress.exported(progress.exported(progress.Progress(), before), after)
    assert (counted.samples_new, counted.games_exported) == (after.samples, 0)
    nothing = await request(
        system.log, "hex8_2p", None, games=9, simulations=2, source="test", origin="import"
    )
    assert nothing == []


async def test_imported_games_are_retracted_by_their_source(system: System, tmp_path: Path) -> None:
    await imported(system, *files(tmp_path))
    asked = Selection(node="import-old", why="wrong rules")
    (fact,), _ = await retractions(system.log, asked)
    assert fact.count == 3


async def test_imported_games_agree_with_the_verifier(system: System, tmp_path: Path) -> None:
    await imported(system, *files(tmp_path))
    games = [Recorded(*one) async for one in read.facts(system.log, GameCompleted)]
    assert replayed(games) == []
    ledger = GameLedger(History())
    assert [list(ledger.take(game, meta.seq, meta.cause)) for game, meta in games] == [[]] * 3


async def test_only_the_wanted_configs_are_imported(system: System, tmp_path: Path) -> None:
    records = [old_record(play_game(key, 1)) for key in ("hex8_2p", "square8_2p")]
    path = write_lines(tmp_path / "a.jsonl", records)
    summary = await imported(system, path, configs=frozenset({"square8_2p"}))
    assert (summary.stored, summary.games) == ({"square8_2p": 1}, {"ok": 1})


async def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    summary = await import_games(None, files(tmp_path), source="old", author="test")
    assert summary.stored == {"hex8_2p": 3}
    assert summary.dry_run


async def test_results_of_matches_are_recorded_once(system: System) -> None:
    summary = await imported(system, ELO)
    assert summary.rated == {"square8_2p": 2}
    assert summary.files[0].unrated == {"winner_took_no_part": 1}
    assert (await imported(system, ELO)).rated == {}
    (fact,) = await system.facts(MatchesImported)
    assert {(row.order, row.ranks) for row in fact.rankings} == {
        (("legacy:ringrift_best_hex8_2p", "legacy:ringrift_best_sq8_2p"), (1, 2)),
        (("legacy:ringrift_best_hex8_2p", "legacy:ringrift_best_sq8_2p"), (1, 1)),
    }
    assert await system.facts(ImportStarted) == []


async def test_results_are_retracted_by_source_and_may_be_imported_again(system: System) -> None:
    def retracted(source: str) -> Coroutine[Any, Any, list[MatchesRetracted]]:
        return retract_imported(system.log, source, None, "test", "ringrift")

    await imported(system, ELO)
    assert await retracted("other") == []
    (fact,) = await retracted("old")
    (written,) = await system.facts(MatchesImported)
    assert (fact.config, fact.games, fact.rankings) == ("square8_2p", 2, written.rankings)
    assert await retracted("old") == []
    assert (await imported(system, ELO)).rated == {"square8_2p": 2}
    assert len(await retracted("old")) == 1
