"""Properties that hold for the states of all deciders of the loop."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from support.loop_facts import B, C, exported, planned, played, registered, scored

from ringrift.deciders.kit import seed_from
from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import Settings
from ringrift.events.facts import TrainingRequested
from ringrift.events.settings import TrainingSettings


def test_seeds_depend_on_their_parts_and_are_exact_in_json():
    assert seed_from(1, "a") == seed_from(1, "a") != seed_from(1, "b")
    assert seed_from(1, "a") < 2**48


@pytest.mark.parametrize(
    "decider",
    [selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER],
)
def test_states_survive_json(decider, story, settings_changed):
    life = story(decider).given(
        settings_changed(), planned(), played(), exported(), registered(B), scored("random", 32, 0)
    )
    life.given(registered(C, generation=2), scored("promotion", 9, 7, model=C))
    assert msgspec.json.decode(msgspec.json.encode(life.state), type=decider.state) == life.state


def test_new_settings_keep_the_counts(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(training=TrainingSettings(min_samples=7000)),
        planned(),
        played(),
        exported(),
    )
    life.when(replace(settings_changed(), settings=Settings(), version=2)).then(TrainingRequested)
