"""The initial weights of a training, and its teacher."""

from __future__ import annotations

from typing import Any

from support.retraction_facts import CONFIG, S0, A, ready, registered, shard

from ringrift.deciders.loop import training
from ringrift.events.facts import (
    HyperparametersAdjusted,
    ModelDerived,
    ModelPromoted,
    TrainingRequested,
)


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


def test_a_line_starts_from_the_given_weights_only_if_they_are_of_its_architecture(
    story: Any, settings_changed: Any
) -> None:
    derived = ModelDerived(
        config=CONFIG,
        model=A,
        architecture="v2",
        encoder="e",
        parameters=1,
        parents=(),
        method="transfer-2",
    )
    for known, parent in (((), A), ((derived,), None)):
        given = ready(settings_changed, init=(f"{CONFIG}={A}",))
        planner = story(training.DECIDER).given(*known, *given)
        (request,) = planner.when(shard(0, S0)).then(TrainingRequested)
        assert (request.architecture, request.parent) == ("v2-micro", parent)
