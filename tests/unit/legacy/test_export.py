"""Games, samples and facts as files, read back with the libraries of other programs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from msgspec.structs import replace
from support.games import play_game
from support.requested_games import write_requested
from support.system import System, running

from ringrift.consumers import exporter
from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.facts import GameCompleted, SettingsChanged
from ringrift.events.settings import ShardSettings
from ringrift.rules import Position
from ringrift.runtime.retract import Selection, retractions
from ringrift.tools import export as feature
from ringrift.tools.export import COLUMNS, Manifest, export, samples_of

CONFIG = "hex8_2p"


@pytest.fixture
async def games(system: System) -> list[GameCompleted]:
    """Three games, of which one is retracted, in one shard."""
    settings = Settings(shard=ShardSettings(games=3))
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    asked = await write_requested(system, *(play_game(CONFIG, seed) for seed in range(3)))
    (fact,), _ = await retractions(system.log, Selection(games=(asked[1].game,), why="test"))
    await system.write(fact)
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
    return asked


async def exported(system: System, what: Any, folder: Path, **options: Any) -> Manifest:
    options = {"config": CONFIG, "format": "parquet", **options}
    return await export(system.log, what, folder / what, **options)


async def test_games_are_read_by_duckdb(
    system: System, games: list[GameCompleted], tmp_path: Path
) -> None:
    manifest = await exported(system, "games", tmp_path)
    found = duckdb.sql(f"SELECT * FROM '{tmp_path}/games/part-*.parquet' ORDER BY seq")
    assert found.columns == [column.name for column in COLUMNS["games"]]
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert [row["moves"] for row in rows] == [game.moves for game in games]
    assert [row["retracted"] for row in rows] == [False, True, False]
    assert [tuple(row["ranks"]) for row in rows] == [game.ranks for game in games]
    (part,) = manifest.parts
    data = (tmp_path / "games" / part.file).read_bytes()
    assert (part.rows, part.sha256) == (3, hashlib.sha256(data).hexdigest())
    stored = json.loads((tmp_path / "games" / "manifest.json").read_text())
    assert (stored["rows"], stored["until"], stored["config"]) == (3, 3, CONFIG)
    assert "| `winner` | int64 |" in (tmp_path / "games" / "README.md").read_text()


async def test_samples_are_those_of_the_shards_and_name_their_moves(
    system: System, games: list[GameCompleted], tmp_path: Path
) -> None:
    await exported(system, "samples", tmp_path, format="jsonl")
    lines = (tmp_path / "samples" / "part-00000.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    kept = [games[0], games[2]]
    assert rows == [json.loads(json.dumps(row)) for game in kept for row in samples_of(game)]
    for row in rows[:20]:
        position = Position.parse(row["position"])
        assert {*row["moves"], row["played"]} <= {*position.legal()}
        assert (position.ply, position.seat) == (row["ply"], row["seat"])
        assert sum(row["policy"]) == pytest.approx(1.0, abs=1e-5)


async def test_arrays_need_no_pickle(
    system: System, games: list[GameCompleted], tmp_path: Path
) -> None:
    await exported(system, "samples", tmp_path, format="npz")
    found = np.load(tmp_path / "samples" / "part-00000.npz", allow_pickle=False)
    first = samples_of(games[0])[0]
    start, end = found["moves_start"][:2]
    assert found["moves"][start:end].tolist() == first["moves"]
    assert found["position"][0] == first["position"]
    assert found["values"].dtype == np.float32


async def test_facts_since_a_sequence(
    system: System, games: list[GameCompleted], tmp_path: Path
) -> None:
    manifest = await exported(system, "facts", tmp_path, config=None, since=2)
    rows = duckdb.sql(f"SELECT seq, type, data FROM '{tmp_path}/facts/*.parquet'").fetchall()
    assert [row[0] for row in rows] == [*range(2, manifest.until + 1)]
    assert {"ShardExported", "GamesRetracted"} <= {row[1] for row in rows}
    assert all(json.loads(row[2]) for row in rows)


async def test_rows_are_written_in_parts(
    system: System, games: list[GameCompleted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(feature.PART_ROWS, "games", 2)
    manifest = await exported(system, "games", tmp_path)
    assert [part.rows for part in manifest.parts] == [2, 1]
    with pytest.raises(CommandError, match="not empty"):
        await exported(system, "games", tmp_path)
    with pytest.raises(CommandError, match="no games to export of hex8_3p"):
        await export(system.log, "games", tmp_path / "x", config="hex8_3p", format="npz")


def test_a_game_that_does_not_replay_has_no_samples() -> None:
    assert samples_of(replace(play_game(CONFIG, 1), winner=2, ranks=(2, 1), plies=1)) == []
