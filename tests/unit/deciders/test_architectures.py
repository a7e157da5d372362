"""Architectures: Elo per training hour, shares with a floor, and the training that goes to the one
below its share."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support.ratings import RANDOM, table, trial

from ringrift.deciders.feedback.architectures import DECIDER, Account, booked, shares
from ringrift.deciders.loop import training
from ringrift.deciders.loop.lineage import Lineage, next_architecture, set_shares
from ringrift.events.facts import (
    ArchitectureSharesDecided,
    Fact,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    RatingsUpdated,
    TrainingFinished,
)
from ringrift.events.settings import ArchitectureSettings, Settings, TrainingSettings

CONFIG = "hex8_2p"
B, C, D = "b" * 64, "c" * 64, "d" * 64
TWO = TrainingSettings(architectures=("small", "large"))


def trained(model: str, architecture: str = "small", hours: float = 1.0) -> tuple[Fact, Fact]:
    finished = TrainingFinished(
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
        train_seconds=3600.0 * hours,
        node="n",
    )
    registered = ModelRegistered(
        config=CONFIG,
        model=model,
        generation=1,
        architecture=architecture,
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )
    return finished, registered


def promoted(model: str) -> ModelPromoted:
    return ModelPromoted(
        config=CONFIG,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rated(**elo: float) -> RatingsUpdated:
    return table({**{trial(name): value for name, value in elo.items()}, RANDOM: -400.0})


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed())


def test_the_first_network_is_held_against_the_heuristic(life):
    (fact,) = life.given(*trained(B, hours=2.0)).when(rated(b=50)).then(ArchitectureSharesDecided)
    assert (fact.elo_per_hour, fact.shares, fact.trainings) == (
        {"small": 25.0},
        {"small": 1.0},
        {"small": 1},
    )


def test_the_next_one_against_the_network_that_was_current(life):
    life.given(*trained(B), rated(b=50), promoted(B), *trained(C, "large"))
    (fact,) = life.when(rated(b=50, c=80)).then(ArchitectureSharesDecided)
    assert fact.elo_per_hour == {"small": 50.0, "large": 30.0}
    assert fact.shares == pytest.approx({"small": 0.625, "large": 0.375})


def test_a_network_is_counted_once(life):
    life.given(*trained(B), rated(b=50)).when(rated(b=70)).then()


def test_a_network_waits_until_it_is_rated(life):
    life.given(*trained(B)).when(rated(c=50)).then()
    life.when(rated(b=50)).then(ArchitectureSharesDecided)


def test_hours_count(life):
    life.given(*trained(B, hours=1.0), rated(b=40), promoted(B), *trained(C, "large", hours=4.0))
    (fact,) = life.when(rated(b=40, c=80)).then(ArchitectureSharesDecided)
    assert fact.elo_per_hour == {"small": 40.0, "large": 10.0}


def test_a_loss_of_strength_leaves_the_floor(life):
    life.given(*trained(B), rated(b=50), promoted(B), *trained(C, "large"))
    (fact,) = life.when(rated(b=50, c=-200)).then(ArchitectureSharesDecided)
    assert fact.shares["large"] == pytest.approx(0.1)


def test_after_a_rollback_the_good_network_is_the_measure(life):
    life.given(*trained(B), rated(b=50), promoted(B), *trained(C), rated(b=50, c=-100), promoted(C))
    life.given(
        ModelRolledBack(
            config=CONFIG, model=C, current=B, elo_drop=150, why="w", settings_version=1
        ),
        *trained(D, "large"),
    )
    (fact,) = life.when(rated(b=50, c=-100, d=60)).then(ArchitectureSharesDecided)
    assert fact.elo_per_hour["large"] == pytest.approx(10.0)


def test_old_gains_fade():
    account = Account()
    for gain in (100.0, *[0.0] * 8):
        account = booked(account, gain, 1.0, ArchitectureSettings())
    assert account.elo == pytest.approx(50.0)
    assert account.trainings == 9


def test_one_architecture_is_trained_as_the_settings_say():
    assert next_architecture(TrainingSettings(), {"other": 1.0}, {}) == "v2-micro"


def test_the_one_furthest_below_its_share_is_trained_next():
    assert next_architecture(TWO, {}, {}) == "small"
    assert next_architecture(TWO, {}, {"small": 1}) == "large"
    assert (
        next_architecture(TWO, {"small": 0.75, "large": 0.25}, {"small": 1, "large": 1}) == "small"
    )
    assert (
        next_architecture(TWO, {"small": 0.75, "large": 0.25}, {"small": 6, "large": 1}) == "large"
    )


def test_each_architecture_starts_from_its_newest_network(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(training=TWO), *trained(B, "small"), *trained(C, "large")
    )
    item = life.state.configs[CONFIG]
    assert (item.lineage.lines, item.lineage.newest) == ({"small": B, "large": C}, C)


def test_the_state_survives_json(life):
    life.given(*trained(B), rated(b=50), promoted(B), *trained(C, "large"))
    assert life.restored() == life.state


rates = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.floats(-1000, 1000), min_size=1)


@for_all(rates=rates)
def test_shares_sum_to_one_and_keep_their_floor(rates):
    found = shares(rates, ArchitectureSettings())
    assert sum(found.values()) == pytest.approx(1.0)
    assert min(found.values()) >= 0.2 / len(rates) - 1e-9


@for_all(share=st.floats(0.1, 0.9), count=st.integers(1, 200))
def test_trainings_follow_the_shares(share, count):
    given = {"small": share, "large": 1.0 - share}
    done: dict[str, int] = {}
    for _ in range(count):
        name = next_architecture(TWO, given, done)
        done[name] = done.get(name, 0) + 1
    assert done.get("small", 0) == pytest.approx(share * count, abs=1.0)


def test_shares_that_a_person_sets_replace_those_by_elo() -> None:
    chosen = Settings(training=TWO, architectures=ArchitectureSettings(shares=("large=0.75",)))
    assert set_shares(chosen) == {"large": 0.75, "small": 0.25}
    assert set_shares(Settings(training=TWO)) == {}
    lineage, trained_of = Lineage(shares={"small": 0.9, "large": 0.1}), dict[str, int]()
    for _ in range(8):
        name, _, _ = replace(lineage, trainings=trained_of).next(chosen, CONFIG)
        trained_of[name] = trained_of.get(name, 0) + 1
    assert trained_of == {"small": 2, "large": 6}
    with pytest.raises(ValueError, match=r"at most 1; got 1\.5"):
        ArchitectureSettings(shares=("large=1", "small=0.5"))
