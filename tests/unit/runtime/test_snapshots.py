"""Snapshots of folds: a fold that starts from one equals the fold from the start, and an unusable
one is skipped. In memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import Fact, Recorded, Settings, draft, facts
from ringrift.events.facts import (
    EvaluationScored,
    ModelRegistered,
    PipelinePaused,
    Ranking,
    SettingsChanged,
    ShardExported,
)
from ringrift.log import snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.topology import FOLD_BUCKET
from ringrift.runtime import folds
from ringrift.runtime.decide import DeciderRun, act, own_decisions, replayed
from ringrift.runtime.folds import Folded, code_version, newest, save
from ringrift.runtime.process import Process
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

DECIDERS = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
A, B = "a" * 64, "b" * 64


def scored(wins: int) -> EvaluationScored:
    names = (f"{B[:12]}:gumbel:s32", "baseline:random:s0")
    rankings = (
        Ranking(order=names, ranks=(1, 2), count=wins),
        Ranking(order=names[::-1], ranks=(1, 2), count=8 - wins),
    )
    return EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket=f"t{wins}",
        candidate=names[0],
        candidate_model=B,
        opponent=names[1],
        purpose="random",
        round=0,
        games=8,
        wins=wins,
        scores=((0.5, 4),),
        rankings=tuple(row for row in rankings if row.count),
        play_seconds=1.0,
        node="n",
    )


def history() -> list[Fact]:
    configs = (
        "square8_2p",
        "hex8_2p",
    )  # not in the order of the alphabet: decisions follow this one
    shard = ShardExported(
        config="hex8_2p",
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=2,
        games=2,
        samples=20,
        rejected=0,
        digest=A,
        size_bytes=9,
    )
    network = ModelRegistered(
        config="hex8_2p",
        model=B,
        generation=1,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )
    facts = [
        SettingsChanged(version=1, settings=Settings(configs=configs), why="test"),
        shard,
        network,
    ]
    return [*facts, scored(3), PipelinePaused(scope="all", why="test"), scored(5)]


class Runner:
    """A log, and its deciders run to the end of it as often as one likes."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.log = MemoryLog(self.broker)
        self.blobs = Blobs(self.log)

    async def write(self, *facts: Fact) -> None:
        for fact in facts:
            await self.log.append(
                [draft(fact, cause=None, source="test", key=await self.log.tail("EVENTS"))]
            )

    async def live(self) -> dict[str, Folded]:
        """The folds of a runner that has caught up with the log and its own decisions, then
        stops."""
        process = Process("planner", "test", MemoryLog(self.broker))
        found: dict[str, Any] = {}

        def note(seq: int, states: Any) -> None:
            found.update(states)
            if seq >= self.broker.stream("EVENTS").last_seq:
                process.stop()

        process.folded = note  # type: ignore[method-assign]
        await act(process, DECIDERS, None)
        return found

    async def events(self) -> list[Recorded]:
        return [
            item.recorded("EVENTS") async for batch in self.log.read("EVENTS") for item in batch
        ]

    async def hashes(self) -> dict[str, str]:
        """Digests of the folds of the whole log, from its first event."""
        return {
            decider.name: replayed(decider, await self.events()).fold_hash for decider in DECIDERS
        }


@pytest.fixture
async def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(folds, "SNAPSHOT_EVENTS", 3)
    monkeypatch.setattr(folds, "runners", lambda decider: ["planner"])
    runner = Runner()
    await runner.write(*history()[:4])
    await runner.live()
    return runner


async def test_the_fold_from_a_snapshot_equals_that_from_the_start(runner: Runner) -> None:
    start = {
        decider.name: (await newest(runner.blobs, runner.log, decider)).seq for decider in DECIDERS
    }
    assert all(seq > 0 for seq in start.values())
    await runner.write(*history()[4:])
    assert {
        name: fold.fold_hash for name, fold in (await runner.live()).items()
    } == await runner.hashes()


async def test_a_snapshot_keeps_the_order_of_the_configs(runner: Runner) -> None:
    fold = await newest(runner.blobs, runner.log, selfplay.DECIDER)
    assert list(fold.state.configs) == ["square8_2p", "hex8_2p"]


