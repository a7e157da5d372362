"""Running, silent and failed trainings."""

from __future__ import annotations

import pytest

from ringrift.deciders.loop.training import DECIDER
from ringrift.events.facts import (
    ModelRegistered,
    QualityAssessed,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    ShardSummary,
    TickRecorded,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
    VelocityChanged,
)
from ringrift.events.settings import TrainingSettings

CONFIG, OTHER = "hex8_2p", "square8_2p"
A, B = "a" * 64, "b" * 64
TICK = TickRecorded(minute=1)


def planned(generation: int = 0) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=CONFIG,
        generation=generation,
        games=64,
        games_per_ticket=64,
        simulations=32,
        model=None,
        seed=1,
        settings_version=1,
    )


def played(generation: int = 0) -> SelfplayFinished:
    return SelfplayFinished(
        config=CONFIG,
        generation=generation,
        ticket="t",
        games=64,
        plies=1,
        play_seconds=1.0,
        node="n",
    )


def exported(samples: int = 6000, wins: tuple[int, ...] | None = None) -> ShardExported:
    summary = wins and ShardSummary(
        games=64,
        wins=wins,
        plies=1,
        plies_squared=1,
        openings=1,
        participants=("a",),
        decisions=1,
        agreed=1,
    )
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=samples,
        rejected=0,
        digest=A,
        size_bytes=1,
        summary=summary or None,
    )


def started(ticket: str = "t1") -> TrainingStarted:
    return TrainingStarted(
        config=CONFIG, generation=1, ticket=ticket, node="n", device="cpu", resumed_step=0
    )


def alive(ticket: str = "t1") -> TrainingCheckpointed:
    return TrainingCheckpointed(
        config=CONFIG, generation=1, ticket=ticket, step=1, steps=2, loss=1.0, node="n"
    )


def finished(ticket: str = "t1", model: str = B) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket=ticket,
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


def failed(ticket: str = "t1") -> TrainingFailed:
    return TrainingFailed(config=CONFIG, generation=1, ticket=ticket, reason="r", node="n")


def assessed(adjusted: float) -> QualityAssessed:
    return QualityAssessed(
        config=CONFIG,
        shard=A,
        games=500,
        score=adjusted,
        confidence=1.0,
        adjusted=adjusted,
        components={},
        settings_version=1,
    )


def pace(name) -> VelocityChanged:
    return VelocityChanged(
        config=CONFIG,
        model=B,
        elo_per_hour=1.0,
        pace=name,
        elo_above_heuristic=10.0,
        settings_version=1,
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
