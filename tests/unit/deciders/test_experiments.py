"""Experiments: both arms are trained on the same data, and a sequential test decides."""

from __future__ import annotations

from typing import Any

import pytest
from support.loop_facts import fresh
from support.retraction_facts import CONFIG, S0, A, B, C, D, ready, registered, shard
from support.training_facts import failed, finished, played

from ringrift.deciders.feedback import experiments
from ringrift.deciders.feedback.experiments import Arms
from ringrift.deciders.loop import evaluation, training
from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ExperimentEnded,
    ExperimentStarted,
    PipelinePaused,
    PipelineResumed,
    TrainingRequested,
)
from ringrift.events.participants import network_seat

RATE = "training.learning_rate"


def start(pairs: int = 4, **changes: Any) -> ExperimentStarted:
    fields: dict[str, Any] = {
        "config": CONFIG,
        "hypothesis": "a higher learning rate",
        "a": {RATE: "0.002"},
        "b": {RATE: "0.004"},
        "pairs": pairs,
        "settings_version": 1,
    }
    return ExperimentStarted(**fields | changes)


def ended(experiment: str, network: str | None = None, **changes: Any) -> ExperimentEnded:
    fields: dict[str, Any] = {
        "config": CONFIG,
        "experiment": experiment,
        "verdict": "stopped",
        "network": network,
        "evidence": None,
        "why": "w",
        "settings_version": 1,
    }
    return ExperimentEnded(**fields | changes)


def scored(request: Fact, counts: dict[float, int], ticket: str = "") -> EvaluationScored:
    assert isinstance(request, EvaluationRequested)
    return EvaluationScored(
        config=CONFIG,
        generation=0,
        ticket=ticket or fresh(),
        candidate=request.candidate.participant,
        candidate_model=request.candidate.model,
        opponent=request.opponent.participant,
        purpose=request.purpose,
        round=request.round,
        games=2 * sum(counts.values()),
        wins=0.0,
        scores=tuple(sorted(counts.items())),
        rankings=(),
        play_seconds=1.0,
        node="n",
    )


def of_arm(arm: str, generation: int = 1, experiment: str = "EVENTS/1") -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG,
        generation=generation,
        architecture="v2-micro",
        parent=None,
        shards=(S0,),
        samples=1,
        seed=1,
        reason="r",
        settings_version=1,
        experiment=experiment,
        arm=arm,  # type: ignore[arg-type]
    )


def pair(a: str = A, b: str = B) -> tuple[Fact, ...]:
    return of_arm("a"), finished("t1", a), of_arm("b"), finished("t2", b)


def match(a: str = A, b: str = B, round: int = 0) -> EvaluationRequested:
    """What `evaluation` requests after a pair."""
    one, other = (network_seat(model, 64, kind="tower", seats=2) for model in (a, b))
    return EvaluationRequested(
        config=CONFIG,
        generation=0,
        candidate=other,
        opponent=one,
        purpose="experiment",
        round=round,
        starts=64,
        seed=1,
        settings_version=1,
    )


def trained(life: Any, a: str = A, b: str = B) -> EvaluationRequested:
    """Train a pair and request its match."""
    request = match(a, b)
    life.given(*pair(a, b), request)
    return request


def test_each_training_is_requested_with_both_arms_on_the_same_shards(
    story: Any, settings_changed: Any
) -> None:
    life = story(training.DECIDER).given(start(), *ready(settings_changed))
    (first,) = life.when(shard(0, S0)).then(TrainingRequested)
    assert (first.experiment, first.arm) == ("EVENTS/1", "a")
    assert first.hyperparameters == {RATE: "0.002"}
    life.given(shard(1, "1" * 64)).when(registered(A)).then()
    (second,) = life.when(finished("t1", A)).then(TrainingRequested)
    assert (second.experiment, second.arm) == ("EVENTS/1", "b")
    assert second.hyperparameters == {RATE: "0.004"}
    assert second.reason == "arm b of experiment EVENTS/1"
    same = ("generation", "architecture", "parent", "shards", "samples", "seed", "intensity")
    assert all(getattr(first, name) == getattr(second, name) for name in same)
    life.when(finished("t2", B)).then()
    new = life.state.configs[CONFIG].progress.samples_new
    assert new == 3000  # those exported since arm a count for the next generation


def test_each_arm_goes_on_from_its_own_newest_network() -> None:
    arms = Arms(id="EVENTS/1", started=start())
    for fact in pair():
        handlers = {of_arm: experiments.requested, finished: experiments.trained}
        kind = of_arm if isinstance(fact, TrainingRequested) else finished
        arms = handlers[kind](arms, fact)  # type: ignore[operator]
    usual = of_arm("a", generation=2)
    request = arms.request(usual)
    assert (request.arm, request.parent) == ("a", A)
    arms = experiments.requested(arms, request)
    arms = experiments.trained(arms, finished("t3", C))
    assert (arms.request(usual).arm, arms.request(usual).parent) == ("b", B)
    other = arms.request(usual)
    assert other.generation == 2


