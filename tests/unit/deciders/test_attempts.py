"""Running, silent and failed trainings."""

from __future__ import annotations

import pytest
from support.training_facts import (
    CONFIG,
    TICK,
    A,
    B,
    assessed,
    exported,
    failed,
    finished,
    pace,
    planned,
    played,
    started,
)

from ringrift.deciders.loop.training import DECIDER
from ringrift.events.facts import (
    ModelRegistered,
    TrainingCheckpointed,
    TrainingRequested,
    TrainingTimedOut,
)
from ringrift.events.settings import TrainingSettings


def alive(ticket: str = "t1") -> TrainingCheckpointed:
    return TrainingCheckpointed(
        config=CONFIG, generation=1, ticket=ticket, step=1, steps=2, loss=1.0, node="n"
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), planned(), played())


def test_one_training_of_a_config_at_a_time(life):
    life.given(exported(), started(), planned(1), played(1))
    life.when(exported()).then()
    life.when(finished()).then(TrainingRequested)


def silent_for(life, minutes: int):
    for _ in range(minutes):
        life.after(seconds=59).when(TICK)
    return life


def test_a_silent_training_times_out_and_is_requested_again(life):
    life.given(exported(), started(), TICK)
    silent_for(life, 119).then()
    (killed,) = silent_for(life, 1).then(TrainingTimedOut)
    assert (killed.ticket, killed.silent_seconds) == ("t1", 7200.0)
    (again,) = silent_for(life, 1).then(TrainingRequested)
    assert again.reason == "attempt 2 of 3"


def test_a_sign_of_life_is_enough(life):
    life.given(exported(), started(), TICK)
    silent_for(life, 119)
    life.given(alive())
    silent_for(life, 119).then()


def test_a_training_that_waits_for_a_trainer_is_not_silent(life):
    life.given(exported(), TICK)
    silent_for(life, 200).then()


def test_a_second_holder_of_a_finished_ticket_is_ignored(life):
    life.given(exported(), started(), finished(), alive(), planned(1), played(1))
    life.when(exported()).then(TrainingRequested)


def test_hours_without_a_coordinator_are_not_silence(life):
    life.given(exported(), started(), TICK).after(hours=10)
    life.when(TICK).then()


def test_facts_of_a_timed_out_training_are_ignored(life):
    life.given(exported(), started(), TICK)
    silent_for(life, 121)
    life.when(failed()).then()
    life.when(alive()).then()
    life.given(started("t2"))
    life.when(finished(model=A)).then()
    assert life.state.configs[CONFIG].lineage.newest is None
    life.given(finished("t2"))
    assert life.state.configs[CONFIG].lineage.newest == B


def test_the_state_survives_json(life):
    life.given(assessed(0.2), exported(wins=(32, 32)), started(), TICK, pace("fast"))
    assert life.restored() == life.state


def registered_as(architecture: str, model: str) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=1,
        architecture=architecture,
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )


def parent_after(
    story, settings_changed, architecture: str, *networks: tuple[str, str]
) -> str | None:
    life = story(DECIDER).given(
        settings_changed(training=TrainingSettings(architecture=architecture)), planned(), played()
    )
    life.given(exported(), started())
    for name, model in networks:
        life.given(finished(model=model), registered_as(name, model))
    (request,) = life.given(planned(1), played(1)).when(exported()).then(TrainingRequested)
    assert isinstance(request, TrainingRequested)
    return request.parent


def test_a_training_starts_from_the_newest_network_of_its_architecture(story, settings_changed):
    assert parent_after(story, settings_changed, "v2-micro", ("v2-micro", A), ("v2-micro", B)) == B
    assert parent_after(story, settings_changed, "v2-micro", ("v2-micro", A), ("nnue", B)) == A
    assert parent_after(story, settings_changed, "nnue", ("v2-micro", A), ("v2-micro", B)) is None
