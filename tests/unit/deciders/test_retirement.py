"""Networks that lost are deleted after a while, and only those that nothing needs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, planned, promoted, registered, rejected

from ringrift.deciders.loop.retirement import DECIDER, FORMER_MAX
from ringrift.events.facts import (
    ModelAdopted,
    ModelArchived,
    ModelKept,
    ModelRetired,
    SelfplayFinished,
    TickRecorded,
)
from ringrift.events.settings import ArchiveSettings, TrainingSettings

TICK, MONTH = TickRecorded(minute=1), 721.0
D = "d" * 64


def retired(life, hours: float = MONTH) -> list[str]:
    """The networks that go at the next tick."""
    decided = life.after(hours=hours).when(TICK).decided
    assert all(isinstance(fact, ModelRetired) for fact in decided)
    return [fact.model for fact in decided]


def kept(model: str, stays: bool = True) -> ModelKept:
    return ModelKept(config=CONFIG, model=model, kept=stays, why="w")


@pytest.fixture
def life(story, settings_changed):
    """B is current, C was rejected."""
    life = story(DECIDER).given(settings_changed(), registered(B), promoted(B))
    return life.given(registered(C, 2), rejected(C, 2, current=B))


def test_a_rejected_network_is_deleted_after_a_month_once(life):
    assert retired(life, 700.0) == []
    (fact,) = life.after(hours=30).when(TICK).then(ModelRetired)
    assert (fact.config, fact.model) == (CONFIG, C)
    assert retired(life) == []


def test_a_candidate_without_a_verdict_stays(life):
    assert retired(life.given(registered(D, 3))) == [C]


def test_the_parents_of_the_current_network_stay(life):
    life.given(replace(registered(D, 3), parents=(C,)), promoted(D, 3, previous=B))
    assert retired(life) == []


def test_earlier_networks_go_once_enough_others_followed(life):
    models = [character * 64 for character in "0123456789"]
    for number, model in enumerate(models, 3):
        life.given(registered(model, number), promoted(model, number))
    assert retired(life) == [B, C, *models[: -FORMER_MAX - 1]]


def test_a_network_that_a_person_keeps_stays_until_it_is_released(life):
    assert retired(life.given(kept(C))) == []
    assert retired(life.given(kept(C, stays=False))) == [C]


def test_a_network_that_a_running_ticket_names_stays(life):
    plan = replace(planned(1, games=128, model=C), games_per_ticket=64)
    life.given(plan)
    position = life.seq
    assert retired(life, 10 * MONTH) == []
    for number in range(2):
        assert retired(life) == []
        done = SelfplayFinished(
            config=CONFIG,
            generation=1,
            ticket=f"selfplay-events-{position}-{number}",
            games=64,
            plies=1,
            play_seconds=1.0,
            node="n",
        )
        life.given(done, done)
    assert retired(life, 1.0) == []  # it was used a moment ago
    assert retired(life) == [C]


def test_a_network_on_trial_in_another_config_stays(life):
    other = "hexagonal_2p"
    trial = ModelAdopted(
        config=other,
        model=C,
        origin=CONFIG,
        architecture="a",
        encoder="e",
        parameters=1,
        parents=(),
        why="w",
        settings_version=1,
    )
    assert retired(life.given(trial)) == []
    assert retired(life.given(replace(rejected(C, 0), config=other))) == [C]


@pytest.mark.parametrize(
    "chosen",
    [
        {"archive": ArchiveSettings(place="/archive")},
        {"archive": ArchiveSettings(models_delete_hours=0.0)},
        {"training": TrainingSettings(init=(f"{CONFIG}={C}",))},
        {"training": TrainingSettings(distill_from=(f"{CONFIG}={C}",))},
    ],
)
def test_settings_keep_networks(life, settings_changed, chosen):
    assert retired(life.given(settings_changed(version=2, **chosen))) == []


def test_an_archived_network_is_not_in_the_bucket(life):
    life.given(ModelArchived(config=CONFIG, model=C, size_bytes=1, place="/a/models/c"))
    assert retired(life) == []
    assert A not in life.state.models
