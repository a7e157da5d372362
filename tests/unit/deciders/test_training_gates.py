"""What holds a due training back, what starts it early, and what becomes of a silent one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from ringrift.deciders.loop import evaluation, selfplay
from ringrift.deciders.loop.held_back import cooldown_seconds, intensity
from ringrift.deciders.loop.progress import Progress
from ringrift.deciders.loop.training import DECIDER
from ringrift.events.facts import (
    EvaluationBackpressureEngaged,
    EvaluationBackpressureReleased,
    EvaluationFailed,
    EvaluationRequested,
    ModelRegistered,
    QualityAssessed,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    ShardSummary,
    TickRecorded,
    TrainingBlocked,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
    VelocityChanged,
)
from ringrift.events.settings import EvaluationSettings, TrainingSettings

CONFIG, OTHER = "hex8_2p", "square8_2p"
A, B = "a" * 64, "b" * 64
TICK = TickRecorded(minute=1)
PRESSED = EvaluationBackpressureEngaged(waiting=70, settings_version=1)
RELEASED = EvaluationBackpressureReleased(waiting=35, settings_version=1)


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


# early start


def test_few_conclusive_samples_start_a_training(life):
    (fact,) = life.when(exported(samples=1600, wins=(32, 32))).then(TrainingRequested)
    assert "wins are known" in fact.reason


@pytest.mark.parametrize(("samples", "wins"), [(1500, (32, 32)), (999, (64, 0)), (4999, None)])
def test_fewer_inconclusive_or_unknown_samples_do_not(life, samples, wins):
    life.when(exported(samples=samples, wins=wins)).then()


def test_one_sided_games_are_telling_sooner(life):
    life.when(exported(samples=1000, wins=(56, 8))).then(TrainingRequested)


def test_where_training_starts_early_self_play_does_not_go_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(
            selfplay=msgspec.structs.replace(
                settings_changed().settings.selfplay, bootstrap_games=64
            )
        ),
        played(),
    )
    life.when(exported(samples=1600, wins=(32, 32))).then()


# pressure and cool-down


def test_training_waits_while_too_many_matches_do(life):
    life.given(PRESSED).when(exported()).then()
    life.when(RELEASED).then(TrainingRequested)


def test_matches_are_counted_and_told_at_both_bounds(story, settings_changed):
    bounds = EvaluationSettings(waiting_max=4, waiting_resume=1)
    life = story(evaluation.DECIDER).given(settings_changed(evaluation=bounds))

    def registered(model: str) -> ModelRegistered:
        return ModelRegistered(
            config=CONFIG,
            model=model,
            generation=1,
            architecture="a",
            encoder="e",
            parameters=1,
            parents=(),
            ticket="t",
        )

    lost = EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket="t",
        candidate_model=None,
        purpose="random",
        reason="r",
        node="n",
    )
    life.when(registered(A)).then(EvaluationRequested, EvaluationRequested)
    life.when(registered(B)).then(
        EvaluationRequested, EvaluationRequested, EvaluationBackpressureEngaged
    )
    life.when(lost).then()
    life.when(lost).then()
    life.when(lost).then(EvaluationBackpressureReleased)
    life.when(lost).then()


def trained_once(story, settings_changed, *configs: str):
    life = story(DECIDER).given(
        settings_changed(configs=configs), planned(), played(), exported(), started(), finished()
    )
    return life.given(planned(1), played(1))


def test_one_config_alone_never_cools_down(story, settings_changed):
    trained_once(story, settings_changed, CONFIG).when(exported()).then(TrainingRequested)


def test_among_several_a_config_cools_down_until_a_tick_says_so(story, settings_changed):
    life = trained_once(story, settings_changed, CONFIG, OTHER)
    life.when(exported()).then()
    life.after(seconds=120).when(TICK).then()
    life.after(seconds=180).when(TICK).then(TrainingRequested)


def test_a_failed_training_does_not_cool_down(story, settings_changed):
    life = trained_once(story, settings_changed, CONFIG, OTHER).after(seconds=400).given(exported())
    life.when(failed("t2")).then(TrainingRequested)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("fast", 150), ("steady", 300), (None, 300), ("stalled", 450), ("regressing", 600)],
)
def test_the_cool_down_follows_the_pace(name, seconds):
    assert cooldown_seconds(name, TrainingSettings()) == seconds


def test_a_fast_config_is_trained_sooner(story, settings_changed):
    life = trained_once(story, settings_changed, CONFIG, OTHER).given(pace("fast"), exported())
    life.after(seconds=150).when(TICK).then(TrainingRequested)


# quality and freshness


def test_poor_data_hold_a_training_back(life):
    (fact,) = life.given(assessed(0.2)).when(exported()).then(TrainingBlocked)
    assert (fact.reason, fact.detail) == ("quality", "quality 0.20, 0.40 needed")
    life.when(TICK).then()


def test_a_better_assessment_lets_it_start_in_one_hop(life):
    life.given(assessed(0.2), exported())
    life.when(assessed(0.6)).then(TrainingRequested)


def test_an_assessment_that_has_faded_lets_it_start(life):
    life.given(assessed(0.2), exported())
    life.after(hours=1).when(TICK).then()
    life.after(hours=1).when(TICK).then(TrainingRequested)


def test_data_that_were_never_assessed_are_trained_on(life):
    life.when(exported()).then(TrainingRequested)


def told_of(adjusted: float, digest: str = B) -> QualityAssessed:
    return msgspec.structs.replace(assessed(adjusted), shard=digest)


def newest(digest: str = B) -> ShardExported:
    return msgspec.structs.replace(exported(wins=(32, 32)), digest=digest)


def test_where_data_are_assessed_a_training_waits_for_what_is_found_of_the_newest_shard(life):
    life.given(told_of(0.9, A)).when(newest()).then()
    life.when(TICK).then()
    life.when(told_of(0.8, A)).then()
    life.when(told_of(0.8)).then(TrainingRequested)


def test_the_newest_shard_may_hold_a_training_back_that_the_one_before_would_have_let_start(life):
    life.given(told_of(0.9, A)).when(newest()).then()
    (fact,) = life.when(told_of(0.2)).then(TrainingBlocked)
    assert fact.reason == "quality"


def test_a_training_does_not_wait_for_an_assessment_that_never_comes(life):
    life.given(told_of(0.9, A), newest())
    life.after(seconds=50).when(TICK).then()
    life.after(seconds=10).when(TICK).then(TrainingRequested)


def test_nobody_waits_for_the_assessment_of_a_shard_that_tells_nothing(life):
    life.given(told_of(0.9, A)).when(exported()).then(TrainingRequested)


def test_the_generation_plays_on_when_its_data_are_poor(story, settings_changed):
    small = msgspec.structs.replace(settings_changed().settings.selfplay, bootstrap_games=64)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=small), played(), exported())
    blocked = TrainingBlocked(
        config=CONFIG, generation=0, reason="quality", detail="d", settings_version=1
    )
    (plan,) = life.when(blocked).then(SelfplayPlanned)
    assert plan.generation == 0


def test_poor_data_never_hold_a_generation_for_ever(life):
    life.given(assessed(0.1), exported())
    for _ in range(2):
        life.given(planned(), played())
        life.when(exported()).then(TrainingBlocked)
    life.given(planned(), played())
    life.when(exported()).then(TrainingRequested)


def test_stale_data_are_not_trained_on_before_more_were_played(life):
    life.given(PRESSED, exported()).after(hours=25)
    (fact,) = life.when(RELEASED).then(TrainingBlocked)
    assert fact.reason == "stale data"
    life.given(planned(), played())
    life.when(exported()).then(TrainingRequested)


DEGRADED = QualityDegraded(config=CONFIG, adjusted=0.42, weakest="openings", settings_version=1)
RECOVERED = QualityRecovered(config=CONFIG, adjusted=0.6, settings_version=1)


def test_fewer_samples_are_enough_while_the_quality_is_degraded(life):
    life.given(exported(samples=4000))
    (fact,) = life.when(DEGRADED).then(TrainingRequested)
    assert fact.reason == "4000 new samples, 4000 needed"


def test_they_are_not_when_it_has_recovered_or_another_config_is_degraded(life):
    life.given(DEGRADED, RECOVERED).when(exported(samples=4999)).then()
    life.when(msgspec.structs.replace(DEGRADED, config=OTHER)).then()


def test_self_play_waits_for_the_same_number_of_samples(story, settings_changed):
    small = msgspec.structs.replace(settings_changed().settings.selfplay, bootstrap_games=64)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=small), played())
    life.given(DEGRADED).when(exported(samples=4000)).then()
    life.when(RECOVERED).then(SelfplayPlanned)


def test_poor_data_that_are_trained_on_are_learned_from_less(life):
    (fact,) = life.given(assessed(0.42)).when(exported()).then(TrainingRequested)
    assert fact.intensity == pytest.approx(0.92, abs=1e-3)


def test_good_data_are_learned_from_as_usual_unless_that_is_set(story, settings_changed, life):
    (fact,) = life.given(assessed(0.9)).when(exported()).then(TrainingRequested)
    assert fact.intensity == 1.0
    eager = story(DECIDER).given(
        settings_changed(training=TrainingSettings(intensity_good=1.5)), planned(), played()
    )
    (fact,) = eager.given(assessed(0.75)).when(exported()).then(TrainingRequested)
    assert fact.intensity == pytest.approx(1.25, abs=1e-3)


@for_all(one=st.floats(0.0, 1.0), other=st.floats(0.0, 1.0), good=st.floats(1.0, 3.0))
def test_better_data_are_never_learned_from_less(one, other, good):
    settings = TrainingSettings(intensity_good=good)
    low, high = (intensity(quality, settings) for quality in sorted((one, other)))
    assert settings.intensity_poor <= low <= high <= good + 1e-4
    assert intensity(0.5, settings) == 1.0


# one at a time, and the watchdog


def test_one_training_of_a_config_at_a_time(life):
    life.given(exported(), started(), planned(1), played(1))
    life.when(exported()).then()
    life.when(finished()).then(TrainingRequested)


def silent_for(life, minutes: int):
    for _ in range(minutes):
        life.after(seconds=59).when(TICK)
    return life


def test_a_silent_training_is_killed_and_asked_for_again(life):
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


def test_a_second_holder_of_a_finished_ticket_holds_nothing_back(life):
    life.given(exported(), started(), finished(), alive(), planned(1), played(1))
    life.when(exported()).then(TrainingRequested)


def test_hours_in_which_nobody_ran_are_not_silence(life):
    life.given(exported(), started(), TICK).after(hours=10)
    life.when(TICK).then()


def test_what_a_killed_training_says_later_is_ignored(life):
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


@for_all(
    wins=st.lists(st.integers(0, 500), min_size=2, max_size=4).map(tuple),
    samples=st.integers(1000, 4000),
)
def test_more_samples_are_never_less_telling(wins, samples):
    settings = TrainingSettings()
    if Progress(samples_new=samples, wins_new=wins).enough(settings):
        assert Progress(samples_new=samples + 1, wins_new=wins).enough(settings)


# what a training goes on from


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


def test_a_training_goes_on_from_the_newest_network_of_its_own_architecture(
    story, settings_changed
):
    assert parent_after(story, settings_changed, "v2-micro", ("v2-micro", A), ("v2-micro", B)) == B
    assert parent_after(story, settings_changed, "v2-micro", ("v2-micro", A), ("nnue", B)) == A
    assert parent_after(story, settings_changed, "nnue", ("v2-micro", A), ("v2-micro", B)) is None
