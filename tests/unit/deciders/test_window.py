"""The window of samples that a training sees."""

from __future__ import annotations

from typing import Any

from support.retraction_facts import (
    CONFIG,
    S0,
    S1,
    S2,
    A,
    B,
    ready,
    registered,
    requested,
    shard,
    tainted,
)

from ringrift.deciders.loop import retention, training
from ringrift.events.facts import (
    QualityAssessed,
    ShardRetired,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings


def finished(model: str) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket="t",
        model=model,
        steps=1,
        samples=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def test_the_next_window_has_the_superseding_shard_and_a_clean_parent(
    story: Any, settings_changed: Any
) -> None:
    planner = story(training.DECIDER).given(
        *ready(settings_changed, 128), shard(0, S0), registered(A), finished(A)
    )
    planner.given(
        shard(0, S2, supersedes=S0, retracted=3, samples=2000), tainted(A, clean_ancestor=B)
    )
    (request,) = planner.when(shard(1, S1)).then(TrainingRequested)
    assert (request.shards, request.parent, request.samples) == ((S2, S1), B, 5000)


def test_an_empty_superseding_shard_leaves_the_window(story: Any, settings_changed: Any) -> None:
    planner = story(training.DECIDER).given(*ready(settings_changed), shard(0, S0))
    planner.given(finished(A), shard(0, S2, supersedes=S0, retracted=64, samples=0))
    assert planner.state.configs[CONFIG].window.shards == ()
    assert planner.state.configs[CONFIG].progress.games_exported == 64


def test_better_shards_weigh_more_if_set(story: Any, settings_changed: Any) -> None:
    def assessed(digest: str, adjusted: float) -> QualityAssessed:
        return QualityAssessed(
            config=CONFIG,
            shard=digest,
            games=64,
            score=0.5,
            confidence=1.0,
            adjusted=adjusted,
            components={},
            settings_version=1,
        )

    for power, expected in ((0.0, ()), (1.0, (1.2, 0.8))):
        given = (
            *ready(settings_changed, 128, shard_quality_power=power),
            shard(0, S0),
            assessed(S0, 0.9),
            assessed(S1, 0.6),
        )
        (request,) = (
            story(training.DECIDER).given(*given).when(shard(1, S1)).then(TrainingRequested)
        )
        assert request.shard_weights == expected


def test_shards_out_of_reach_are_retired_on_the_tick(story: Any, settings_changed: Any) -> None:
    keeper = story(retention.DECIDER).given(
        settings_changed(training=TrainingSettings(window_samples=3000)),
        shard(0, S0),
        requested(S0),
        shard(1, S1),
        shard(2, S2),
    )
    keeper.when(TickRecorded(minute=1)).then()
    keeper.given(finished(A)).when(TickRecorded(minute=2)).then(ShardRetired)
    assert keeper.decided[0].digest == S0
    keeper.when(TickRecorded(minute=3)).then()