async def test_a_fold_from_a_snapshot_has_the_context_of_the_one_from_the_start(
    runner: Runner,
) -> None:
    await runner.write(*history()[4:])
    await runner.live()
    events = await runner.events()
    for decider in DECIDERS:
        start = await newest(runner.blobs, runner.log, decider)
        whole = replayed(decider, events)
        assert whole.in_force.settings_version == 1
        assert whole.in_force.pauses.stops("hex8_2p", "training")
        assert start.seq > 0
        resumed = DeciderRun(decider, {}, start)
        resumed.decided_to = len(events)
        for recorded in events:
            resumed.take(*recorded)
        assert resumed.in_force == whole.in_force


async def test_settings_and_pauses_survive_in_a_snapshot(runner: Runner) -> None:
    in_force = replayed(elo.DECIDER, await runner.events()).in_force
    in_force = in_force.after(PipelinePaused(scope="hex8_2p", kind="training", why="w"))
    good = await newest(runner.blobs, runner.log, elo.DECIDER)
    tail = await runner.log.tail("EVENTS")
    assert tail > good.seq
    await save(runner.blobs, elo.DECIDER, replace(good, seq=tail, in_force=in_force), "planner@n")
    assert (await newest(runner.blobs, runner.log, elo.DECIDER)).in_force == in_force


async def test_only_the_rest_of_the_log_is_read(runner: Runner) -> None:
    await runner.write(*history()[4:])
    first = []

    class Watched(MemoryLog):
        def read(self, stream: str, **where: Any) -> Any:
            first.extend(
                [where.get("start_seq", 1)]
                if stream == "EVENTS" and not where.get("filters")
                else []
            )
            return super().read(stream, **where)

    runner.log, log = Watched(runner.broker), runner.log
    process = Process("planner", "test", runner.log)
    start = min([(await newest(runner.blobs, log, decider)).seq for decider in DECIDERS])

    def folded(seq: int, states: Any) -> None:
        if seq >= 5:
            process.stop()

    process.folded = folded  # type: ignore[method-assign]
    await act(process, DECIDERS, None)
    assert first == [start + 1]


async def test_a_restart_from_a_snapshot_decides_nothing_twice(runner: Runner) -> None:
    before = await runner.log.tail("EVENTS")
    await runner.live()
    assert await runner.log.tail("EVENTS") == before


async def test_the_newest_snapshots_are_kept(runner: Runner) -> None:
    for seq in range(100, 110):
        await save(runner.blobs, elo.DECIDER, Folded(seq, elo.Matches()), "planner@n")
    assert [name.seq for name in await snapshots.stored(runner.blobs, "elo")] == [109, 108, 107]
    assert await snapshots.stored(runner.blobs, "selfplay")


async def test_a_snapshot_ahead_of_the_log_is_skipped(runner: Runner) -> None:
    good = await newest(runner.blobs, runner.log, elo.DECIDER)
    await save(runner.blobs, elo.DECIDER, replace(good, seq=10_000), "planner@n")
    with structlog.testing.capture_logs() as said:
        assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == good.seq
    assert "another log" in said[0]["reason"]


async def test_a_snapshot_whose_newest_event_is_not_in_the_log_is_skipped(runner: Runner) -> None:
    good = await newest(runner.blobs, runner.log, elo.DECIDER)
    await save(
        runner.blobs,
        elo.DECIDER,
        replace(good, seq=good.seq + 1, newest=replace(good.newest, id="other")),
        "planner@n",
    )
    assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == good.seq


def test_the_code_version_covers_every_module() -> None:
    folder = Path(inspect.getfile(facts)).parents[1]
    named = dict(folds._sources("ringrift.events", folder))
    assert {"ringrift.events/facts/play.py", "ringrift.events/codec.py"} <= named.keys()
    assert len(named) == len(list(folder.rglob("*.py")))
    assert named["ringrift.events/facts/play.py"] == (folder / "facts" / "play.py").read_text()


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Replace a piece of text in the modules of deciders and events."""
    sources = folds._sources

    def replaced(old: str, new: str) -> None:
        def edited(name: str, folder: Any) -> Iterator[tuple[str, str]]:
            return ((path, text.replace(old, new)) for path, text in sources(name, folder))

        monkeypatch.setattr(folds, "_sources", edited)
        code_version.cache_clear()

    yield replaced
    code_version.cache_clear()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Deciders: pure functions', '"""Deciders are pure functions'),
        ('    """State before the first fact."""', '    """The first state."""'),
        ("# exact in JSON readers", "# fits JSON readers"),
    ],
    ids=["of a module", "of a function", "comment"],
)
async def test_a_changed_docstring_keeps_a_snapshot_valid(
    runner: Runner, edit: Any, old: str, new: str
) -> None:
    before = (await newest(runner.blobs, runner.log, elo.DECIDER)).seq
    edit(old, new)
    assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == before > 0


