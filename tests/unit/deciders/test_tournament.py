"""The scheduled tournament of networks and harnesses, and who waits for its results: nobody."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, fresh, promoted, registered, scored

from ringrift.deciders.loop import evaluation
from ringrift.deciders.loop.tournament import STARTS
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    PipelinePaused,
    SelfplayFinished,
    TickRecorded,
)
from ringrift.events.participants import harnesses_of
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import SPARE, priority_of, tickets_of
from ringrift.search.harness import MODEL_KINDS, compatible

TICK = TickRecorded(minute=1)


def worked(seconds: float) -> SelfplayFinished:
    return SelfplayFinished(
        config=CONFIG,
        generation=1,
        ticket=fresh(),
        games=64,
        plies=1,
        play_seconds=seconds,
        node="n",
    )


@pytest.fixture
def life(story, settings_changed):
    """Networks A, B and C were current, C is; games of matches take a 64th of a second."""
    life = story(evaluation.DECIDER).given(settings_changed())
    for number, model in enumerate((A, B, C), 1):
        life.given(registered(model, number), promoted(model, number))
    return life.given(scored("random", 32, 0, model=C))


def result(request: EvaluationRequested, ticket: str, seconds: float = 1.0) -> EvaluationScored:
    return replace(
        scored("random", 2, 2, model=request.candidate.model),
        ticket=ticket,
        purpose="tournament",
        candidate=request.candidate.participant,
        opponent=request.opponent.participant,
        rankings=(),
        play_seconds=seconds,
    )


def matches(life, count: int, seconds: float = 1.0) -> list[EvaluationRequested]:
    """The next matches, each scored before the next is due."""
    found = []
    for _ in range(count):
        (request,) = life.given(worked(50_000.0)).when(TICK).then(EvaluationRequested)
        found.append(request)
        (ticket,) = tickets_of(request, f"EVENTS/{life.seq}")
        life.given(result(request, ticket.ticket, seconds))
    return found


@pytest.mark.parametrize("kind", [kind for kind in MODEL_KINDS if kind != "none"])
@pytest.mark.parametrize("seats", [2, 3, 4])
def test_every_harness_that_suits_a_network_is_known(kind: str, seats: int) -> None:
    suiting = set(compatible(kind, seats)) - {"gpu_gumbel"}
    assert set(harnesses_of(kind, seats)) == suiting


def test_a_small_match_is_played_when_other_work_has_paid_for_it(life):
    life.given(worked(990.0)).when(TICK).then()
    life.given(worked(20.0)).when(TICK).then(EvaluationRequested)


def test_the_newest_three_networks_meet_each_other_and_the_heuristic_under_all_harnesses(life):
    players = 1 + 3 * len(harnesses_of("network", 2))
    found = matches(life, players * (players - 1) // 2)
    seats = {seat.participant: seat for one in found for seat in (one.candidate, one.opponent)}
    assert len(seats) == players
    assert {seat.harness for seat in seats.values()} == {*harnesses_of("network", 2), "heuristic"}
    assert {seat.model for seat in seats.values()} == {A, B, C, None}
    pairs = {frozenset((one.candidate.participant, one.opponent.participant)) for one in found}
    assert len(pairs) == len(found)
    assert all(one.candidate.model for one in found)
    assert {(one.purpose, one.spare, one.starts) for one in found} == {("tournament", True, STARTS)}
    (ticket,) = tickets_of(found[0], "EVENTS/9")
    assert priority_of(ticket) == SPARE


def test_one_match_at_a_time_and_a_failed_one_ends(life):
    (request,) = life.given(worked(1e6)).when(TICK).then(EvaluationRequested)
    (ticket,) = tickets_of(request, f"EVENTS/{life.seq}")
    life.when(TICK).then()
    failed = EvaluationFailed(
        config=CONFIG,
        generation=3,
        ticket=ticket.ticket,
        candidate_model=request.candidate.model,
        purpose="tournament",
        reason="r",
        node="n",
    )
    (other,) = life.given(failed).when(TICK).then(EvaluationRequested)
    assert other.round == 1


def test_a_match_that_took_long_is_paid_for_first(life):
    matches(life, 1, seconds=1_000_000.0)
    life.given(worked(50_000.0)).when(TICK).then()


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_without_a_share_nothing_is_scheduled(story, settings_changed, share):
    chosen = EvaluationSettings(tournament_share=share)
    life = story(evaluation.DECIDER).given(
        settings_changed(evaluation=chosen), registered(B), promoted(B)
    )
    life.given(scored("random", 32, 0), worked(1e6))
    life.when(TICK).then(*[EvaluationRequested] * bool(share))


def test_a_pause_and_the_last_generation_end_the_tournament(story, settings_changed, life):
    paused = PipelinePaused(scope=CONFIG, kind="evaluation", why="w")
    life.given(worked(1e6), paused).when(TICK).then()
    over = story(evaluation.DECIDER).given(
        settings_changed(generations=1), registered(B), promoted(B)
    )
    over.given(scored("random", 32, 0), worked(1e6)).when(TICK).then()


def test_measuring_holds_no_training_back(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    for purpose in ("ladder", "gauntlet", "tournament"):
        for number in range(40):
            request = EvaluationRequested(
                config=CONFIG,
                generation=1,
                candidate=evaluation.network_seat(B, 64),
                opponent=evaluation.network_seat(B, 32),
                purpose=purpose,
                round=number,
                starts=1,
                seed=1,
                settings_version=1,
            )
            life.when(request).then()
            life.when(scored(purpose, 1, 0)).then()
