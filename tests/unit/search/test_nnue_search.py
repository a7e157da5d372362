"""Gumbel search with an NNUE inside compiled code: the same decisions as with the same network
behind a callback."""

from __future__ import annotations

import numpy as np
import pytest
from support.networks import random_nnue_policy
from support.positions import random_game

from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.nnue.policy import Weights
from ringrift.rules import Config
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.harness import Model, Setup, make_player
from ringrift.search.lockstep import LockstepPlayer
from ringrift.search.players import Decision
from ringrift.search.status import NODES_AT_ONCE
from ringrift.search.values import NETWORK, NNUE

CONFIGS = ("square8_2p", "hex8_2p", "square8_3p", "hex8_4p", "hexagonal_2p", "square19_3p")


def states_of(key: str, seed: int, count: int) -> np.ndarray:
    """Return positions of a random game, spread over it."""
    game = [position for position in random_game(key, seed) if not position.over]
    return np.array([game[i].state for i in np.linspace(0, len(game) - 1, count).astype(int)])


def fields(decision: Decision) -> tuple[object, ...]:
    arrays = (decision.moves, decision.policy, decision.values, decision.visits)
    numbers = tuple(array.tolist() for array in arrays)
    return decision.move, decision.nodes, decision.depth, decision.line, *numbers


def players(key: str, simulations: int, noise_plies: int) -> tuple[LockstepPlayer, LockstepPlayer]:
    """Return the same player twice: inside compiled code, and with a callback."""
    config, weights = Config.parse(key), random_nnue_policy(key)
    options = {"simulations": simulations, "noise_plies": noise_plies}
    evaluate = NnueEvaluator(config, weights).evaluate
    inside = LockstepPlayer(config, NNUE, GumbelSearch(nnue=weights, **options))
    return inside, LockstepPlayer(config, NETWORK, GumbelSearch(**options), evaluate=evaluate)


@pytest.mark.parametrize("key", CONFIGS)
@pytest.mark.parametrize("noise_plies", [0, 1 << 20])
def test_decisions_equal_those_of_a_callback(key: str, noise_plies: int) -> None:
    inside, outside = players(key, 24, noise_plies)
    states, seeds = states_of(key, 2, 8), np.arange(8).astype(np.uint64)
    one, other = inside.choose(states, seeds), outside.choose(states, seeds)
    assert list(map(fields, one)) == list(map(fields, other))
    assert len({decision.move for decision in one}) > 3
    assert max(np.ptp(decision.policy) for decision in one) > 0.05


def test_searches_longer_than_one_call_follow_each_other_in_the_same_tree() -> None:
    inside, outside = players("hex8_2p", NODES_AT_ONCE + 200, 0)
    states, seeds = states_of("hex8_2p", 6, 3), np.arange(3).astype(np.uint64)
    one, other = inside.choose(states, seeds), outside.choose(states, seeds)
    assert list(map(fields, one)) == list(map(fields, other))
    assert max(decision.nodes for decision in one) > NODES_AT_ONCE


def test_a_decision_depends_on_its_position_and_seed_only() -> None:
    inside, _ = players("hex8_2p", 16, 9)
    states, seeds = states_of("hex8_2p", 3, 40), np.arange(40).astype(np.uint64)
    together = inside.choose(states, seeds)
    for i in (0, 17, 39):
        (alone,) = inside.choose(states[i : i + 1], seeds[i : i + 1])
        assert fields(alone) == fields(together[i])


def test_explanations_are_of_the_same_searches() -> None:
    inside, outside = players("square8_2p", 16, 0)
    states, seeds = states_of("square8_2p", 4, 3), np.zeros(3, np.uint64)
    pairs = zip(inside.explain(states, seeds), outside.explain(states, seeds), strict=True)
    for one, other in pairs:
        assert fields(one[0]) == fields(other[0])
        assert one[1].prior.tolist() == other[1].prior.tolist()
        assert np.array_equal(one[1].values, other[1].values, equal_nan=True)
        assert one[1].raw.tolist() == other[1].raw.tolist()
        assert one[1].lines == other[1].lines


def test_the_bare_policy_is_the_softmax_of_the_logits() -> None:
    config, weights = Config.parse("hex8_2p"), random_nnue_policy("hex8_2p")
    evaluator = NnueEvaluator(config, weights)
    model = Model(evaluator.evaluate, nnue=weights)
    player = make_player(config, "policy", Setup(evaluator="nnue", threads=1, model=model))
    states = states_of("hex8_2p", 5, 6)
    for state, found in zip(states, player.choose(states, np.zeros(6, np.uint64)), strict=True):
        offsets = np.array([0, len(found.moves)])
        logits, values = evaluator.evaluate(state[None], found.moves, offsets)
        shares = np.exp(logits - logits.max())
        assert found.policy == pytest.approx(shares / shares.sum(), abs=1e-6)
        assert found.values.tolist() == values[0].tolist()
        assert found.move == found.moves[logits.argmax()]


def test_the_evaluator_and_the_weights_go_together() -> None:
    config = Config.parse("hex8_2p")
    weights: Weights = random_nnue_policy("hex8_2p")
    for evaluator, nnue in ((NNUE, None), (NETWORK, weights)):
        evaluate = NnueEvaluator(config, weights).evaluate if evaluator == NETWORK else None
        player = LockstepPlayer(config, evaluator, GumbelSearch(nnue=nnue), evaluate=evaluate)
        with pytest.raises(ValueError, match="NNUE needs weights"):
            player.choose(states_of("hex8_2p", 1, 2), np.zeros(2, np.uint64))
