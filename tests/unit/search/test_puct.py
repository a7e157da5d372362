"""The search of AlphaZero on random tables and in the game."""

import numpy as np
import pytest

from ringrift.rules import Config, Position
from ringrift.search.gumbel.puct import NOISE_SHARE, PUCT, add_noise
from ringrift.search.gumbel.selection import Settings
from ringrift.search.harness import Setup, make_player
from ringrift.tools.search_check.tables import Table, search_table

HEX8 = Config.parse("hex8_2p")


def one_step(logits: list[float], values: list[float]) -> Table:
    """A game of one move: `values` are those of the ends for the seat to move."""
    moves = len(logits)
    states = 1 + moves
    ends = np.array([0.0, *values], np.float32)
    return Table(
        child=np.tile(np.arange(1, states), (states, 1)),
        logits=np.tile(np.array(logits, np.float32), (states, 1)),
        values=np.zeros((states, 2), np.float32),
        mover=np.zeros(states, np.int64),
        terminal=np.arange(states) > 0,
        result=np.stack([ends, -ends], axis=1),
        reward=np.zeros((states, moves, 2), np.float32),
        keep=np.ones((states, moves), np.float32),
    )


def by_hand(priors: np.ndarray, values: np.ndarray, simulations: int) -> list[int]:
    """Visits of PUCT as its authors write it, with the constants of KataGo."""
    visits, mean, total = np.zeros(len(priors)), 0.0, 1.0
    for _ in range(simulations):
        first = mean - 0.2 * np.sqrt(priors[visits > 0].sum())
        q = np.where(visits > 0, values, first)
        best = int((q + 1.1 * priors * np.sqrt(total) / (1 + visits)).argmax())
        visits[best] += 1
        total += 1
        mean += (values[best] - mean) / total
    return [int(count) for count in visits]


@pytest.mark.parametrize("seed", range(5))
def test_visits_are_those_of_the_formula(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits, values = random.normal(size=6), random.uniform(-1, 1, 6)
    outcome = search_table(
        one_step(logits.tolist(), values.tolist()),
        root=0,
        noise=np.zeros(6, np.float32),
        simulations=200,
        considered_max=6,
        settings=Settings(kind=PUCT),
    )
    priors = np.exp(logits) / np.exp(logits).sum()
    assert outcome.visits.tolist() == by_hand(priors, values.astype(np.float32), 200)
    assert outcome.policy == pytest.approx(outcome.visits / 200, abs=1e-6)
    assert outcome.action == outcome.visits.argmax()


def test_noise_at_the_root_is_a_quarter_of_the_policy() -> None:
    logits = np.array([3.0] + [0.0] * 39, np.float32)
    before = np.exp(logits) / np.exp(logits).sum()
    found = []
    for seed in range(2000):
        noisy = logits.copy()
        add_noise(noisy, np.zeros(40, np.float32), seed)
        found.append(np.exp(noisy))
    shares = np.array(found)
    assert shares.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    expected = (1 - NOISE_SHARE) * before + NOISE_SHARE / 40
    assert shares.mean(axis=0) == pytest.approx(expected, abs=0.004)
    # alpha = 10.83 / 40 of each: the variance of a Dirichlet distribution
    alpha = 10.83 / 40
    variance = alpha * 39 * alpha / ((40 * alpha) ** 2 * (40 * alpha + 1))
    noise = (shares - (1 - NOISE_SHARE) * before) / NOISE_SHARE
    assert noise.var(axis=0).mean() == pytest.approx(variance, rel=0.1)


def test_the_first_plies_are_sampled_by_visits_and_the_others_are_the_most_visited() -> None:
    position = Position.start(HEX8)
    states, seeds = np.array([position.state] * 30), np.arange(30).astype(np.uint64)
    sampled = make_player(HEX8, "puct", Setup(evaluator="heuristic", simulations=40, noise_plies=8))
    decisions = sampled.choose(states, seeds)
    assert len({one.move for one in decisions}) > 10
    for one in decisions:
        assert one.visits[list(one.moves).index(one.move)] > 0
    best = make_player(HEX8, "puct", Setup(evaluator="heuristic", simulations=40))
    chosen = best.choose(states, seeds)
    assert len({one.move for one in chosen}) == 1
    assert chosen[0].visits[list(chosen[0].moves).index(chosen[0].move)] == chosen[0].visits.max()
    assert chosen[0].visits.tolist() != decisions[0].visits.tolist()  # those have noise
    again = sampled.choose(states, seeds)
    assert [one.move for one in again] == [one.move for one in decisions]
