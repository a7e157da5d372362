"""Shards go when neither a window nor a training can reach them, and not before."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st
from support.story import Story, settings_changed

from ringrift.deciders.loop import retention
from ringrift.deciders.loop.retention import DECIDER, RETIRED_MAX
from ringrift.events.facts import (
    ShardExported,
    ShardRetired,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import ShardSettings, TrainingSettings

CONFIG = "hex8_2p"
TICK = TickRecorded(minute=1)
WINDOW = TrainingSettings(window_samples=2000)
"""two shards of 1,000 samples; twice as many are kept"""


def digest(index: int) -> str:
    return f"{index:064x}"


def shard(
    index: int, *, samples: int = 1000, supersedes: str | None = None, config: str = CONFIG
) -> ShardExported:
    return ShardExported(
        config=config,
        encoder="e",
        index=index % 1000,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=samples,
        rejected=0,
        digest=digest(index),
        size_bytes=1,
        supersedes=supersedes,
    )


def requested(*indices: int) -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG,
        generation=1,
        architecture="a",
        parent=None,
        shards=tuple(map(digest, indices)),
        samples=1,
        seed=1,
        reason="r",
        settings_version=1,
    )


FINISHED = TrainingFinished(
    config=CONFIG,
    generation=1,
    ticket="t",
    model="a" * 64,
    steps=1,
    samples=1,
    loss=1.0,
    policy_loss=1.0,
    value_loss=1.0,
    validation_loss=None,
    train_seconds=1.0,
    node="n",
)


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(training=WINDOW))


def retired(life) -> list[int]:
    """Indices of what goes at the next tick."""
    return [fact.index for fact in life.when(TICK).decided if isinstance(fact, ShardRetired)]


def test_shards_two_windows_back_are_retired_oldest_first(life):
    life.given(*map(shard, range(6)))
    (first, second) = life.when(TICK).then(ShardRetired, ShardRetired)
    assert [first.digest, second.digest] == [digest(0), digest(1)]
    assert first.why == "further back than 4,000 samples"


def test_shards_in_reach_are_kept(life):
    assert retired(life.given(*map(shard, range(4)))) == []


def test_a_shard_is_retired_once(life):
    assert retired(life.given(*map(shard, range(6)))) == [0, 1]
    assert retired(life) == []


def test_only_a_tick_decides(life):
    life.given(*map(shard, range(5))).when(shard(5)).then()


def test_shards_of_a_training_in_flight_are_kept(life):
    life.given(*map(shard, range(3)), requested(0, 1), *map(shard, range(3, 6)))
    assert retired(life) == []
    assert retired(life.given(FINISHED)) == [0, 1]


def test_a_training_keeps_only_its_own_shards(life):
    life.given(*map(shard, range(3)), requested(0), requested(1), *map(shard, range(3, 6)))
    assert retired(life) == [0]


def test_a_superseding_shard_is_retired_in_its_place(life):
    life.given(*map(shard, range(4)), shard(1000, supersedes=digest(0)), shard(4))
    (fact,) = life.when(TICK).then(ShardRetired)
    assert fact.digest == digest(1000)


def test_an_empty_shard_takes_no_room(life):
    life.given(shard(0), shard(1, samples=0), *map(shard, range(2, 5)))
    assert retired(life) == []


def test_more_windows_can_be_kept(story, settings_changed):
    life = story(DECIDER).given(
        settings_changed(training=WINDOW, shard=ShardSettings(windows_kept=3.0))
    )
    assert retired(life.given(*map(shard, range(7)))) == [0]


def test_configs_keep_their_own(life):
    life.given(*map(shard, range(6)), shard(100, config="square8_2p"))
    assert {fact.config for fact in life.when(TICK).decided} == {CONFIG}


def test_batches_of_retirements_are_limited(life):
    life.given(*map(shard, range(RETIRED_MAX + 9)))
    assert [len(retired(life)) for _ in range(3)] == [RETIRED_MAX, 5, 0]


def test_the_state_survives_json(life):
    life.given(shard(0), requested(0))
    assert life.restored() == life.state


@for_all(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_kept_shards_fill_two_windows_or_are_all(sizes):
    shards = [shard(index, samples=samples) for index, samples in enumerate(sizes)]
    life = Story(retention.DECIDER).given(settings_changed(training=WINDOW), *shards)
    gone = {fact.digest for fact in life.when(TICK).decided}
    kept = [samples for index, samples in enumerate(sizes) if digest(index) not in gone]
    assert not gone or sum(kept) + sizes[len(sizes) - len(kept) - 1] > 4000
    assert gone == {digest(index) for index in range(len(gone))}