async def test_a_changed_constant_invalidates_a_snapshot(runner: Runner, edit: Any) -> None:
    edit("SEED_BITS = 48", "SEED_BITS = 40")
    assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == 0


async def test_a_snapshot_of_other_code_is_skipped(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "code_version", lambda: "0" * 16)
    with structlog.testing.capture_logs() as said:
        assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == 0
    assert said[0]["log_level"] == "warning"


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:-10],
        lambda body: b"",
        lambda body: body.replace(b'"games":8', b'"games":9'),
    ],
)
async def test_a_damaged_snapshot_is_skipped_and_the_fold_rebuilt(
    runner: Runner, damage: Any
) -> None:
    for name in await snapshots.stored(runner.blobs, "elo"):
        body = await runner.blobs.get_named(FOLD_BUCKET, str(name))
        await runner.blobs.put_named(FOLD_BUCKET, str(name), damage(body))
    with structlog.testing.capture_logs() as said:
        assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == 0
    assert said
    assert {line["event"] for line in said} == {"snapshot skipped"}
    assert (await runner.live())["elo"].fold_hash == (await runner.hashes())["elo"]


async def test_a_state_of_another_digest_is_skipped(runner: Runner) -> None:
    good = await newest(runner.blobs, runner.log, elo.DECIDER)
    snapshot = snapshots.Snapshot(
        decider="elo",
        seq=good.seq + 1,
        code=code_version(),
        author="planner@n",
        fold_hash=good.fold_hash,
        mark=None,
        state=msgspec.Raw(b'{"configs":{}}'),
    )
    await snapshots.write(runner.blobs, snapshot)
    assert (await newest(runner.blobs, runner.log, elo.DECIDER)).seq == good.seq


@pytest.mark.parametrize("author", ["", "trainer@n", "planner"])
async def test_a_snapshot_counts_only_if_its_author_runs_the_decider(
    runner: Runner, author: str
) -> None:
    good = await newest(runner.blobs, runner.log, elo.DECIDER)
    newer = replace(good, seq=good.seq + 1)
    await save(runner.blobs, elo.DECIDER, newer, author)
    used = (await newest(runner.blobs, runner.log, elo.DECIDER)).seq
    assert used == (newer.seq if author == "planner" else good.seq)


async def test_a_failed_snapshot_does_not_stop_the_fold(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise snapshots.BlobCorrupt("no room")

    monkeypatch.setattr(folds, "save", refuse)
    await runner.write(*history()[4:])
    with structlog.testing.capture_logs() as said:
        assert {
            name: fold.fold_hash for name, fold in (await runner.live()).items()
        } == await runner.hashes()
    assert any(line["event"] == "snapshot not written" for line in said)


async def test_states_survive_json(runner: Runner) -> None:
    await runner.write(*history()[4:])
    for decider in DECIDERS:
        state = replayed(decider, await runner.events()).state
        assert msgspec.json.decode(msgspec.json.encode(state), type=decider.state) == state


async def test_own_decisions_before_the_snapshot_are_not_read(runner: Runner) -> None:
    causes = list(await own_decisions(runner.log, elo.DECIDER))
    assert causes
    assert await own_decisions(runner.log, elo.DECIDER, causes[-1]) == {}


async def test_checkpoints_of_trainings_are_ignored(runner: Runner) -> None:
    await runner.blobs.put_named(FOLD_BUCKET, "training-events-5", b"x")
    assert await snapshots.stored(runner.blobs, "training")
    assert all(
        name.decider == "training" for name in await snapshots.stored(runner.blobs, "training")
    )
