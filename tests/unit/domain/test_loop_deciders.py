"""The four deciders of the loop: when to play, train, measure, promote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec.structs import replace

from ringrift.domain import elo, evaluation, promotion, selfplay, training
from ringrift.domain.decider import seed_from
from ringrift.domain.promotion import judge, merged, wilson_interval
from ringrift.events import Settings
from ringrift.events.facts import (
    MEASURING,
    EloUpdated,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    Ranking,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import PromotionSettings, SelfplaySettings, TrainingSettings

A, B, C = "a" * 64, "b" * 64, "c" * 64
CONFIG = "hex8_2p"
SMALL = SelfplaySettings(games=128, bootstrap_games=64, games_per_ticket=64)


def planned(generation: int = 0, games: int = 64, model: str | None = None) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=CONFIG,
        generation=generation,
        games=games,
        games_per_ticket=64,
        simulations=32,
        model=model,
        seed=1,
        settings_version=1,
    )


def played(generation: int = 0, games: int = 64) -> SelfplayFinished:
    return SelfplayFinished(
        config=CONFIG, generation=generation, ticket="t", games=games, plies=games * 150, play_seconds=1.0, node="n"
    )


def exported(index: int = 0, games: int = 64, samples: int = 6000, digest: str = A) -> ShardExported:
    return ShardExported(
        config=CONFIG, encoder="e", index=index, first_seq=1 + 64 * index, last_seq=64 + 64 * index, games=games, samples=samples,
        rejected=0, digest=digest, size_bytes=1,
    )  # fmt: skip


def requested(generation: int = 1) -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG, generation=generation, architecture="v2-micro", parent=None, shards=(A,), samples=6000, seed=1, reason="r",
        settings_version=1,
    )  # fmt: skip


def finished(model: str = B, generation: int = 1) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG, generation=generation, ticket="t", model=model, steps=1, samples=1, loss=1.0, policy_loss=1.0,
        value_loss=1.0,         validation_loss=None, train_seconds=1.0, node="n",
    )  # fmt: skip


def registered(model: str = B, generation: int = 1) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=generation,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )


def promoted(model: str = B, generation: int = 1, previous: str | None = None) -> ModelPromoted:
    return ModelPromoted(
        config=CONFIG, generation=generation, model=model, previous=previous, evidence=None, why="w", settings_version=1
    )


def rejected(model: str = B, generation: int = 1, current: str | None = None) -> PromotionRejected:
    return PromotionRejected(
        config=CONFIG, generation=generation, model=model, current=current, evidence=None, why="w", settings_version=1
    )


def scored(purpose: Any, wins: int, losses: int, model: str = B, round_: int = 0, config: str = CONFIG) -> EvaluationScored:
    """`wins` starts won twice, `losses` starts lost twice."""
    starts = tuple((score, count) for score, count in ((0.0, losses), (1.0, wins)) if count)
    me, other = f"{model[:12]}:gumbel:s32", f"{B[:12]}:gumbel:s32" if purpose == "promotion" else "baseline:random:s0"
    rankings = [((me, other), 2 * wins), ((other, me), 2 * losses)]
    return EvaluationScored(
        config=config, generation=1, ticket="t", candidate=me, candidate_model=model, opponent=other, purpose=purpose, round=round_,
        games=2 * (wins + losses), wins=2.0 * wins, starts=starts,
        rankings=tuple(Ranking(order=order, ranks=(1, 2), count=count) for order, count in rankings if count),
        play_seconds=1.0, node="n",
    )  # fmt: skip


# when do we play?


def test_switching_a_config_on_plans_its_first_generation_without_a_network(story, settings_changed):
    (plan,) = story(selfplay.DECIDER).when(settings_changed(selfplay=SMALL)).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.games, plan.model) == (CONFIG, 0, 64, None)


def test_the_same_settings_again_plan_nothing(story, settings_changed):
    story(selfplay.DECIDER).given(settings_changed()).when(settings_changed(version=2)).then()


def test_a_second_config_is_planned_when_it_is_switched_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed())
    (plan,) = life.when(settings_changed(version=2, configs=(CONFIG, "square8_3p"))).then(SelfplayPlanned)
    assert plan.config == "square8_3p"


def test_a_promoted_network_plays_the_next_generation(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=SMALL), played(), exported(), requested())
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
    story(selfplay.DECIDER).given(PipelinePaused(scope="square8_2p", why="x")).when(settings_changed()).then(SelfplayPlanned)


# when do we train?


def test_training_is_requested_once_the_games_are_exported(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played())
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.generation, request.parent, request.shards, request.samples) == (1, None, (A,), 6000)


def test_order_of_export_and_finish_does_not_matter(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(), exported()).when(played()).then(TrainingRequested)


def test_the_first_training_starts_from_the_network_that_the_settings_name(story, settings_changed):
    chosen = TrainingSettings(init=(f"square8_4p={A}", f"{CONFIG}={C}"))
    life = story(training.DECIDER).given(settings_changed(training=chosen), planned(), played())
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.parent, request.teacher) == (C, None)
    later = story(training.DECIDER).given(
        settings_changed(training=chosen), planned(), played(), exported(), requested(), finished(B), planned(1), played(1)
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
    story(training.DECIDER).given(settings_changed(), planned(games=128), played()).when(exported()).then()


def test_games_that_could_not_be_played_are_not_waited_for(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(games=128), played(), exported())
    life.when(replace(played(games=0), lost=64)).then(TrainingRequested)


def test_training_waits_for_games_that_fill_a_shard(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(games=128), played(games=128)).when(exported()).then()


def test_training_waits_for_enough_samples(story, settings_changed):
    story(training.DECIDER).given(settings_changed(), planned(), played()).when(exported(samples=4999)).then()


def test_one_generation_is_trained_once(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played(), exported())
    life.when(exported(index=1)).then()
    life.when(finished()).then()


def test_the_next_training_goes_on_from_the_newest_network(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played(), exported(), finished(B))
    life.given(planned(generation=1), played(generation=1))
    (request,) = life.when(exported(index=1, digest=C)).then(TrainingRequested)
    assert (request.generation, request.parent, request.shards) == (2, B, (A, C))


def test_the_window_leaves_out_old_shards(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(training=TrainingSettings(window_samples=10_000)), planned(games=192))
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
        settings_changed(), planned(), played(), PipelinePaused(scope=CONFIG, kind="training", why="w")
    )
    life.when(exported()).then()
    life.when(PipelineResumed(scope=CONFIG, kind="training", why="w")).then(TrainingRequested)


# what do we measure?


def test_the_first_network_is_measured_against_the_baselines(story, settings_changed):
    asked = story(evaluation.DECIDER).given(settings_changed()).when(registered()).then(EvaluationRequested, EvaluationRequested)
    assert [item.purpose for item in asked] == ["random", "heuristic"]


def test_a_candidate_meets_the_current_network_first(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    asked = life.when(registered(C, generation=2)).then(*[EvaluationRequested] * 3)
    assert [item.purpose for item in asked] == ["promotion", "random", "heuristic"]
    assert asked[0].opponent.model == B


def test_rounds_go_on_while_the_test_is_open(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B), registered(C, generation=2))
    (second,) = life.when(scored("promotion", 8, 8, model=C)).then(EvaluationRequested)
    assert second.round == 1
    life.when(scored("random", 8, 8, model=C)).then()


def test_a_clear_result_ends_the_rounds(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B), registered(C, generation=2))
    life.when(scored("promotion", 60, 2, model=C)).then()


def test_evaluation_pauses_and_goes_on(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), PipelinePaused(scope="all", kind="evaluation", why="w"))
    life.when(registered()).then()
    life.when(PipelineResumed(scope="all", kind="evaluation", why="w")).then(EvaluationRequested, EvaluationRequested)


# who is promoted?


def test_a_first_network_that_beats_random_is_promoted(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B))
    life.when(scored("heuristic", 0, 32)).then()
    (fact,) = life.when(scored("random", 32, 0)).then(ModelPromoted)
    assert (fact.model, fact.previous) == (B, None)
    assert fact.evidence.score == 1.0


def test_a_first_network_that_does_not_is_rejected(story, settings_changed):
    story(promotion.DECIDER).given(settings_changed(), registered(B)).when(scored("random", 17, 15)).then(PromotionRejected)


def test_results_add_up_until_the_test_decides(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2))
    life.when(scored("promotion", 9, 7, model=C)).then()
    life.when(scored("promotion", 10, 6, model=C, round_=1)).then()
    (fact,) = life.when(scored("promotion", 60, 4, model=C, round_=2)).then(ModelPromoted)
    assert (fact.model, fact.previous, fact.evidence.starts) == (C, B, 96)


def test_a_weaker_candidate_is_rejected(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2))
    (fact,) = life.when(scored("promotion", 4, 60, model=C)).then(PromotionRejected)
    assert (fact.model, fact.current) == (C, B)


@pytest.mark.parametrize(("wins", "verdict"), [(33, ModelPromoted), (32, PromotionRejected)])
def test_an_open_test_at_the_cap_goes_by_the_score(story, settings_changed, wins, verdict):
    cap = PromotionSettings(max_pairs=64, elo0=-1, elo1=1, score_at_cap=0.51)
    life = story(promotion.DECIDER).given(settings_changed(promotion=cap), registered(B), scored("random", 32, 0), registered(C))
    life.when(scored("promotion", wins, 64 - wins, model=C)).then(verdict)


def test_a_verdict_is_given_once(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B), scored("random", 32, 0))
    life.when(scored("random", 32, 0)).then()


def test_a_failed_evaluation_rejects(story, settings_changed):
    failed = EvaluationFailed(
        config=CONFIG, generation=1, ticket="t", candidate_model=B, purpose="random", reason="out of memory", node="n"
    )
    (fact,) = story(promotion.DECIDER).given(settings_changed(), registered(B)).when(failed).then(PromotionRejected)
    assert "out of memory" in fact.why


# ratings


def test_each_evaluation_updates_the_table(story):
    (first,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(EloUpdated)
    assert [row.participant for row in first.ratings] == [f"{B[:12]}:gumbel:s32", "baseline:random:s0"]
    assert sum(row.elo for row in first.ratings) == pytest.approx(0)


def test_the_table_does_not_depend_on_how_results_were_split(story):
    (once,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(EloUpdated)
    (split,) = story(elo.DECIDER).given(scored("random", 10, 1)).when(scored("random", 20, 1)).then(EloUpdated)
    assert msgspec.json.encode(once) == msgspec.json.encode(split)


def test_configs_are_rated_apart(story):
    life = story(elo.DECIDER).given(scored("random", 30, 2))
    (other,) = life.when(scored("random", 2, 30, config="square8_2p")).then(EloUpdated)
    assert other.games == 64


# laws

histograms = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(1, 50)), min_size=1, max_size=4)


@for_all(first=histograms, second=histograms)
def test_merging_histograms_commutes(first, second):
    assert merged(tuple(first), tuple(second)) == merged(tuple(second), tuple(first))


@for_all(starts=histograms)
def test_a_better_score_never_turns_a_promotion_into_a_rejection(starts):
    order = ("reject", "open", "promote")
    verdict = judge(merged(tuple(starts), ()), 100, PromotionSettings(max_pairs=10_000), first=False, config=CONFIG)[0]
    better = judge(merged(tuple(starts), ((1.0, 20),)), 100, PromotionSettings(max_pairs=10_000), first=False, config=CONFIG)[0]
    assert order.index(better) >= order.index(verdict)


@for_all(wins=st.integers(0, 100), total=st.integers(1, 200))
def test_the_interval_holds_the_share(wins, total):
    share = min(wins, total) / total
    low, high = wilson_interval(share, total)
    assert 0.0 <= low <= share <= high <= 1.0


def test_seeds_follow_from_their_parts_and_are_exact_in_json():
    assert seed_from(1, "a") == seed_from(1, "a") != seed_from(1, "b")
    assert seed_from(1, "a") < 2**48


@pytest.mark.parametrize("decider", [selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER])
def test_states_survive_json(decider, story, settings_changed):
    life = story(decider).given(settings_changed(), planned(), played(), exported(), registered(B), scored("random", 32, 0))
    life.given(registered(C, generation=2), scored("promotion", 9, 7, model=C))
    assert msgspec.json.decode(msgspec.json.encode(life.state), type=decider.state) == life.state


def test_replacing_settings_keeps_what_was_counted(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(training=TrainingSettings(min_samples=7000)), planned(), played(), exported()
    )
    life.when(replace(settings_changed(), settings=Settings(), version=2)).then(TrainingRequested)


# matches that only measure


def asked(purpose: Any, model: str = B) -> EvaluationRequested:
    return EvaluationRequested(
        config=CONFIG, generation=1, candidate=evaluation.network_seat(model, 64), opponent=evaluation.RANDOM, purpose=purpose,
        round=0, pairs=4, seed=1, settings_version=1,
    )  # fmt: skip


def test_measuring_a_candidate_on_trial_leaves_its_trial_alone(story, settings_changed):
    paused = PipelinePaused(scope="all", kind="evaluation", why="w")
    life = story(evaluation.DECIDER).given(settings_changed(), paused, registered(), asked("strength"))
    life.given(scored("strength", 0, 32))
    found = life.when(PipelineResumed(scope="all", kind="evaluation", why="w")).then(EvaluationRequested, EvaluationRequested)
    assert [item.purpose for item in found] == ["random", "heuristic"]


@pytest.mark.parametrize("purpose", sorted(MEASURING))
def test_nobody_is_judged_by_a_match_that_only_measures(story, settings_changed, purpose):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B))
    life.when(scored(purpose, 32, 0)).then()
    life.when(EvaluationFailed(
        config=CONFIG, generation=1, ticket="t", candidate_model=B, purpose=purpose, reason="r", node="n"
    )).then()  # fmt: skip
    life.when(scored("random", 17, 15)).then(PromotionRejected)


def test_games_that_only_measure_hold_up_no_training(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(), played(), scored("strength", 400, 0))
    life.when(exported()).then(TrainingRequested)


def test_everyone_is_rated_by_matches_that_only_measure(story):
    story(elo.DECIDER).when(scored("gauntlet", 30, 2)).then(EloUpdated)
