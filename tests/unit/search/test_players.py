"""Players over the real game: the search finds wins, is reproducible, and keeps its budget."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.positions import choose_one, same, seeds, states_in_play

from ringrift.rules import Config, Position
from ringrift.search import values as va
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.boards import Boards
from ringrift.search.depth_first import stack as df
from ringrift.search.depth_first.player import DepthFirstSearch
from ringrift.search.descent.player import DescentSearch
from ringrift.search.gumbel import player as gumbel_player
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.lockstep import LockstepPlayer

HEX8 = Config.parse("hex8_2p")


def gumbel(config: Config, simulations: int, **options: Any) -> LockstepPlayer:
    return LockstepPlayer(config, va.HEURISTIC, GumbelSearch(simulations=simulations, **options))


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p", "hex8_4p", "square19_2p"])
def test_a_decision_is_complete(key: str) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 6)
    for state, decision in zip(states, gumbel(config, 24).choose(states, seeds(6)), strict=True):
        legal = Position(config, state.copy()).legal_codes()
        assert np.array_equal(decision.moves, legal)
        assert decision.move in legal
        assert decision.policy.sum() == pytest.approx(1.0, abs=1e-4)
        assert (decision.policy >= 0).all()
        assert decision.values.shape == (config.seats,)
        assert np.abs(decision.values).max() <= 1.0
        assert decision.visits.sum() == 24
        assert decision.visits[np.searchsorted(legal, decision.move)] == decision.visits.max()


PLAYERS = (
    lambda evaluator, evaluate: LockstepPlayer(
        HEX8, evaluator, GumbelSearch(simulations=4), evaluate=evaluate
    ),
    lambda evaluator, evaluate: LockstepPlayer(
        HEX8, evaluator, DescentSearch(nodes=4), evaluate=evaluate
    ),
    lambda evaluator, evaluate: LockstepPlayer(
        HEX8, evaluator, DepthFirstSearch(kind=df.MINIMAX, nodes=4), evaluate=evaluate
    ),
)


@pytest.mark.parametrize("new_player", PLAYERS)
def test_a_player_needs_a_callable_exactly_for_a_network(new_player: Callable[..., object]) -> None:
    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        raise AssertionError

    new_player(va.NETWORK, evaluate)
    for evaluator, given in ((va.NETWORK, None), (va.HEURISTIC, evaluate)):
        with pytest.raises(ValueError, match="NETWORK needs an `evaluate` callable"):
            new_player(evaluator, given)


def test_a_decision_depends_on_seed_and_position_only() -> None:
    states = states_in_play(HEX8, 12)
    keys = np.arange(100, 112).astype(np.uint64)
    together = gumbel(HEX8, 16).choose(states, keys)
    threaded = gumbel(HEX8, 16, threads=2).choose(states[::-1], keys[::-1])[::-1]
    player = gumbel(HEX8, 16)
    alone = [player.choose(states[i : i + 1], keys[i : i + 1])[0] for i in range(12)]
    for one, two, three in zip(together, threaded, alone, strict=True):
        assert same(one, two)
        assert same(one, three)
    other = gumbel(HEX8, 16).choose(states, keys + np.uint64(1))
    assert any(one.move != two.move for one, two in zip(together, other, strict=True))


def test_a_growing_edge_pool_does_not_change_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    states = states_in_play(HEX8, 5)
    expected = gumbel(HEX8, 16).choose(states, seeds(5))
    monkeypatch.setattr(gumbel_player, "EDGES_PER_NODE", 1)
    assert all(
        same(a, b) for a, b in zip(gumbel(HEX8, 16).choose(states, seeds(5)), expected, strict=True)
    )


WIN_BY_ONE_MOVE = "square8/2 (11)2b4/8/8/8/8/8/8/7(22) 1m 0,0 17,15 acted,last=1 0//0/0 9"
"""Seat 1 lacks one removed ring: only a1-d1 lands on a marker."""


@pytest.mark.parametrize("simulations", [16, 64])
def test_the_search_finds_a_win(simulations: int) -> None:
    position = Position.parse(WIN_BY_ONE_MOVE)
    decision = choose_one(
        gumbel(position.config, simulations, considered=32, noise_plies=0), position
    )
    assert position.token(decision.move) == "a1-d1"
    assert decision.policy[np.searchsorted(decision.moves, decision.move)] == decision.policy.max()
    assert decision.values[0] > 0 > decision.values[1]


def test_forced_plies_need_no_simulation() -> None:
    position = Position.start(HEX8)
    asked: list[tuple[States, Codes]] = []

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        asked.append((states.copy(), np.diff(offsets)))
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    player = LockstepPlayer(HEX8, va.NETWORK, GumbelSearch(simulations=12), evaluate=evaluate)
    decision = choose_one(player, position)
    assert decision.visits.sum() == 12
    assert len(asked) == 13  # the root and one leaf a simulation
    assert all((counts > 1).all() for _, counts in asked)
    boards = Boards(HEX8, 1, 400)
    boards.start(0, False)
    boards.play([0], [decision.move])
    after_placing = len(boards.moves(0))
    second = player.choose(boards.table.states[:1], np.array([1], np.uint64))[0]
    boards.play([0], [second.move])
    assert [position.token(code) for code in boards.moves(0)][after_placing:][-2:] == ["-l", "-t"]


def test_a_network_evaluates_all_games_in_one_call() -> None:
    states = states_in_play(HEX8, 8)
    sizes = []

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        sizes.append(len(states))
        assert offsets[0] == 0
        assert offsets[-1] == len(codes)
        for state, first, last in zip(states, offsets[:-1], offsets[1:], strict=True):
            assert np.array_equal(
                np.sort(codes[first:last]), Position(HEX8, state.copy()).legal_codes()
            )
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    LockstepPlayer(
        HEX8, va.NETWORK, GumbelSearch(simulations=10, threads=2), evaluate=evaluate
    ).choose(states, seeds(8))
    assert sizes[0] == 8
    assert max(sizes) == 8
    assert len(sizes) <= 11


def test_logits_guide_the_search() -> None:
    position = Position.start(HEX8)
    wanted = int(position.legal_codes()[77])

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.where(codes == wanted, 20.0, 0.0).astype(np.float32), np.zeros(
            (len(states), 2), np.float32
        )

    for simulations in (0, 8):
        player = LockstepPlayer(
            HEX8,
            va.NETWORK,
            GumbelSearch(simulations=simulations, noise_plies=0),
            evaluate=evaluate,
        )
        assert choose_one(player, position).move == wanted


def test_values_are_by_seat_after_a_swap() -> None:
    """After the swap of the pie rule a seat still moves for itself."""
    position = Position.start(HEX8, pie=True)
    for token in ("@e5", "e5-e8", "-l", "-t", "swap"):
        position.play(token)
    assert position.seat == 2

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.zeros(len(codes), np.float32), np.tile(
            np.array([-0.25, 0.75], np.float32), (len(states), 1)
        )

    decision = choose_one(
        LockstepPlayer(HEX8, va.NETWORK, GumbelSearch(simulations=8), evaluate=evaluate), position
    )
    assert decision.values == pytest.approx([-0.25, 0.75])


def test_a_swap_is_valued_for_the_person_that_swaps() -> None:
    """Seat 2 swaps if seat 1 is better."""
    position = Position.start(HEX8, pie=True)
    for token in ("@e5", "e5-e8", "-l", "-t"):
        position.play(token)
    swap = position.code("swap")
    for first_seat in (0.8, -0.8):

        def evaluate(
            states: States, codes: Codes, offsets: Codes, value: float = first_seat
        ) -> tuple[Floats, Floats]:
            values = np.tile(np.array([value, -value], np.float32), (len(states), 1))
            return np.where(codes == swap, 3.0, 0.0).astype(np.float32), values

        search = GumbelSearch(simulations=32, noise_plies=0)
        decision = choose_one(LockstepPlayer(HEX8, va.NETWORK, search, evaluate=evaluate), position)
        assert (decision.move == swap) == (first_seat > 0)


def score(config: Config, one: LockstepPlayer, other: LockstepPlayer, games: int) -> float:
    """Return the share of games won by `one`, with each seat equally often."""
    boards = Boards(config, games, 4000)
    for slot in range(games):
        boards.start(slot, False)
    keys = seeds(games)
    live = list(range(games))
    while live:
        turn = boards.table.states[live, 0]
        for player, side in ((one, 0), (other, 1)):
            slots = [
                slot
                for slot, seat in zip(live, turn.tolist(), strict=True)
                if (slot + seat - 1) % 2 == side
            ]
            if slots:
                decisions = player.choose(boards.table.states[slots], keys[slots])
                boards.play(slots, [decision.move for decision in decisions])
        live = [slot for slot in live if not boards.over(slot)]
    return float(
        np.mean(
            [
                Position(config, boards.table.states[slot]).winner - 1 == slot % 2
                for slot in range(games)
            ]
        )
    )


def test_more_simulations_play_better() -> None:
    large, small = (gumbel(HEX8, simulations, noise_plies=20) for simulations in (64, 8))
    assert score(HEX8, large, small, 60) >= 0.65


@pytest.mark.parametrize("key", ["hex8_2p", "square8_2p"])
def test_the_heuristic_beats_random_play(key: str) -> None:
    config = Config.parse(key)
    greedy = LockstepPlayer(config, va.HEURISTIC, GumbelSearch(simulations=0, lookahead=1e4))
    random = LockstepPlayer(config, va.NULL, GumbelSearch(simulations=0))
    assert score(config, greedy, random, 100) >= 0.9


def test_playing_in_one_slot_leaves_the_others_unchanged() -> None:
    boards = Boards(HEX8, 3, 400)
    boards.start(0, False)
    boards.start(1, False)
    move = int(Position.start(HEX8).legal_codes()[0])
    boards.play([1], [move])
    assert [len(boards.moves(slot)) for slot in range(3)] == [0, 1, 0]
    assert boards.table.states[2].sum() == 0
