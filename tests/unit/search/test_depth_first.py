"""Alpha-beta, max-n and best-reply search agree with a plain search, on fewer positions."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import random_nnue
from support.plain_search import Plain
from support.positions import as_network, choose_one, same, seeds, states_in_play

from ringrift.nets.nnue import inference as nnue
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.geometry import geometry
from ringrift.rules.table import T_SCRATCH_AT
from ringrift.search import values as va
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.depth_first import player as depth_first_player, stack as df
from ringrift.search.depth_first.player import DepthFirstSearch
from ringrift.search.lockstep import LockstepPlayer
from ringrift.search.players import Decision
from ringrift.search.position_key import position_key

HEX8 = Config.parse("hex8_2p")
PLENTY = 1 << 22
KINDS = [
    ("hex8_2p", df.MINIMAX),
    ("square8_3p", df.MAXN),
    ("hex8_4p", df.MAXN),
    ("square8_3p", df.BRS),
    ("hex8_4p", df.BRS),
]


def player(config: Config, kind: int, nodes: int, **options: int) -> LockstepPlayer:
    return LockstepPlayer(config, va.HEURISTIC, DepthFirstSearch(kind=kind, nodes=nodes, **options))


def value_of(decision: Decision, position: Position) -> float:
    """For the mover, on the scale of estimates."""
    return float(decision.values[position.seat - 1]) * float(va.ESTIMATE_MAX)


@pytest.mark.parametrize(("key", "kind"), KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_completed_depth_has_the_value_of_the_plain_search(
    key: str, kind: int, depth: int
) -> None:
    config = Config.parse(key)
    tried = 0
    few = depth == 3  # two whole turns: only positions with few moves can be searched plainly
    budget = 2000 if kind == df.MAXN else 300
    for state in states_in_play(
        config, 80 if few else 12, seed=depth, plies=300 if few else 150, moves_max=6 if few else 40
    ):
        position = Position(config, state)
        decision = choose_one(player(config, kind, budget, depth_max=depth), position)
        if decision.nodes >= budget:
            continue  # the plain search would take too long
        tried += 1
        plain = Plain(config, kind, position.seat - 1)
        values = plain.root_values(state, decision.depth)
        assert values[decision.move] == max(values.values())
        assert np.clip(max(values.values()), -0.75, 0.75) == pytest.approx(
            value_of(decision, position), abs=1e-6
        )
        if tried == 3:
            return
    assert tried > 0


@pytest.mark.parametrize("key", ["square8_3p", "hex8_4p"])
def test_max_n_finds_the_values_of_every_seat(key: str) -> None:
    config = Config.parse(key)
    for state in states_in_play(config, 5, moves_max=20):
        decision = choose_one(player(config, df.MAXN, PLENTY, depth_max=2), Position(config, state))
        plain = Plain(config, df.MAXN, int(state[la.TURN]) - 1)
        below = plain.child_value(state, (int(state[la.TURN]), decision.move), 1, 0)
        assert np.clip(below, -0.75, 0.75) == pytest.approx(decision.values * 0.75, abs=1e-6)
        assert decision.line[0] == decision.move


def test_alpha_beta_prunes_more_than_half_of_the_tree() -> None:
    found = [
        (state, decision.nodes)
        for state in states_in_play(HEX8, 60, moves_max=6, plies=200)
        if (
            decision := choose_one(
                player(HEX8, df.MINIMAX, 500, depth_max=3), Position(HEX8, state)
            )
        ).nodes
        < 500
        and decision.depth == 3
    ]
    state, nodes = max(found, key=lambda one: one[1])
    plain = Plain(HEX8, df.MINIMAX, va.person_of(state, int(state[la.TURN])))
    plain.value(state, 2)
    assert nodes < plain.nodes / 2  # of all three depths, against the last one


WINS = [
    # one of 25 moves wins, by a second one after it
    (
        "AAA5/AA2b1(21)1/b3aA2/2Bba1b1/(211)2A1Aa1/(2212)1a3B1/ba2(22)(111)1B/2b(222)(11)1BB "
        "2m 0,0 7,10 last=2 2/2+/0/0 92",
        2,
        1,
    ),
    # 2 of 22 moves win, by a second one in the same turn
    (
        "a1Ba(21122)1AA/b(22)1(2)2AA/1(111212)B1BAAA/(22)a(1)1a1BA/1a1(11222)b(1)1A/1bAAA3/6b1/"
        "1a1aA1(22)a "
        "1m 0,0 8,3 last=1 2/2+1+/0/0 103",
        2,
        2,
    ),
]
"""Positions of square8/2, the depth of the win, and how many moves lead there."""


@pytest.mark.parametrize(("text", "depth", "winning"), WINS)
def test_a_deeper_search_finds_a_win_that_depth_one_misses(
    text: str, depth: int, winning: int
) -> None:
    position = Position.parse(f"square8/2 {text}")
    seat = position.seat - 1
    shallow = choose_one(player(position.config, df.MINIMAX, 1), position)
    assert shallow.depth == 1
    assert shallow.values[seat] < 1.0
    deep = choose_one(player(position.config, df.MINIMAX, 3000), position)
    assert deep.depth == depth
    assert deep.values[seat] == 1.0
    values = Plain(position.config, df.MINIMAX, seat).root_values(position.state, depth)
    wins = {code for code, value in values.items() if value > va.ESTIMATE_MAX}
    assert len(wins) == winning
    assert deep.move in wins
    assert shallow.move not in wins


@pytest.mark.parametrize(("key", "kind"), KINDS)
def test_the_budget_limits_the_positions_after_a_complete_depth_one(key: str, kind: int) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 6)
    for nodes in (1, 50, 400, 3000):
        for decision in player(config, kind, nodes).choose(states, seeds(6)):
            assert decision.nodes <= max(nodes, len(decision.moves))
            assert decision.depth >= 1
            assert (
                decision.nodes >= min(nodes, len(decision.moves))
                or abs(decision.values).max() == 1.0
            )
            assert decision.visits.sum() <= decision.nodes
            assert decision.move in decision.moves
            assert (
                decision.policy[np.searchsorted(decision.moves, decision.move)]
                == decision.policy.sum()
                == 1.0
            )
            assert np.abs(decision.values).max() <= 1.0


@pytest.mark.parametrize(("key", "kind"), KINDS)
def test_a_decision_does_not_depend_on_the_other_games(
    key: str, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 7)
    together = player(config, kind, 500).choose(states, seeds(7))
    threaded = player(config, kind, 500, threads=2).choose(states[::-1], seeds(7)[::-1])[::-1]
    one_player = player(config, kind, 500)
    monkeypatch.setattr(depth_first_player, "POOL_START", 1)
    grown = player(config, kind, 500).choose(states, seeds(7))
    for i, decision in enumerate(together):
        assert same(decision, one_player.choose(states[i : i + 1], seeds(7)[i : i + 1])[0])
        assert same(decision, threaded[i])
        assert same(decision, grown[i])


@pytest.mark.parametrize(("key", "kind"), KINDS)
def test_a_network_with_equal_values_is_searched_like_a_compiled_evaluator(
    key: str, kind: int
) -> None:
    config = Config.parse(key)
    states = states_in_play(config, 5)
    calls = []

    def seen(states: States, codes: Codes, offsets: Codes) -> None:
        calls.append(len(states))
        assert np.array_equal(offsets, np.arange(len(states) + 1))

    network = LockstepPlayer(
        config,
        va.NETWORK,
        DepthFirstSearch(kind=kind, nodes=300),
        evaluate=as_network(config, seen),
    )
    inside = player(config, kind, 300).choose(states, seeds(5))
    assert all(same(a, b) for a, b in zip(network.choose(states, seeds(5)), inside, strict=True))
    assert calls[0] == 5
    assert sum(calls) <= sum(decision.nodes for decision in inside)


@pytest.mark.parametrize(("key", "kind"), [("hex8_2p", df.MINIMAX), ("square8_3p", df.BRS)])
def test_accumulators_updated_along_a_line_give_the_search_of_recomputed_ones(
    key: str, kind: int
) -> None:
    config = Config.parse(key)
    g, net = geometry(config), random_nnue(key)
    states = states_in_play(config, 4, moves_max=12)
    accumulators = nnue.new_accumulators(g, net, 4)

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        values = np.zeros((len(states), config.seats), np.float32)
        nnue.evaluate_batch(g, net, accumulators, states, values)
        return np.zeros(len(codes), np.float32), values

    options = DepthFirstSearch(kind=kind, nodes=400)
    own = replace(options, network=net)
    inside = LockstepPlayer(config, va.NNUE, own).choose(states, seeds(4))
    outside = LockstepPlayer(config, va.NETWORK, options, evaluate=evaluate).choose(
        states, seeds(4)
    )
    assert all(same(a, b) for a, b in zip(inside, outside, strict=True))
    assert any(decision.depth > 1 for decision in inside)
    assert all(np.ptp(decision.values) > 0 for decision in inside)


def test_leaves_are_between_turns_from_depth_two_on() -> None:
    """Only the first depth sees positions where a ring has been placed and has yet to move."""
    phases: list[int] = []

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        phases.extend(int(state[la.PHASE]) for state in states)
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    (state,) = states_in_play(HEX8, 1, moves_max=20, plies=40, seed=3)
    options = DepthFirstSearch(kind=df.MINIMAX, nodes=PLENTY, depth_max=1)
    one = LockstepPlayer(HEX8, va.NETWORK, options, evaluate=evaluate).choose(
        state[None], seeds(1)
    )[0]
    first = len(phases)
    options = DepthFirstSearch(kind=df.MINIMAX, nodes=2000, depth_max=3)
    LockstepPlayer(HEX8, va.NETWORK, options, evaluate=evaluate).choose(state[None], seeds(1))
    assert first <= one.nodes
    assert len(phases) > 3 * first
    assert set(phases[2 * first :]) == {la.PLACEMENT}


def test_an_interrupted_depth_does_not_return_a_refuted_move() -> None:
    """The move is best at the last completed depth, or not worse than that one at the next."""
    for state in states_in_play(HEX8, 6, seed=11, moves_max=15, plies=120):
        position = Position(HEX8, state)
        plain = Plain(HEX8, df.MINIMAX, va.person_of(state, position.seat))
        for nodes in (1, 60, 150, 400):
            decision = choose_one(player(HEX8, df.MINIMAX, nodes), position)
            if decision.depth > 1:
                break
            values = plain.root_values(state, decision.depth)
            best = max(values.values())
            if values[decision.move] < best:
                deeper = plain.root_values(state, decision.depth + 1)
                first = [code for code, value in values.items() if value == best]
                assert deeper[decision.move] >= max(deeper[code] for code in first)


def test_a_swap_is_valued_for_the_person_that_swaps() -> None:
    position = Position.start(HEX8, pie=True)
    for token in ("@e5", "e5-e8", "-l", "-t"):
        position.play(token)
    plain = Plain(HEX8, df.MINIMAX, 1)
    values = plain.root_values(position.state, 1)
    decision = choose_one(player(HEX8, df.MINIMAX, 1), position)
    assert values[decision.move] == max(values.values())
    assert position.code("swap") in values
    position.play("swap")
    after = choose_one(player(HEX8, df.MINIMAX, 1), position)
    plain.root_player = va.person_of(position.state, position.seat)
    values = plain.root_values(position.state, 1)
    assert plain.root_player == 0
    assert (
        max(values.values())
        == values[after.move]
        == pytest.approx(value_of(after, position), abs=1e-6)
    )


def test_keys_are_equal_exactly_for_equal_positions() -> None:
    """Keys and texts without the ply correspond over all positions two decisions after a few."""
    for key in ("hex8_2p", "square8_3p"):
        config = Config.parse(key)
        g = geometry(config)
        texts: dict[int, str] = {}
        for state in states_in_play(config, 4, moves_max=25, plies=60):
            plain = Plain(config, df.MINIMAX, 0)
            for first in plain.choices(state):
                middle = plain.after(state, first)
                for second in plain.choices(middle):
                    position = Position(config, plain.after(middle, second))
                    text = position.text().rpartition(" ")[0]
                    assert texts.setdefault(int(position_key(g, position.state)), text) == text
        assert len(texts) > 300
        assert len(set(texts.values())) == len(texts)


@pytest.mark.parametrize("key", ["hex8_2p", "square8_4p"])
def test_keys_distinguish_rings_by_colour_only(key: str) -> None:
    """A position parsed from its text has the same key, although its rings are renumbered."""
    renumbered = 0
    for state in states_in_play(Config.parse(key), 12, plies=200):
        position = Position(Config.parse(key), state)
        again = Position.parse(position.text())
        used = again.geometry.table[T_SCRATCH_AT]
        assert position_key(again.geometry, again.state) == position_key(position.geometry, state)
        renumbered += not np.array_equal(again.state[:used], state[:used])
    assert renumbered
