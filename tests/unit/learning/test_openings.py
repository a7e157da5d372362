"""Openings that both seats can win, chosen by the values of a referee."""

import numpy as np
import pytest

from ringrift.events.facts import EvaluationRequested, Seat
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.matches import openings_of, play_match
from ringrift.learning.openings import PLIES, TRIES, Opening, even_openings, positions_after
from ringrift.learning.play import Host, player_of
from ringrift.rules import Config, Position, layout as la
from ringrift.search.arrays import Codes, Floats, Seeds, States
from ringrift.search.harness import LOCKSTEP, Model
from ringrift.search.players import Decision

HEX8 = Config.parse("hex8_2p")
NETWORKS = tuple(
    Seat(
        participant=f"{digit * 12}:gumbel:s2",
        harness="gumbel",
        evaluator="network",
        model=digit * 64,
        simulations=2,
    )
    for digit in "ab"
)
HEURISTIC = Seat(participant="baseline:heuristic:s0", harness="heuristic", evaluator="heuristic")


def value_of(state: States) -> float:
    """Return a value in -1..1 that differs from position to position."""
    return (
        float(int(np.abs(state.astype(np.int64)) @ np.arange(1, len(state) + 1)) % 1999) / 999.5 - 1
    )


class Referee:
    """A player with the values of `value_of`; records their absolute values."""

    searches = True

    def __init__(self) -> None:
        self.values: list[float] = []

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        assert not (states[:, la.PHASE] == la.OVER).any()
        values = [value_of(state) for state in states]
        self.values += [abs(value) for value in values]
        nothing = np.zeros(0)
        return [
            Decision(0, nothing, nothing, np.array([value, -value], np.float32), nothing)
            for value in values
        ]


def constant_policy(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
    """A network with equal logits and the values of `value_of`."""
    values = [value_of(state) for state in states]
    return np.zeros(len(codes), np.float32), np.array(
        [[value, -value] for value in values], np.float32
    )


def ticket(candidate: Seat, opponent: Seat, starts: int) -> EvaluationTicket:
    request = EvaluationRequested(
        config="hex8_2p",
        generation=2,
        candidate=candidate,
        opponent=opponent,
        purpose="promotion",
        round=0,
        starts=starts,
        seed=9,
        settings_version=1,
    )
    (found,) = tickets_of(request, "EVENTS/3")
    assert isinstance(found, EvaluationTicket)
    return found


def test_the_most_balanced_of_several_openings_is_chosen() -> None:
    referee, seeds = Referee(), list(range(LOCKSTEP // TRIES + 3))
    seen: list[int] = []
    chosen = list(
        even_openings(HEX8, referee, seeds, between=lambda: seen.append(len(referee.values)))
    )
    assert seen == [0, LOCKSTEP], "at most LOCKSTEP positions per call"
    assert len(referee.values) == len(seeds) * TRIES
    assert len(set(chosen)) == len(seeds)
    assert all(PLIES[0] <= opening.plies <= PLIES[1] for opening in chosen)
    states, over = positions_after(HEX8, chosen)
    assert not over.any()
    by_seed = [
        referee.values[first : first + TRIES] for first in range(0, len(referee.values), TRIES)
    ]
    assert [abs(value_of(state)) for state in states] == [min(values) for values in by_seed]
    assert list(even_openings(HEX8, Referee(), seeds[:2])) == chosen[:2]


def test_an_opening_that_ends_the_game_is_not_chosen() -> None:
    referee = Referee()
    chosen = list(even_openings(HEX8, referee, range(6), plies=(2, 240)))
    assert len(referee.values) < 6 * TRIES, "some openings end the game"
    assert not positions_after(HEX8, chosen)[1].any()


def test_any_opening_is_chosen_if_all_end_the_game() -> None:
    chosen = even_openings(HEX8, Referee(), range(2), plies=(240, 240))
    assert [opening.plies for opening in chosen] == [240, 240]


def test_matches_of_two_networks_start_with_balanced_openings() -> None:
    match, settings = ticket(*NETWORKS, starts=3), EvaluationSettings()
    opponent = player_of(HEX8, NETWORKS[1], Model(constant_policy), 1)
    states, _ = positions_after(HEX8, list(openings_of(match, settings, opponent)))
    *games, _ = play_match(
        match,
        settings,
        Host(node="here", threads=1),
        model_of=lambda digest: Model(constant_policy),
    )
    assert len(games) == 6
    for game in games:
        expected = Position(HEX8, states[int(game.game.rpartition("-")[2]) // 2])
        position = Position.start(HEX8)
        for token in game.moves.split()[: expected.ply]:
            position.play(token)
        assert position.text() == expected.text()


@pytest.mark.parametrize(("opponent", "even"), [(NETWORKS[1], False), (HEURISTIC, True)])
def test_other_matches_start_with_random_openings(opponent: Seat, even: bool) -> None:
    match = ticket(NETWORKS[0], opponent, starts=3)
    settings = EvaluationSettings(opening_plies=5, even_openings=even)
    found = list(openings_of(match, settings, Referee() if opponent.model else None))
    assert [opening.plies for opening in found] == [5, 5, 5]
    assert len({opening.seed for opening in found}) == 3
    assert isinstance(found[0], Opening)
