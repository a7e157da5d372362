"""Best-first search solves endings exactly, evaluates siblings together, and keeps its budget."""

import numpy as np
import pytest
from support.plain_search import Plain
from support.positions import as_network, choose_one, endings, same, seeds, states_in_play

from ringrift.rules import Config, Position
from ringrift.search import values as va
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.depth_first import stack as df
from ringrift.search.descent import player as descent_player
from ringrift.search.descent.player import DescentSearch
from ringrift.search.lockstep import LockstepPlayer

CONFIGS = ["hex8_2p", "square8_3p", "hex8_4p"]
TREE_MAX = 1500


def player(config: Config, nodes: int, **options: int) -> LockstepPlayer:
    return LockstepPlayer(config, va.HEURISTIC, DescentSearch(nodes=nodes, **options))


class SmallTree(Plain):
    """A plain search to the end of the game that raises OverflowError for large trees."""

    def value(self, s: np.ndarray, left: int, level: int = 0) -> list[float]:
        if self.nodes > TREE_MAX:
            raise OverflowError
        return super().value(s, left, level)


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p"])
def test_small_endings_are_solved_exactly(key: str) -> None:
    config = Config.parse(key)
    solved, losses = 0, 0
    for state in endings(config, 14, before=2):
        position = Position(config, state)
        plain = SmallTree(config, df.MAXN, va.person_of(state, position.seat))
        try:
            values = plain.root_values(state, df.LEVELS)
        except OverflowError:
            continue
        decision = choose_one(player(config, 8 * TREE_MAX), position)
        best = max(values.values())
        exact = round(best * 12) / 12  # ranks are thirds or halves; the rest says how late
        assert decision.values[position.seat - 1] == pytest.approx(np.clip(exact / 0.75, -1, 1))
        assert round(values[decision.move] * 12) == round(best * 12)
        solved += 1
        losses += exact < 1
    assert solved >= 3
    assert losses >= 1


WIN = (
    "square8/2 AAA5/AA2b1(21)1/b3aA2/2Bba1b1/(211)2A1Aa1/(2212)1a3B1/ba2(22)(111)1B/2b(222)(11)1BB "
    "2m 0,0 7,10 last=2 2/2+/0/0 92"
)


def test_a_win_in_two_decisions_is_found() -> None:
    """One of 25 moves wins, as a test of depth-first search proves; depth one prefers another."""
    position = Position.parse(WIN)
    first = choose_one(player(position.config, 1), position)
    deep = choose_one(player(position.config, 1500), position)
    assert position.token(deep.move) == "d8-a8"
    assert deep.values[position.seat - 1] == 1.0
    assert deep.nodes < 1000  # solved: it stops
    assert first.move != deep.move


@pytest.mark.parametrize("key", CONFIGS)
def test_the_budget_limits_the_positions(key: str) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 5)
    for nodes in (1, 100, 1000):
        for decision in player(config, nodes).choose(states, seeds(5)):
            assert decision.nodes <= max(nodes, len(decision.moves))
            assert decision.nodes >= len(decision.moves)
            assert decision.move in decision.moves
            assert decision.line[0] == decision.move
            assert len(decision.line) <= decision.depth
            assert decision.policy.sum() == pytest.approx(1.0)
            assert decision.policy[np.searchsorted(decision.moves, decision.move)] > 0
            assert np.abs(decision.values).max() <= 1.0


@pytest.mark.parametrize("key", CONFIGS)
def test_a_decision_does_not_depend_on_the_other_games(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 7)
    together = player(config, 500).choose(states, seeds(7))
    threaded = player(config, 500, threads=2).choose(states[::-1], seeds(7)[::-1])[::-1]
    alone = player(config, 500)
    monkeypatch.setattr(descent_player, "CHILDREN_TYPICAL", 1 << 20)
    grown = player(config, 500).choose(states, seeds(7))
    for i, decision in enumerate(together):
        assert same(decision, alone.choose(states[i : i + 1], seeds(7)[i : i + 1])[0])
        assert same(decision, threaded[i])
        assert same(decision, grown[i])


@pytest.mark.parametrize("questions", [1, 64])
@pytest.mark.parametrize("key", CONFIGS)
def test_a_network_evaluates_the_children_of_all_games_at_once(
    key: str, questions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent_player, "QUESTIONS_START", questions)
    config = Config.parse(key)
    states = states_in_play(config, 5)
    sizes: list[int] = []

    def seen(states: States, codes: Codes, offsets: Codes) -> None:
        sizes.append(len(states))
        for state, code in zip(states, codes, strict=True):
            assert code in Position(config, state.copy()).legal_codes()

    network = LockstepPlayer(
        config, va.NETWORK, DescentSearch(nodes=300), evaluate=as_network(config, seen)
    )
    inside = player(config, 300).choose(states, seeds(5))
    assert all(same(a, b) for a, b in zip(network.choose(states, seeds(5)), inside, strict=True))
    assert sum(sizes) <= sum(decision.nodes for decision in inside)
    assert max(sizes) > max(len(decision.moves) for decision in inside)


def test_a_swap_is_valued_for_the_person_that_swaps() -> None:
    """Seat 2 swaps if seat 1 is better; values remain those of the seats."""
    config = Config.parse("hex8_2p")
    position = Position.start(config, pie=True)
    for token in ("@e5", "e5-e8", "-l", "-t"):
        position.play(token)
    swap = position.code("swap")
    for first_seat in (0.6, -0.6):

        def answer(
            states: States, codes: Codes, offsets: Codes, value: float = first_seat
        ) -> tuple[Floats, Floats]:
            return np.zeros(len(codes), np.float32), np.tile(
                np.array([value, -value], np.float32), (len(states), 1)
            )

        network = LockstepPlayer(config, va.NETWORK, DescentSearch(nodes=300), evaluate=answer)
        decision = choose_one(network, position)
        assert (decision.move == swap) == (first_seat > 0)
        assert decision.values == pytest.approx(np.array([-0.6, 0.6]))
