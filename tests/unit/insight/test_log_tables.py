"""The log as DuckDB tables: typed, kept up to date, recreated when lost, damaged or of another
log."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.turning_loop import TurningLoop

from ringrift.errors import CommandError
from ringrift.events import REGISTRY
from ringrift.events.facts import (
    DeadLetterStored,
    EfficiencyMeasured,
    EvaluationScored,
    GameCompleted,
    NodeDescribed,
    NodeRegistered,
    NodeUnregistered,
    NodeUse,
    PipelinePaused,
    TrainingProgressed,
    UtilisationSampled,
)
from ringrift.insight.models.architecture_records import records
from ringrift.insight.models.model_history import ModelHistory
from ringrift.insight.rebuild import rebuild_elo
from ringrift.insight.sql import log_tables as tables
from ringrift.insight.sql.log_tables import FILE, columns, open_tables, refresh, rows_of, view_name
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.insight.sql.sql_plots import PLOTS, elo
from ringrift.log import read


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = open_tables(path)
    try:
        return [tuple(row.values()) for row in rows_of(connection, sql)]
    finally:
        connection.close()


@pytest.fixture
async def path(loop: TurningLoop, tmp_path: Path) -> Path:
    node = NodeUse(cores=2, busy={"selfplay": 90.0}, waited={"a-ticket": 30.0})
    await loop.put(UtilisationSampled(seconds=60.0, nodes={"n1": node}))
    await refresh(loop.log, tmp_path / FILE)
    return tmp_path / FILE


async def test_every_event_is_a_row_of_its_type(loop: TurningLoop, path: Path) -> None:
    recorded = [item async for item in read.facts(loop.log)] + [
        item async for item in read.facts(loop.log, stream="GAMES")
    ]
    assert ask(path, "SELECT count(*) FROM log") == [(len(recorded),)]
    for kind in REGISTRY.values():
        count = sum(isinstance(item.event, kind.fact_type) for item in recorded)
        assert ask(path, f"SELECT count(*) FROM {view_name(kind.fact_type)}") == [(count,)]


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("SELECT 111 AS a, 222 AS a", {"a": 111, "a_1": 222}),
        ("SELECT 1 AS a, 2 AS a_1, 3 AS a, 4 AS a", {"a": 1, "a_1": 2, "a_2": 3, "a_3": 4}),
    ],
)
async def test_columns_of_one_name_are_numbered(path: Path, sql: str, row: dict[str, int]) -> None:
    with contextlib.closing(open_tables(path)) as connection:
        assert list(rows_of(connection, sql)) == [row]


async def test_values_are_those_of_the_events(loop: TurningLoop, path: Path) -> None:
    event, meta = await anext(read.facts(loop.log, EvaluationScored))
    columns = 'seq, time, cause, candidate, games, wins, scores, rankings[1]."order"'
    (row,) = ask(path, f"SELECT {columns} FROM evaluation_scored WHERE seq = {meta.seq}")
    starts = [list(pair) for pair in event.scores]
    first = list(event.rankings[0].order)
    assert row == (
        meta.seq,
        meta.time.replace(tzinfo=None),
        meta.cause,
        event.candidate,
        event.games,
        event.wins,
        starts,
        first,
    )


def test_types_are_those_of_the_fields() -> None:
    game = columns(GameCompleted)
    assert [game[name] for name in ("plies", "play_seconds", "pie", "ranks")] == [
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "BIGINT[]",
    ]
    assert "targets" not in game
    assert columns(DeadLetterStored)["fact_seq"] == "BIGINT"
    assert columns(TrainingProgressed)["validation_loss"] == "DOUBLE"


async def test_a_refresh_reads_only_new_events(
    loop: TurningLoop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await refresh(loop.log, path) == 0
    await loop.put(PipelinePaused(scope="all", why='it\'s a test; "quoted"'))
    assert await refresh(loop.log, path) == 1
    assert ask(path, "SELECT scope, why FROM pipeline_paused") == [
        ("all", 'it\'s a test; "quoted"')
    ]


async def test_small_batches_give_the_same_tables(
    loop: TurningLoop, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FLUSH_EVENTS", 7)
    await refresh(loop.log, tmp_path / "other" / FILE)
    for view in ("log", "game_completed", "ratings_updated"):
        question = f"FROM {view} ORDER BY seq, id"
        assert ask(path, question) == ask(tmp_path / "other" / FILE, question)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"no database"),
        lambda path: (
            duckdb.connect(str(path)).execute("UPDATE raw.shape SET digest = 'old'").close()
        ),
    ],
)
async def test_a_lost_or_damaged_file_is_recreated(
    loop: TurningLoop, path: Path, damage: Any
) -> None:
    before = ask(path, "FROM log ORDER BY stream, seq")
    damage(path)
    assert await refresh(loop.log, path) == len(before)
    assert ask(path, "FROM log ORDER BY stream, seq") == before


async def test_another_log_recreates_the_file(loop: TurningLoop, path: Path) -> None:
    other = TurningLoop()
    await other.put(PipelinePaused(scope="all", why="x"))
    await refresh(other.log, path)
    assert ask(path, "SELECT count(*) FROM log") == [(1,)]


async def test_a_file_in_use_is_an_error(
    loop: TurningLoop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise duckdb.IOException("Could not set lock on file")

    monkeypatch.setattr(duckdb, "connect", busy)
    with pytest.raises(tables.TablesBusy, match="in use by another process"):
        await refresh(loop.log, path)
    monkeypatch.undo()
    assert await refresh(loop.log, path) == 0  # nothing was thrown away


@pytest.mark.parametrize("view", sorted(READY_VIEWS.keys() - {"people"}))  # see test_people
async def test_ready_views_have_rows(path: Path, view: str) -> None:
    assert ask(path, f"FROM {view}")


async def test_the_leaderboard_is_the_table_of_the_log(loop: TurningLoop, path: Path) -> None:
    (table,) = await rebuild_elo(loop.log)
    rows = ask(path, "SELECT participant, elo, se, games FROM leaderboard ORDER BY place")
    assert rows == [(row.participant, row.elo, row.se, row.games) for row in table.table.ratings]


async def test_architectures_are_those_of_the_command(loop: TurningLoop, path: Path) -> None:
    found = records(await ModelHistory.read(loop.log), "hex8_2p")
    assert found
    columns = "architecture, networks, games, elo_mean, elo_best, hours"
    rows = [
        (one.architecture, one.networks, one.games, one.elo_mean, one.elo_best, one.hours)
        for one in found
    ]
    for row, expected in zip(ask(path, f"SELECT {columns} FROM architectures"), rows, strict=True):
        assert row == pytest.approx(expected)


async def test_latencies_are_from_the_causes(loop: TurningLoop, path: Path) -> None:
    recorded = [item async for item in read.facts(loop.log)]
    caused = sum((item.meta.cause or "").startswith(("EVENTS/", "GAMES/")) for item in recorded)
    games = ask(path, "SELECT count(*) FROM game_completed")[0][0]
    assert ask(path, "SELECT sum(times)::INT FROM loop_latency") == [(caused + games,)]
    assert ask(path, "SELECT min(seconds_max) > 0 FROM loop_latency") == [(True,)]


async def test_quality_counts_the_games_of_plans(path: Path) -> None:
    assert ask(path, "SELECT generation, games, plies_mean FROM quality") == [
        (0, 8, 30.0),  # half of them were played ahead
        (1, 4, 30.0),
        (2, 4, 30.0),
    ]


async def test_work_is_priced_by_the_newest_registration_of_its_node(
    loop: TurningLoop, path: Path, tmp_path: Path
) -> None:
    assert {cost for (cost,) in ask(path, "SELECT cost FROM cost")} == {None}
    for node, price in (("n1", 9.0), ("n1", 3.0), ("n2", 1.0)):
        await loop.put(
            NodeRegistered(
                node=node, provider="p", accelerator="a", vram_gib=1.0, cost_per_hour=price
            ),
            key=f"{node}-{price}",
        )
    await refresh(loop.log, path)
    rows = ask(path, "SELECT node, hours, cost FROM cost")
    assert {node for node, _, _ in rows} <= {"n1", "n2"}
    assert all(
        cost == pytest.approx(hours * {"n1": 3.0, "n2": 1.0}[node]) for node, hours, cost in rows
    )
    connection = open_tables(path)
    PLOTS["cost"](connection, "hex8_2p", tmp_path / "cost.png")
    connection.close()


async def test_the_picture_of_elo_is_drawn(loop: TurningLoop, tmp_path: Path) -> None:
    await elo(loop.log, "hex8_2p", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(CommandError, match="no ratings of square8_2p; configs with self-play: hex"):
        await elo(loop.log, "square8_2p", tmp_path / "y.png")


async def test_a_node_without_a_registration_has_the_price_that_it_names(
    loop: TurningLoop, path: Path
) -> None:
    said = NodeDescribed(
        node="n1",
        provider="vast",
        accelerator="a",
        gpus=1,
        cores=8,
        vram_gib=24.0,
        cost_per_hour=2.0,
        kinds=("selfplay",),
        rented=True,
        version="1",
    )
    registered = NodeRegistered(
        node="n1", provider="p", accelerator="a", vram_gib=1.0, cost_per_hour=3.0
    )
    for fact, price in (
        (said, 2.0),
        (registered, 3.0),
        (NodeUnregistered(node="n1", why="given back"), 2.0),
    ):
        await loop.put(fact)
        await refresh(loop.log, path)
        rows = ask(path, "SELECT hours, cost FROM cost WHERE node = 'n1'")
        assert rows
        assert all(cost == pytest.approx(hours * price) for hours, cost in rows)


async def test_the_elo_gained_for_its_cost_is_drawn(
    loop: TurningLoop, path: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        measured = EfficiencyMeasured(
            config="hex8_2p",
            hours=1.0,
            node_hours=2.0,
            cost=0.0,
            elo_gained=10.0 * number,
            elo_per_hour=10.0 * number,
            elo_per_node_hour=5.0 * number,
            elo_per_cost=None,
            spent={},
            settings_version=1,
        )
        await loop.put(measured, key=str(number))
    await refresh(loop.log, path)
    connection = open_tables(path)
    PLOTS["efficiency"](connection, "hex8_2p", tmp_path / "x.png")
    connection.close()
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("what", sorted(PLOTS.keys() - {"loss", "efficiency"}))
async def test_pictures_are_drawn(path: Path, tmp_path: Path, what: str) -> None:
    connection = open_tables(path)
    PLOTS[what](connection, "hex8_2p", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(CommandError, match="configs with self-play: hex8_2p"):
        PLOTS[what](connection, "square8_2p", tmp_path / "y.png")
    connection.close()


async def test_loss_curves_are_drawn(loop: TurningLoop, tmp_path: Path) -> None:
    for step in (1, 2):
        await loop.put(
            TrainingProgressed(
                config="hex8_2p",
                generation=1,
                ticket="t",
                step=step,
                steps=2,
                loss=3.0 / step,
                policy_loss=1.0,
                value_loss=1.0,
                validation_loss=None if step == 1 else 2.0,
                samples_per_second=1.0,
            )
        )
    await refresh(loop.log, tmp_path / FILE)
    connection = open_tables(tmp_path / FILE)
    PLOTS["loss"](connection, "hex8_2p", tmp_path / "x.png")
    connection.close()
    assert (tmp_path / "x.png").exists()


async def test_the_share_of_a_machine_that_was_used_is_a_view(path: Path) -> None:
    rows = ask(path, "SELECT node, used, what, share FROM utilisation")
    assert rows == [("n1", True, "selfplay", 0.75), ("n1", False, "a-ticket", 0.25)]
