"""Which networks are measured, against which opponents, and when again."""

from __future__ import annotations

from typing import Any

from msgspec import structs
from support.loop_facts import CONFIG, B, C, fresh, promoted, registered, scored

from ringrift.deciders.loop import evaluation, repeats
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    ModelRolledBack,
    PipelinePaused,
    PipelineResumed,
    TickRecorded,
)
from ringrift.events.settings import EvaluationSettings

D = "d" * 64
TICK = TickRecorded(minute=1)


def test_the_first_network_is_measured_against_the_baselines(story, settings_changed):
    asked = (
        story(evaluation.DECIDER)
        .given(settings_changed())
        .when(registered())
        .then(EvaluationRequested, EvaluationRequested)
    )
    assert [item.purpose for item in asked] == ["random", "heuristic"]


def test_a_candidate_meets_the_current_network_first(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    asked = life.when(registered(C, generation=2)).then(*[EvaluationRequested] * 3)
    assert [item.purpose for item in asked] == ["promotion", "random", "heuristic"]
    assert asked[0].opponent.model == B


def test_rounds_continue_while_the_test_is_open(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), registered(B), promoted(B), registered(C, generation=2)
    )
    (second,) = life.when(scored("promotion", 8, 8, model=C)).then(EvaluationRequested)
    assert second.round == 1
    life.when(scored("random", 8, 8, model=C)).then()


def test_a_clear_result_ends_the_rounds(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), registered(B), promoted(B), registered(C, generation=2)
    )
    life.when(scored("promotion", 60, 2, model=C)).then()


def test_evaluation_pauses_and_resumes(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), PipelinePaused(scope="all", kind="evaluation", why="w")
    )
    life.when(registered()).then()
    life.when(PipelineResumed(scope="all", kind="evaluation", why="w")).then(
        EvaluationRequested, EvaluationRequested
    )


def asked(purpose: Any, model: str = B) -> EvaluationRequested:
    return EvaluationRequested(
        config=CONFIG,
        generation=1,
        candidate=evaluation.network_seat(model, 64),
        opponent=repeats.RANDOM,
        purpose=purpose,
        round=0,
        starts=4,
        seed=1,
        settings_version=1,
    )


def test_measuring_a_candidate_on_trial_leaves_its_trial_alone(story, settings_changed):
    paused = PipelinePaused(scope="all", kind="evaluation", why="w")
    life = story(evaluation.DECIDER).given(
        settings_changed(), paused, registered(), asked("strength")
    )
    life.given(scored("strength", 0, 32))
    found = life.when(PipelineResumed(scope="all", kind="evaluation", why="w")).then(
        EvaluationRequested, EvaluationRequested
    )
    assert [item.purpose for item in found] == ["random", "heuristic"]


def aged(days: float, story, settings_changed, **settings: Any):
    """A current network that was measured against both baselines `days` days ago."""
    life = story(evaluation.DECIDER).given(
        settings_changed(**settings), registered(B), promoted(B, generation=7)
    )
    return life.given(scored("random", 32, 0), scored("heuristic", 20, 12)).after(hours=24 * days)


def test_a_current_network_is_measured_again_after_thirty_days(story, settings_changed):
    life = aged(30, story, settings_changed)
    found = life.when(TICK).then(EvaluationRequested, EvaluationRequested)
    assert [(item.purpose, item.round, item.generation) for item in found] == [
        ("random", 1, 7),
        ("heuristic", 1, 7),
    ]
    life.when(TICK).then()
    assert (
        life.after(hours=24 * 31).when(TICK).then(EvaluationRequested, EvaluationRequested)[0].round
        == 2
    )


def test_one_measured_of_late_is_not(story, settings_changed):
    aged(29, story, settings_changed).when(TICK).then()
    life = aged(29, story, settings_changed).given(scored("heuristic", 20, 12))
    life.after(hours=24 * 29).when(TICK).then()


def test_how_long_that_is_may_be_set(story, settings_changed):
    life = aged(2, story, settings_changed, evaluation=EvaluationSettings(stale_days=1.0))
    life.when(TICK).then(EvaluationRequested, EvaluationRequested)


def test_networks_that_were_current_are_not_measured_again(story, settings_changed):
    life = aged(20, story, settings_changed).given(
        registered(C, generation=8), promoted(C, generation=8, previous=B)
    )
    life.after(hours=24 * 20).when(TICK).then()


def test_a_network_current_again_after_a_rollback_is_measured_in_time(story, settings_changed):
    back = ModelRolledBack(
        config=CONFIG, model=C, current=B, elo_drop=200.0, why="w", settings_version=1
    )
    life = aged(20, story, settings_changed).given(promoted(C, generation=8, previous=B), back)
    life.after(hours=24 * 20).when(TICK).then()
    assert (
        life.after(hours=24 * 20)
        .when(TICK)
        .then(EvaluationRequested, EvaluationRequested)[0]
        .candidate.model
        == B
    )


def test_a_candidate_whose_rival_is_no_longer_current_starts_again(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), registered(B), promoted(B), registered(C, generation=2)
    )
    life.given(registered(D, generation=3), scored("promotion", 8, 8, model=D))
    (again,) = life.when(promoted(C, generation=2, previous=B)).then(EvaluationRequested)
    assert (again.candidate.model, again.opponent.model, again.round) == (D, C, 0)


def test_a_result_against_an_earlier_rival_brings_no_round(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), registered(B), promoted(B), registered(C, generation=2)
    )
    life.given(registered(D, generation=3), promoted(C, generation=2, previous=B))
    life.when(scored("promotion", 8, 8, model=D)).then()  # against B


def test_networks_play_by_the_search_that_suits_their_architecture(story, settings_changed):
    first = structs.replace(registered(B), architecture="nnue")
    life = story(evaluation.DECIDER).given(settings_changed(), first, promoted(B))
    second = structs.replace(registered(C, generation=2), architecture="nnue_policy")
    match, *_ = life.when(second).then(*[EvaluationRequested] * 3)
    assert (match.candidate.harness, match.candidate.evaluator) == ("gumbel", "nnue")
    assert (match.opponent.harness, match.opponent.evaluator) == ("minimax", "nnue")


def failed(purpose: Any, model: str = B) -> EvaluationFailed:
    return EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket=fresh(),
        candidate_model=model,
        purpose=purpose,
        reason="OSError: no space",
        node="n",
    )


def test_a_match_against_a_baseline_that_failed_is_requested_again(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B))
    seeds = set()
    for _ in range(2):
        (again,) = life.when(failed("heuristic")).then(EvaluationRequested)
        assert (again.purpose, again.candidate.model, again.round) == ("heuristic", B, 0)
        seeds.add(again.seed)
    assert len(seeds) == 2
    life.when(failed("heuristic")).then()  # the third attempt was the last


def test_it_is_requested_again_after_the_verdict_and_after_a_pause(story, settings_changed):
    paused = PipelinePaused(scope="all", kind="evaluation", why="w")
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    twice = failed("heuristic")
    life.given(paused, twice, twice, failed("promotion"), failed("strength"))
    resumed = PipelineResumed(scope="all", kind="evaluation", why="w")
    (again,) = life.when(resumed).then(EvaluationRequested)
    assert again.purpose == "heuristic"
    life.when(scored("heuristic", 8, 8)).then()
