"""`ringrift export tensorboard`, read back with TensorBoard's own reader."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.embedded import connected, running
from support.loop_facts import CONFIG, B, exported, finished, played, promoted, registered, scored
from support.waiting import eventually

from ringrift.cli.main import main
from ringrift.events import Fact, draft
from ringrift.events.facts import Rating, RatingsUpdated, TrainingProgressed
from ringrift.insight import tensorboard as feature
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog

pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NAME = f"{B[:12]}:gumbel:s32"
TABLE = RatingsUpdated(
    config=CONFIG,
    ratings=(
        Rating(participant=NAME, elo=120.0, se=10.0, games=64),
        Rating(participant="baseline:heuristic", elo=0.0, se=0.0, games=64),
    ),
    games=64,
    anchor="baseline:heuristic",
    current=NAME,
)
PROGRESSED = TrainingProgressed(
    config=CONFIG,
    generation=1,
    ticket="t",
    step=20,
    steps=60,
    loss=2.0,
    policy_loss=1.5,
    value_loss=0.5,
    validation_loss=None,
    samples_per_second=1000.0,
)
FACTS: tuple[Fact, ...] = (
    played(games=64),
    exported(),
    PROGRESSED,
    replace(PROGRESSED, step=40, loss=1.0),
    finished(),
    registered(),
    scored("random", 24, 8),
    promoted(),
    TABLE,
    played(games=32),
)


async def append(log: JetStreamLog, *facts: Fact) -> list[float]:
    """Append facts; the times at which the server stored them."""
    times = []
    for number, fact in enumerate(facts):
        item = draft(fact, cause=None, source="test", key=f"{number}-{id(fact)}")
        (seq,) = await log.append([item])
        stored = await read.fact_at(log, f"EVENTS/{seq}")
        assert stored is not None
        times.append(stored.meta.time.timestamp())
    return times


def scalars(run: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Step, value and time of every point of a run, by name."""
    found = EventAccumulator(str(run))
    found.Reload()
    return {
        name: [(one.step, one.value, one.wall_time) for one in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


async def test_a_log_is_exported_again_and_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "boards"
    async with running(tmp_path / "data") as server, connected(server) as log:
        times = await append(log, *FACTS)
        words = ["export", "tensorboard", "--output", str(output), "--server", server.url]

        assert await asyncio.to_thread(main, words) == 0
        first = scalars(output / CONFIG)
        assert capsys.readouterr().out == f"{output}: 22 points in 2 runs\n"
        assert first["games/selfplay"] == [(64, 64.0, times[0]), (96, 96.0, times[-1])]
        assert first["score/random"] == [(64, 0.75, times[6])]
        assert [value for _, value, _ in first["elo/current"]] == [120.0]
        assert first["elo/current_low_95"][0][1] == pytest.approx(120.0 - 19.6, abs=0.01)
        curve = scalars(output / CONFIG / "generation-1")["loss/total"]
        assert curve == [(20, 2.0, times[2]), (40, 1.0, times[3])]

        assert await asyncio.to_thread(main, words) == 0
        assert "2 files of an earlier export were replaced" in capsys.readouterr().out
        assert scalars(output / CONFIG) == first

        tail = await log.tail("EVENTS")
        with feature.Writers(tmp_path / "live") as writers:
            following = asyncio.create_task(feature.export(read.follow(log, after=tail), writers))
            await append(log, played(games=8))

            async def arrived() -> Any:
                return writers.points == 2 and scalars(tmp_path / "live" / CONFIG)

            live = await eventually(arrived, seconds_max=20)
            following.cancel()
            assert live["games/selfplay"][0][1] == 8.0


def test_without_the_extra_the_remedy_is_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    run("export", "tensorboard", "--output", str(tmp_path), status=1)
    assert (
        "the export needs the extra `tensorboard`: pip install 'ringrift[tensorboard]'" in run.err
    )
    assert run.err.count("\n") == 1
