"""Matches: balanced seats, shared starts, and their scores."""

from collections import Counter
from collections.abc import Callable

import pytest

from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GameCompleted,
    Harness,
    Seat,
)
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.effort import LINE_MOVES_MAX
from ringrift.learning.matches import play_match
from ringrift.learning.play import Host
from ringrift.learning.targets import decode
from ringrift.rules import Config, Position
from ringrift.search.harness import HarnessError, Model

RANDOM = Seat(participant="baseline:random:s0", harness="random")
HEURISTIC = Seat(participant="baseline:heuristic:s0", harness="heuristic", evaluator="heuristic")
GUMBEL = Seat(
    participant="baseline:gumbel:s4", harness="gumbel", evaluator="heuristic", simulations=4
)
SETTINGS = EvaluationSettings(opening_plies=8)


def ticket(config: str, candidate: Seat, opponent: Seat, starts: int) -> EvaluationTicket:
    request = EvaluationRequested(
        config=config,
        generation=2,
        candidate=candidate,
        opponent=opponent,
        purpose="random",
        round=0,
        starts=starts,
        seed=9,
        settings_version=1,
    )
    (found,) = tickets_of(request, "EVENTS/3")
    assert isinstance(found, EvaluationTicket)
    return found


def no_network(model: str) -> Model:
    raise AssertionError(f"no seat plays {model}")


def played(
    config: str,
    candidate: Seat,
    opponent: Seat,
    starts: int,
    model_of: Callable[[str], Model] = no_network,
) -> tuple[list[GameCompleted], EvaluationScored]:
    *games, score = play_match(
        ticket(config, candidate, opponent, starts),
        SETTINGS,
        Host(node="here", threads=1),
        model_of=model_of,
    )
    assert isinstance(score, EvaluationScored)
    assert all(isinstance(game, GameCompleted) for game in games)
    return [game for game in games if isinstance(game, GameCompleted)], score


def test_the_games_of_a_start_share_its_opening_and_swap_seats() -> None:
    games, score = played("hex8_2p", HEURISTIC, RANDOM, 20)
    assert sorted(int(game.game.rpartition("-")[2]) for game in games) == list(range(40))
    by_number = {int(game.game.rpartition("-")[2]): game for game in games}
    for start in range(20):
        one, two = by_number[2 * start], by_number[2 * start + 1]
        assert one.moves.split()[:8] == two.moves.split()[:8]
        assert one.seats == two.seats[::-1] == (HEURISTIC, RANDOM)
        assert one.origin == "evaluation"
        assert one.ticket == "evaluation-events-3"
    assert len({" ".join(game.moves.split()[:8]) for game in games}) == 20
    wins = sum(game.seats[game.winner - 1] == HEURISTIC for game in games)
    assert (score.games, score.wins, score.candidate) == (40, wins, "baseline:heuristic:s0")
    assert sum(count for _, count in score.scores) == 20
    assert sum(value * count for value, count in score.scores) == wins / 2
    assert {value for value, _ in score.scores} <= {0.0, 0.5, 1.0}
    assert sum(ranking.count for ranking in score.rankings) == 40
    assert wins >= 34


@pytest.mark.parametrize("key", ["square8_3p", "hex8_4p"])
def test_with_more_seats_the_candidate_has_each_seat_once(key: str) -> None:
    n = Config.parse(key).seats
    games, score = played(key, GUMBEL, RANDOM, 3)
    places = Counter(game.seats.index(GUMBEL) for game in games)
    assert places == dict.fromkeys(range(n), 3)
    total = sum((n - game.ranks[game.seats.index(GUMBEL)]) / (n - 1) for game in games)
    assert sum(value * count for value, count in score.scores) == pytest.approx(total / n)
    for game in games:
        position = Position.start(Config.parse(key))
        for token in game.moves.split():
            position.play(token)
        assert position.ranks() == game.ranks
    for ranking in score.rankings:
        assert Counter(ranking.order) == {GUMBEL.participant: 1, RANDOM.participant: n - 1}
        assert list(ranking.ranks) == sorted(ranking.ranks)


def test_only_decisions_of_searching_seats_after_the_opening_have_targets() -> None:
    games, _ = played("hex8_2p", GUMBEL, RANDOM, 2)
    for game in games:
        seat = game.seats.index(GUMBEL) + 1
        _, decisions = decode(game.targets)
        position = Position.start(Config.parse("hex8_2p"))
        movers = []
        for token in game.moves.split():
            movers.append(position.seat)
            position.play(token)
        assert decisions
        assert {movers[decision.ply] for decision in decisions} == {seat}
        assert decisions[0].ply >= 8


def test_a_repeated_match_gives_the_same_games() -> None:
    first, score = played("hex8_2p", GUMBEL, HEURISTIC, 3)
    again, score_again = played("hex8_2p", GUMBEL, HEURISTIC, 3)
    assert {game.game: game.moves for game in first} == {game.game: game.moves for game in again}
    assert (score.scores, score.rankings) == (score_again.scores, score_again.rankings)


def test_a_seat_that_cannot_be_played_is_rejected() -> None:
    broken = Seat(participant="x:policy:s0", harness="policy", evaluator="heuristic")
    with pytest.raises(HarnessError, match="policy needs evaluator network"):
        played("hex8_2p", broken, RANDOM, 1)


@pytest.mark.parametrize(
    ("config", "harness"),
    [("hex8_2p", "minimax"), ("square8_3p", "brs"), ("square8_3p", "maxn"), ("hex8_2p", "descent")],
)
def test_every_search_plays_matches(config: str, harness: Harness) -> None:
    """Evaluating the moves of the root is enough against random play."""
    seat = Seat(
        participant=f"baseline:{harness}:s1", harness=harness, evaluator="heuristic", simulations=1
    )
    games, score = played(config, seat, RANDOM, 6)
    assert score.wins / score.games > 0.7
    assert all(not decode(game.targets)[1] for game in games), "their policies are not targets"


def test_a_score_says_what_each_side_spent_on_a_decision() -> None:
    games, score = played("hex8_2p", GUMBEL, HEURISTIC, 2)
    mine, other = score.efforts
    assert (mine.participant, other.participant) == (GUMBEL.participant, HEURISTIC.participant)
    searched = sum(len(decode(game.targets)[1]) for game in games)
    assert mine.decisions == searched > 0
    assert mine.nodes <= 4
    assert 1 <= mine.depth <= 4
    assert 0 < mine.chosen_share <= 1
    assert (other.nodes, other.depth, other.chosen_share) == (0, 0, None)
    firsts = {game.moves.split()[decode(game.targets)[1][0].ply] for game in games}
    line, none = score.lines
    assert line.split()[0] in firsts  # the move that it played
    assert len(line.split()) <= LINE_MOVES_MAX
    assert none == "", "it does not search"
    assert mine.seconds > 0
    assert -1 <= other.value <= 1


def test_every_seat_has_half_of_the_points_of_games_that_are_stopped() -> None:
    found = ticket("hexagonal_3p", RANDOM, HEURISTIC, 1)
    host = Host(node="here", threads=1)
    *games, score = play_match(found, SETTINGS, host, model_of=no_network, plies_max=50)
    assert isinstance(score, EvaluationScored)
    reasons = {game.reason for game in games if isinstance(game, GameCompleted)}
    assert (reasons, score.scores, score.wins) == ({"max_moves"}, ((0.5, 1),), 0.0)
