"""When to play, when to train; what all deciders of the loop have in common."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from support.loop_facts import (
    CONFIG,
    SMALL,
    A,
    B,
    C,
    exported,
    finished,
    planned,
    played,
    promoted,
    registered,
    rejected,
    requested,
    scored,
)

from ringrift.deciders.kit import seed_from
from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import Settings
from ringrift.events.facts import (
    PipelinePaused,
    PipelineResumed,
    SelfplayPlanned,
    TrainingFailed,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings

# when do we play?


def test_switching_a_config_on_plans_its_first_generation_without_a_network(
    story, settings_changed
):
    (plan,) = story(selfplay.DECIDER).when(settings_changed(selfplay=SMALL)).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.games, plan.model) == (CONFIG, 0, 64, None)


def test_the_same_settings_again_plan_nothing(story, settings_changed):
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


def test_no_game_is_planned_beyond_the_wanted_generations(story, settings_changed):
    story(selfplay.DECIDER).given(settings_changed(generations=1)).when(promoted(B)).then()


def test_more_generations_can_be_wanted_later(story, settings_changed):
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


def test_nothing_is_planned_while_paused_and_it_is_when_resumed(story, settings_changed):
    life = story(selfplay.DECIDER).given(PipelinePaused(scope="all", why="upgrade"))
    life.when(settings_changed()).then()
    life.when(PipelineResumed(scope="all", why="done")).then(SelfplayPlanned)


def test_a_pause_of_another_config_stops_nothing(story, settings_changed):
    story(selfplay.DECIDER).given(PipelinePaused(scope="square8_2p", why="x")).when(
        settings_changed()
    ).then(SelfplayPlanned)


# when do we train?


def test_training_is_requested_once_the_games_are_exported(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played())
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.generation, request.parent, request.shards, request.samples) == (
        1,
        None,
        (A,),
        6000,
    )


def test_order_of_export_and_finish_does_not_matter(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(), exported()).when(played()).then(
        TrainingRequested
    )


def test_the_first_training_starts_from_the_network_that_the_settings_name(story, settings_changed):
    chosen = TrainingSettings(init=(f"square8_4p={A}", f"{CONFIG}={C}"))
    life = story(training.DECIDER).given(settings_changed(training=chosen), planned(), played())
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.parent, request.teacher) == (C, None)
    later = story(training.DECIDER).given(
        settings_changed(training=chosen),
        planned(),
        played(),
        exported(),
        requested(),
        finished(B),
        planned(1),
        played(1),
    )
    (request,) = later.when(exported(1, digest=C)).then(TrainingRequested)
    assert request.parent == B


def test_a_training_is_taught_by_the_network_that_the_settings_name(story, settings_changed):
    for config, teacher in ((CONFIG, C), ("hex8_3p", None)):
        chosen = TrainingSettings(distill_from=(f"{config}={C}",))
        life = story(training.DECIDER).given(settings_changed(training=chosen), planned(), played())
        (request,) = life.when(exported()).then(TrainingRequested)
        assert request.teacher == teacher


def test_training_waits_for_every_game(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(games=128), played()).when(
        exported()
    ).then()


def test_games_that_could_not_be_played_are_not_waited_for(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), planned(games=128), played(), exported()
    )
    life.when(replace(played(games=0), lost=64)).then(TrainingRequested)


def test_training_waits_for_games_that_fill_a_shard(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(games=128), played(games=128)).when(
        exported()
    ).then()


def test_training_waits_for_enough_samples(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(), played()).when(
        exported(samples=4999)
    ).then()


def test_one_generation_is_trained_once(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played(), exported())
    life.when(exported(index=1)).then()
    life.when(finished()).then()


def test_the_next_training_goes_on_from_the_newest_network(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), planned(), played(), exported(), finished(B)
    )
    life.given(planned(generation=1), played(generation=1))
    (request,) = life.when(exported(index=1, digest=C)).then(TrainingRequested)
    assert (request.generation, request.parent, request.shards) == (2, B, (A, C))


def test_the_window_leaves_out_old_shards(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(training=TrainingSettings(window_samples=10_000)), planned(games=192)
    )
    life.given(exported(0, digest=A), exported(1, digest=B), exported(2, digest=C))
    (request,) = life.when(played(games=192)).then(TrainingRequested)
    assert request.shards == (C,)


def test_a_failed_training_is_requested_again_but_not_for_ever(story, settings_changed):
    failed = TrainingFailed(config=CONFIG, generation=1, ticket="t", reason="r", node="n")
    life = story(training.DECIDER).given(settings_changed(), planned(), played(), exported())
    life.when(failed).then(TrainingRequested)
    life.when(failed).then(TrainingRequested)
    life.when(failed).then()


def test_training_pauses(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(),
        planned(),
        played(),
        PipelinePaused(scope=CONFIG, kind="training", why="w"),
    )
    life.when(exported()).then()
    life.when(PipelineResumed(scope=CONFIG, kind="training", why="w")).then(TrainingRequested)


# laws


def test_seeds_follow_from_their_parts_and_are_exact_in_json():
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


def test_replacing_settings_keeps_what_was_counted(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(training=TrainingSettings(min_samples=7000)),
        planned(),
        played(),
        exported(),
    )
    life.when(replace(settings_changed(), settings=Settings(), version=2)).then(TrainingRequested)


# matches that only measure


def test_games_that_only_measure_hold_up_no_training(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), planned(), played(), scored("strength", 400, 0)
    )
    life.when(exported()).then(TrainingRequested)
