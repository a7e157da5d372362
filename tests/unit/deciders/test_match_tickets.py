"""Rounds of a match on a fleet: long games go in several tickets side by side; elsewhere a round is
one ticket, as it was."""

from __future__ import annotations

import pytest
from support.loop_facts import fresh

from ringrift.deciders.loop.evaluation import DECIDER
from ringrift.deciders.loop.trials import ROUND_TICKETS_MAX, round_starts
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    NodeAssigned,
    Ranking,
    SelfplayFinished,
)
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings

BIG = "hexagonal_4p"
B, C = "b" * 64, "c" * 64
HEURISTIC = seat("heuristic").participant


def assigned(name: str, kinds=("evaluation", "selfplay"), seconds: float = 1200.0) -> NodeAssigned:
    return NodeAssigned(node=name, kinds=kinds, ticket_seconds=seconds, why="w", settings_version=1)


def registered(model: str, generation: int = 1) -> ModelRegistered:
    return ModelRegistered(
        config=BIG,
        model=model,
        generation=generation,
        architecture="a",
        encoder="e",
        parameters=1,
        parents=(),
        ticket=fresh(),
    )


def promoted(model: str) -> ModelPromoted:
    return ModelPromoted(
        config=BIG,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def scored(
    model: str,
    *,
    rival: str | None = None,
    starts: int = 8,
    game_seconds: float = 60.0,
    round_: int = 0,
) -> EvaluationScored:
    """An even match; a game takes `game_seconds`."""
    candidate = seat("gumbel", model=model, simulations=32).participant
    opponent = seat("gumbel", model=rival, simulations=32).participant if rival else HEURISTIC
    games = starts * 4
    return EvaluationScored(
        config=BIG,
        generation=1,
        ticket=fresh(),
        candidate=candidate,
        candidate_model=model,
        opponent=opponent,
        purpose="promotion" if rival else "heuristic",
        round=round_,
        games=games,
        wins=games / 4,
        scores=((0.0, starts // 2), (1.0, starts // 2)),
        rankings=(
            Ranking(
                order=(candidate, opponent, opponent, opponent), ranks=(1, 2, 3, 4), count=games
            ),
        ),
        play_seconds=games * game_seconds,
        node="n",
    )


@pytest.fixture
def life(story, settings_changed):
    """A current network, whose games are known to take a minute."""
    return story(DECIDER).given(
        settings_changed(configs=(BIG,)), registered(B), promoted(B), scored(B)
    )


def asked(life) -> list[EvaluationRequested]:
    return [
        fact
        for fact in life.decided
        if isinstance(fact, EvaluationRequested) and fact.purpose == "promotion"
    ]


def test_a_round_is_one_ticket_if_its_games_are_short(story, settings_changed):
    life = story(DECIDER).given(
        settings_changed(configs=(BIG,)), registered(B), promoted(B), scored(B, game_seconds=0.1)
    )
    (request,) = asked(life.when(registered(C)))
    assert (request.round, request.starts) == (0, 32)


def test_on_a_fleet_a_round_of_long_games_is_played_side_by_side(life):
    requests = asked(life.given(assigned("n1")).when(registered(C)))
    assert [request.round for request in requests] == [0, 1, 2, 3]
    assert [request.starts for request in requests] == [8, 8, 8, 8]
    assert len({request.seed for request in requests}) == 4


def test_a_round_that_fits_the_time_of_a_ticket_stays_whole(life):
    life.given(*(scored(B, game_seconds=1.0) for _ in range(200)))
    (request,) = asked(life.given(assigned("n1")).when(registered(C)))
    assert request.starts == 32


def tickets(life) -> tuple[int, ...]:
    """Starts of each ticket of the next round."""
    return round_starts(life.state, BIG, life.in_force.settings)


def test_the_node_that_may_vanish_first_sets_the_size(life):
    life.given(
        *(scored(B, game_seconds=4.0) for _ in range(200)), assigned("stays", seconds=1200.0)
    )
    assert len(tickets(life)) == 1
    life.given(assigned("spot", seconds=300.0))
    assert len(tickets(life)) == 2


def test_a_node_that_only_plays_does_not_count(life):
    life.given(assigned("n1"), assigned("spot", kinds=("selfplay",), seconds=1.0))
    life.given(*(scored(B, game_seconds=1.0) for _ in range(200)))
    assert tickets(life) == (32,)
    life.given(assigned("n1", kinds=()))
    assert not life.state.evaluators


def test_before_anything_was_measured_a_round_is_whole(story, settings_changed):
    life = story(DECIDER).given(settings_changed(configs=(BIG,)), assigned("n1", seconds=1.0))
    assert tickets(life) == (32,)


@pytest.mark.parametrize("seconds", [1.0, 100.0, 1000.0, 3000.0])
@pytest.mark.parametrize("pairs", [1, 2, 3, 7, 32])
def test_no_start_is_lost_and_tickets_are_few(story, settings_changed, pairs, seconds):
    settings = settings_changed(
        configs=(BIG,), evaluation=EvaluationSettings(starts_per_ticket=pairs)
    )
    life = story(DECIDER).given(settings, registered(B), promoted(B))
    found = tickets(life.given(scored(B), assigned("n1", seconds=seconds)))
    assert sum(found) == pairs
    assert 1 <= len(found) <= ROUND_TICKETS_MAX
    assert min(found) >= 1
    assert max(found) - min(found) <= 1


def test_the_next_round_waits_for_all_tickets_of_this_one(life):
    life.given(assigned("n1"), registered(C))
    for number in (2, 0, 3):
        assert not asked(life.when(scored(C, rival=B, round_=number)))
    assert [request.round for request in asked(life.when(scored(C, rival=B, round_=1)))] == [
        4,
        5,
        6,
        7,
    ]


def test_tickets_of_a_round_come_in_any_order(life, story, settings_changed):
    life.given(
        assigned("n1"), registered(C), *(scored(C, rival=B, round_=number) for number in range(4))
    )
    other = story(DECIDER).given(
        settings_changed(configs=(BIG,)), registered(B), promoted(B), scored(B)
    )
    other.given(
        assigned("n1"),
        registered(C),
        *(scored(C, rival=B, round_=number) for number in (3, 1, 0, 2)),
    )
    assert other.state.configs[BIG].trials == life.state.configs[BIG].trials


def baselines(life) -> list[tuple[str, int]]:
    facts = [fact for fact in life.decided if isinstance(fact, EvaluationRequested)]
    return [(fact.purpose, fact.starts) for fact in facts if fact.purpose != "promotion"]


def test_baselines_are_one_ticket_each_for_the_first_network_is_judged_by_one(life):
    life.given(assigned("n1", seconds=1.0)).when(registered(C))
    assert [purpose for purpose, _ in baselines(life)] == ["random", "heuristic"]


@pytest.mark.parametrize(
    ("game_seconds", "generation", "starts"),
    [(0.1, 1, 48), (1.0, 1, 15), (1.0, 2, 30), (1.0, 4, 48), (60.0, 1, 8), (60.0, 100, 25)],
)
def test_first_networks_play_baselines_for_a_limited_time(
    story, settings_changed, game_seconds: float, generation: int, starts: int
) -> None:
    """Four games a start, 60 s per generation."""
    played = SelfplayFinished(
        config=BIG,
        generation=0,
        ticket=fresh(),
        games=8,
        plies=1,
        play_seconds=8 * game_seconds,
        node="n",
    )
    life = story(DECIDER).given(settings_changed(configs=(BIG,)), played)
    life.when(registered(B, generation))
    assert baselines(life) == [("random", starts), ("heuristic", starts)]
