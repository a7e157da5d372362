"""Early trainings: fewer samples are enough if they are conclusive or poor."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from support.loop_facts import scored
from support.training_facts import CONFIG, OTHER, exported, planned, played

from ringrift.deciders.loop import selfplay
from ringrift.deciders.loop.progress import Progress
from ringrift.deciders.loop.training import DECIDER
from ringrift.events.facts import (
    QualityDegraded,
    QualityRecovered,
    SelfplayPlanned,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), planned(), played())


def test_few_conclusive_samples_start_a_training(life):
    (fact,) = life.when(exported(samples=1600, wins=(32, 32))).then(TrainingRequested)
    assert "wins are known" in fact.reason


@pytest.mark.parametrize(("samples", "wins"), [(1500, (32, 32)), (999, (64, 0)), (4999, None)])
def test_fewer_inconclusive_or_unknown_samples_do_not_start_a_training(life, samples, wins):
    life.when(exported(samples=samples, wins=wins)).then()


def test_one_sided_games_are_conclusive_sooner(life):
    life.when(exported(samples=1000, wins=(56, 8))).then(TrainingRequested)


def test_self_play_stops_where_training_starts_early(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(
            selfplay=msgspec.structs.replace(
                settings_changed().settings.selfplay, bootstrap_games=64
            )
        ),
        played(),
    )
    life.when(exported(samples=1600, wins=(32, 32))).then()


DEGRADED = QualityDegraded(config=CONFIG, adjusted=0.42, weakest="openings", settings_version=1)
RECOVERED = QualityRecovered(config=CONFIG, adjusted=0.6, settings_version=1)


def test_fewer_samples_are_enough_while_the_quality_is_degraded(life):
    life.given(exported(samples=4000))
    (fact,) = life.when(DEGRADED).then(TrainingRequested)
    assert fact.reason == "4000 new samples, 4000 needed"


def test_all_samples_are_needed_once_the_quality_has_recovered(life):
    life.given(DEGRADED, RECOVERED).when(exported(samples=4999)).then()
    life.when(msgspec.structs.replace(DEGRADED, config=OTHER)).then()


def test_self_play_waits_for_the_same_number_of_samples(story, settings_changed):
    small = msgspec.structs.replace(settings_changed().settings.selfplay, bootstrap_games=64)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=small), played())
    life.given(DEGRADED).when(exported(samples=4000)).then()
    life.when(RECOVERED).then(SelfplayPlanned)


@for_all(
    wins=st.lists(st.integers(0, 500), min_size=2, max_size=4).map(tuple),
    samples=st.integers(1000, 4000),
)
def test_more_samples_are_never_less_conclusive(wins, samples):
    settings = TrainingSettings()
    if Progress(samples_new=samples, wins_new=wins).enough(settings):
        assert Progress(samples_new=samples + 1, wins_new=wins).enough(settings)


def test_games_against_baselines_that_no_shard_will_hold_keep_nothing_from_its_training():
    waiting = Progress(games_planned=64, games_played=64, games_exported=64, games_evaluated=300)
    assert not waiting.idle(256), "they fill a shard"
    assert msgspec.structs.replace(waiting, baseline_games=300).idle(256)


def test_games_against_baselines_are_counted_until_another_game_or_shard(life):
    def counted():
        return life.state.configs[CONFIG].progress.baseline_games

    life.given(scored("heuristic", 4, 4), scored("random", 4, 4))
    assert counted() == 32
    life.given(scored("promotion", 4, 4))
    assert counted() == 0
    for end in (played(), exported(samples=10)):
        life.given(scored("random", 4, 4))
        assert counted() == 16
        life.given(end)
        assert counted() == 0