def test_a_training_that_fails_is_repeated_with_its_own_arm(
    story: Any, settings_changed: Any
) -> None:
    life = story(training.DECIDER).given(start(), *ready(settings_changed), shard(0, S0))
    life.given(finished("t1", A))
    (again,) = life.when(failed("t2")).then(TrainingRequested)
    assert (again.arm, again.hyperparameters) == ("b", {RATE: "0.004"})


def test_an_experiment_ends_when_every_attempt_fails(story: Any) -> None:
    life = story(experiments.DECIDER).given(start())
    for _ in range(2):
        life.given(of_arm("a")).when(failed(fresh())).then()
    (end,) = life.given(of_arm("a")).when(failed(fresh())).then(ExperimentEnded)
    assert (end.verdict, end.experiment, end.network) == ("failed", "EVENTS/1", None)
    assert not life.state.configs[CONFIG].arms.started


def test_the_networks_of_a_pair_play_each_other_once(story: Any) -> None:
    *before, last = pair()
    life = story(evaluation.DECIDER).given(start(starts=16), *before)
    (request,) = life.when(last).then(EvaluationRequested)
    assert (request.candidate.model, request.opponent.model) == (B, A)
    assert (request.purpose, request.starts, request.round) == ("experiment", 16, 0)
    life.when(played()).then()


def test_a_pause_holds_the_match_back(story: Any) -> None:
    life = story(evaluation.DECIDER).given(start())
    life.given(PipelinePaused(scope=CONFIG, kind="evaluation", why="w"), *pair())
    life.when(played()).then()
    resumed = PipelineResumed(scope=CONFIG, kind="evaluation", why="w")
    life.when(resumed).then(EvaluationRequested)


BETTER, EQUAL = {0.5: 20, 0.75: 25, 1.0: 19}, {0.0: 13, 0.5: 34, 1.0: 17}


@pytest.mark.parametrize(
    ("counts", "verdict", "network"),
    [(BETTER, "b", D), ({0.0: 19, 0.25: 25, 0.5: 20}, "a", C), (EQUAL, None, None)],
)
def test_two_pairs_are_the_fewest_that_decide(
    story: Any, counts: dict[float, int], verdict: str | None, network: str | None
) -> None:
    life = story(experiments.DECIDER).given(start())
    life.when(scored(trained(life), counts)).then()
    life.when(scored(trained(life, C, D), counts))
    if verdict is None:
        life.then()
        return
    (end,) = life.then(ExperimentEnded)
    assert (end.verdict, end.network) == (verdict, network)
    assert end.evidence.starts == 128
    assert end.evidence.games == 256
    assert "of 256 games over 2 pairs" in end.why


def test_the_last_pair_ends_the_experiment(story: Any) -> None:
    life = story(experiments.DECIDER).given(start(pairs=1))
    (end,) = life.when(scored(trained(life), EQUAL)).then(ExperimentEnded)
    assert (end.verdict, end.network, end.evidence.starts) == ("undecided", A, 64)


def test_a_score_counts_once_and_only_for_its_own_experiment(story: Any) -> None:
    life = story(experiments.DECIDER).given(start())
    request = trained(life)
    life.given(scored(request, BETTER, "t9"), scored(request, BETTER, "t9"))
    assert life.state.configs[CONFIG].answered == 1
    life.given(ended("EVENTS/1"), start())
    life.when(scored(request, BETTER)).then()
    assert life.state.configs[CONFIG].answered == 0


def test_a_match_that_failed_is_no_evidence(story: Any) -> None:
    life = story(experiments.DECIDER).given(start(pairs=1), *pair(), match())
    fact = EvaluationFailed(
        config=CONFIG,
        generation=0,
        ticket=fresh(),
        candidate_model=B,
        purpose="experiment",
        reason="r",
        node="n",
    )
    (end,) = life.when(fact).then(ExperimentEnded)
    assert end.verdict == "failed"


def test_arms_that_make_the_same_network_end_the_experiment(story: Any) -> None:
    life = story(experiments.DECIDER).given(start())
    *before, last = pair(A, A)
    (end,) = life.given(*before).when(last).then(ExperimentEnded)
    assert end.why.startswith("the settings make no difference")


def test_only_one_experiment_of_a_config_runs(story: Any) -> None:
    life = story(experiments.DECIDER).given(start(), start(hypothesis="another"))
    assert life.state.configs[CONFIG].arms.id == "EVENTS/1"
    life.given(ended("EVENTS/2"))
    assert life.state.configs[CONFIG].arms.id == "EVENTS/1"


def test_trainings_go_on_from_the_better_network(story: Any, settings_changed: Any) -> None:
    life = story(training.DECIDER).given(start(), registered(A), registered(B))
    life.given(finished("t1", A), finished("t2", B), ended("EVENTS/1", A, verdict="a"))
    assert life.state.configs[CONFIG].lineage.newest == A
    life.given(*ready(settings_changed))
    (request,) = life.when(shard(0, S0)).then(TrainingRequested)
    assert (request.parent, request.experiment, request.hyperparameters) == (A, None, {})


def test_arms_name_the_same_settings() -> None:
    with pytest.raises(ValueError, match="both arms name the same settings"):
        start(a={})
