"""When to train: games, samples, generations and attempts."""

from __future__ import annotations

from msgspec.structs import replace
from support.loop_facts import (
    CONFIG,
    A,
    B,
    C,
    exported,
    finished,
    planned,
    played,
    requested,
    scored,
)

from ringrift.deciders.loop import training
from ringrift.events.facts import (
    COUNT_MAX,
    PipelinePaused,
    PipelineResumed,
    SelfplayFinished,
    TrainingFailed,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings


def test_training_is_requested_once_the_games_are_exported(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played())
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.generation, request.parent, request.shards, request.samples) == (
        1,
        None,
        (A,),
        6000,
    )


def test_the_largest_generation_is_not_exceeded(story, settings_changed):
    given = settings_changed(), planned(COUNT_MAX), played(COUNT_MAX)
    (request,) = story(training.DECIDER).given(*given).when(exported()).then(TrainingRequested)
    assert request.generation == COUNT_MAX


def test_order_of_export_and_finish_does_not_matter(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(), exported()).when(played()).then(
        TrainingRequested
    )


def test_the_first_training_starts_from_the_network_of_the_settings(story, settings_changed):
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


def test_a_training_is_taught_by_the_network_of_the_settings(story, settings_changed):
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


def test_the_next_training_starts_from_the_newest_network(story, settings_changed):
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


def test_a_failed_training_is_requested_again_up_to_the_limit(story, settings_changed):
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


def test_measuring_games_do_not_delay_a_training(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), planned(), played(), scored("strength", 400, 0)
    )
    life.when(exported()).then(TrainingRequested)


def ahead(games: int) -> SelfplayFinished:
    return replace(played(games=games), spare=True)


def second_generation(story, settings_changed):
    """A generation of 128 games, of which none are played, after 64 that were played ahead."""
    life = story(training.DECIDER).given(
        settings_changed(), planned(), played(), exported(), finished(B), ahead(64)
    )
    return life.given(exported(1), planned(1, games=128))


def test_games_that_were_played_ahead_count_for_up_to_half(story, settings_changed):
    life = second_generation(story, settings_changed).given(exported(2, digest=C))
    life.when(played(1, games=63)).then()
    life.when(played(1, games=1)).then(TrainingRequested)


def test_no_training_waits_for_the_last_ticket(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), planned(), played(), exported(), finished(B), planned(1, games=128)
    )
    life.given(played(1, games=104), exported(1), ahead(24)).when(exported(2)).then(
        TrainingRequested
    )


def test_a_training_passes_over_what_its_new_samples_repay(story, settings_changed):
    def intensity(window: int, new: int, **changes: object) -> float:
        settings = TrainingSettings(min_samples=1, **changes)
        life = story(training.DECIDER).given(
            settings_changed(training=settings), planned(), played(), exported(samples=window)
        )
        life.given(finished(B), planned(1), played(1))
        (request,) = life.when(exported(1, samples=new)).then(TrainingRequested)
        return request.intensity

    assert intensity(5_000, 5_000) == 1.0
    assert intensity(75_000, 5_000) == 20 * 5_000 / (2 * 80_000)
    assert intensity(75_000, 5_000, passes_max=100.0) == 1.0


def test_the_first_training_on_long_games_is_short(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played())
    (request,) = life.when(exported(samples=25_000)).then(TrainingRequested)
    assert request.intensity == 10_000 / 50_000


def test_the_first_training_may_take_more_epochs_than_later_ones(story, settings_changed):
    settings = TrainingSettings(min_samples=1, first_samples=1_000_000, first_intensity=2.0)
    life = story(training.DECIDER).given(settings_changed(training=settings), planned(), played())
    (first,) = life.when(exported(samples=25_000)).then(TrainingRequested)
    assert first.intensity == 2.0
    life.given(finished(B), planned(1), played(1))
    (second,) = life.when(exported(1, samples=25_000)).then(TrainingRequested)
    assert second.intensity == 1.0
