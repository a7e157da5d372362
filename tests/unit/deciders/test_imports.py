"""Imported games count as games of their config, but are neither fresh nor played by its loop."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace
from support.loop_facts import CONFIG, exported

from ringrift.deciders.context import Context, Pauses
from ringrift.deciders.feedback import scheduling
from ringrift.deciders.loop import held_back, progress, rating
from ringrift.events import Settings
from ringrift.events.facts import MatchesImported, MatchesRetracted, Ranking, RatingsUpdated

OLD = replace(exported(0, 8, 0), games=8, imported=8, summary=None)
CONTEXT = Context(
    seq=9,
    time=datetime(2026, 1, 1, tzinfo=UTC),
    cause=None,
    author="exporter@n",
    id="x",
    settings=Settings(),
    settings_version=1,
    pauses=Pauses(),
)


def test_a_shard_of_imported_games_is_not_fresh_data() -> None:
    load = scheduling.exported(scheduling.Load(), OLD, CONTEXT)
    assert (load.games, load.exported_at) == (8, None)
    assert held_back.exported(held_back.Readiness(), OLD, CONTEXT).exported_at is None
    mixed = replace(OLD, imported=3, samples=9)
    load = scheduling.exported(scheduling.Load(), mixed, CONTEXT)
    assert (load.games, load.exported_at) == (3, CONTEXT.time)


def test_self_play_does_not_wait_for_imported_games() -> None:
    counted = progress.exported(progress.Progress(games_planned=4, games_played=4), OLD)
    assert not counted.idle(2)  # its own four games are not exported yet
    assert progress.exported(counted, replace(OLD, games=4, imported=0)).idle(2)


def test_imported_results_are_rated_where_a_game_connects_them_with_a_baseline(story) -> None:
    def results(first: str, second: str, count: int) -> MatchesImported:
        row = Ranking(order=(first, second), ranks=(1, 2), count=count)
        ids = bytes(8 * count)
        return MatchesImported(config=CONFIG, source="old", games=count, rankings=(row,), ids=ids)

    life = story(rating.DECIDER)
    (alone,) = life.when(results("legacy:a", "legacy:b", 3)).then(RatingsUpdated)
    assert (alone.anchor, alone.unrated, alone.games) == (None, ("legacy:a", "legacy:b"), 3)
    (joined,) = life.when(results("legacy:b", "baseline:random:s0", 2)).then(RatingsUpdated)
    assert [row.participant for row in joined.ratings] == [
        "legacy:a",
        "legacy:b",
        "baseline:random:s0",
    ]
    gone = MatchesRetracted(
        config=CONFIG,
        source="old",
        games=2,
        rankings=results("legacy:b", "baseline:random:s0", 2).rankings,
        why="test",
    )
    (left,) = life.when(gone).then(RatingsUpdated)
    assert left == alone
