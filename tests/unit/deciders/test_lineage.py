"""What a training starts from, and who teaches it."""

from __future__ import annotations

from typing import Any

from ringrift.deciders.loop import training
from ringrift.events import Fact
from ringrift.events.facts import (
    HyperparametersAdjusted,
    ModelPromoted,
    ModelRegistered,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings

CONFIG = "hex8_2p"
A, B, C, D = (letter * 64 for letter in "abcd")
S0, S1, S2 = (f"{number}" * 64 for number in "012")


def shard(
    index: int,
    digest: str,
    *,
    supersedes: str | None = None,
    retracted: int = 0,
    samples: int = 3000,
) -> ShardExported:
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=index,
        first_seq=1 + 64 * index,
        last_seq=64 + 64 * index,
        games=64,
        samples=samples,
        rejected=0,
        digest=digest,
        size_bytes=1,
        supersedes=supersedes,
        retracted=retracted,
    )


def registered(
    model: str, *parents: str, generation: int = 1, architecture: str = "v2-micro"
) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=generation,
        architecture=architecture,
        encoder="e",
        parameters=1,
        parents=parents,
        ticket="t",
    )


def ready(settings_changed: Any, games: int = 64, **settings: Any) -> tuple[Fact, ...]:
    """What makes a training due but the shards of so many games."""
    plan = SelfplayPlanned(
        config=CONFIG,
        generation=0,
        games=games,
        games_per_ticket=64,
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
    )
    done = SelfplayFinished(
        config=CONFIG, generation=0, ticket="t", games=games, plies=1, play_seconds=1.0, node="n"
    )
    return settings_changed(training=TrainingSettings(min_samples=100, **settings)), plan, done


def test_adjusted_hyperparameters_reach_every_later_request(
    story: Any, settings_changed: Any
) -> None:
    values = {"training.learning_rate": "0.01"}
    adjusted = HyperparametersAdjusted(config=CONFIG, values=values, why="w", settings_version=1)
    (request,) = (
        story(training.DECIDER)
        .given(*ready(settings_changed), adjusted)
        .when(shard(0, S0))
        .then(TrainingRequested)
    )
    assert request.hyperparameters == values


def test_a_promotion_makes_the_next_training_one_of_the_taught_architecture(
    story: Any, settings_changed: Any
) -> None:
    promoted = ModelPromoted(
        config=CONFIG,
        generation=1,
        model=A,
        previous=None,
        evidence=None,
        why="",
        settings_version=1,
    )
    for cascade, expected in (((), ("v2-micro", None)), (("v2-micro>v2",), ("v2", A))):
        given = (*ready(settings_changed, cascade=cascade), registered(A), promoted)
        planner = story(training.DECIDER).given(*given)
        (request,) = planner.when(shard(0, S0)).then(TrainingRequested)
        assert (request.architecture, request.teacher) == expected
        assert planner.state.configs[CONFIG].lineage.cascade is None
