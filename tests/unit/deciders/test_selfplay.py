"""When to play: generations, pauses, and plans that go on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, SMALL, B, C, exported, played, promoted, rejected, requested

from ringrift.deciders.loop import selfplay
from ringrift.events.facts import PipelinePaused, PipelineResumed, SelfplayPlanned

LARGE = "hexagonal_2p"


def test_a_new_config_plays_its_first_generation_without_a_network(story, settings_changed):
    (plan,) = story(selfplay.DECIDER).when(settings_changed(selfplay=SMALL)).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.games, plan.model) == (CONFIG, 0, 64, None)


@pytest.mark.parametrize(
    ("config", "games"), [("hex8_2p", 64), ("square8_4p", 64), ("square19_3p", 16), (LARGE, 16)]
)
def test_large_boards_play_a_share_of_the_games(story, settings_changed, config, games):
    chosen = replace(SMALL, large_board_share=0.25)
    life = story(selfplay.DECIDER).when(settings_changed(selfplay=chosen, configs=(config,)))
    (plan,) = life.then(SelfplayPlanned)
    assert plan.games == games


def test_a_network_of_a_large_board_plays_a_share_of_the_games(story, settings_changed):
    chosen = replace(SMALL, large_board_share=0.25)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=chosen, configs=(LARGE,)))
    (plan,) = life.when(replace(promoted(B, 1), config=LARGE)).then(SelfplayPlanned)
    assert (plan.games, plan.model) == (32, B)


def test_unchanged_settings_plan_nothing(story, settings_changed):
    story(selfplay.DECIDER).given(settings_changed()).when(settings_changed(version=2)).then()


def test_a_second_config_is_planned_when_it_is_switched_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed())
    (plan,) = life.when(settings_changed(version=2, configs=(CONFIG, "square8_3p"))).then(
        SelfplayPlanned
    )
    assert plan.config == "square8_3p"


def test_a_promoted_network_plays_the_next_generation(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL), played(), exported(), requested()
    )
    (plan,) = life.when(promoted(B)).then(SelfplayPlanned)
    assert (plan.generation, plan.games, plan.model) == (1, 128, B)


def test_after_a_rejection_the_current_network_plays_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(), promoted(B))
    (plan,) = life.when(rejected(C, generation=2, current=B)).then(SelfplayPlanned)
    assert (plan.generation, plan.model) == (2, B)


def test_no_game_is_planned_beyond_the_last_generation(story, settings_changed):
    story(selfplay.DECIDER).given(settings_changed(generations=1)).when(promoted(B)).then()


def test_the_last_generation_can_be_raised_later(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(generations=1), promoted(B))
    (plan,) = life.when(settings_changed(version=2, generations=2)).then(SelfplayPlanned)
    assert (plan.generation, plan.model) == (1, B)


def test_too_few_samples_let_the_same_generation_play_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=SMALL), played())
    (plan,) = life.when(exported(samples=100)).then(SelfplayPlanned)
    assert plan.generation == 0
    life.given(played()).when(exported(index=1, samples=100)).then(SelfplayPlanned)


def test_plans_of_one_generation_have_different_seeds(story, settings_changed):
    life = story(selfplay.DECIDER)
    (first,) = life.when(settings_changed(selfplay=SMALL)).then(SelfplayPlanned)
    (second,) = life.given(played()).when(exported(samples=100)).then(SelfplayPlanned)
    assert first.seed != second.seed


def test_plans_wait_for_the_end_of_a_pause(story, settings_changed):
    life = story(selfplay.DECIDER).given(PipelinePaused(scope="all", why="upgrade"))
    life.when(settings_changed()).then()
    life.when(PipelineResumed(scope="all", why="done")).then(SelfplayPlanned)


def test_a_pause_of_another_config_stops_nothing(story, settings_changed):
    story(selfplay.DECIDER).given(PipelinePaused(scope="square8_2p", why="x")).when(
        settings_changed()
    ).then(SelfplayPlanned)
