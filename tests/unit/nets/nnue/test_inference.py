"""Integer inference: an updated accumulator equals a refreshed one, and values sum to 0."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.networks import random_nnue
from support.positions import random_game

from ringrift.nets.nnue import features as nf, inference as nnue
from ringrift.nets.nnue.features import describe
from ringrift.rules import Config, Position
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import CHAIN_CAPTURE

CONFIGS = ("square8_2p", "hex8_2p", "square8_3p", "hex8_4p")


def same(acc: nnue.Accumulators, one: int, other: int) -> bool:
    return bool(
        np.array_equal(acc.sums[one], acc.sums[other])
        and np.array_equal(acc.cells[one], acc.cells[other])
    )


def reference_sums(geo: Geometry, net: nnue.Network, position: Position, seat: int) -> np.ndarray:
    """Return the bias plus the rows of all active features."""
    cells, out = np.zeros(geo.n_cells, np.int32), np.zeros(nf.features_max(geo), np.int32)
    describe(geo, position.state, cells)
    places, axes = nf.plain_places(geo)
    used = nf.active_features(geo, cells, seat, places, axes, out)
    return net.first_bias + net.first[out[:used]].sum(0)


@pytest.mark.parametrize("key", CONFIGS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_updated_accumulator_equals_a_refreshed_one(key: str, seed: int) -> None:
    game = random_game(key, seed)
    geo, net = game[0].geometry, random_nnue(key)
    acc = nnue.new_accumulators(geo, net, 3)
    nnue.refresh(geo, net, game[0].state, acc, 0)
    at = 0
    for position in game[1:]:
        nnue.update(geo, net, acc, at, position.state, 1 - at)
        at = 1 - at
        nnue.refresh(geo, net, position.state, acc, 2)
        assert same(acc, at, 2)
    for seat in range(1, game[0].config.seats + 1):
        assert np.array_equal(acc.sums[2, seat - 1], reference_sums(geo, net, game[-1], seat))


def test_the_random_games_have_chain_captures_and_large_claims() -> None:
    """The games of the test above."""
    for key in CONFIGS:
        largest, captured = 0, False
        for seed in range(8):
            game = random_game(key, seed)
            for before, after in pairwise(game):
                largest = max(largest, sum(after.territory()) - sum(before.territory()))
                captured |= after.phase == CHAIN_CAPTURE
        assert captured
        assert largest >= 3


def test_an_accumulator_can_be_updated_to_any_position() -> None:
    game = random_game("hex8_2p", 3)
    geo, net = game[0].geometry, random_nnue("hex8_2p")
    acc = nnue.new_accumulators(geo, net, 3)
    nnue.refresh(geo, net, game[-10].state, acc, 0)
    nnue.update(geo, net, acc, 0, game[5].state, 1)
    nnue.refresh(geo, net, game[5].state, acc, 2)
    assert same(acc, 1, 2)


@pytest.mark.parametrize("key", CONFIGS)
def test_values_sum_to_zero_and_are_exact_at_the_end(key: str) -> None:
    game = random_game(key, 5)
    geo, net, n = game[0].geometry, random_nnue(key), game[0].config.seats
    states = np.array([position.state for position in game])
    values = np.zeros((len(game), n), np.float32)
    nnue.evaluate_batch(geo, net, nnue.new_accumulators(geo, net, len(game)), states, values)
    assert np.abs(values).max() <= 1.0
    assert values[:-1].sum(1) == pytest.approx(0.0, abs=1e-5)
    assert len(np.unique(values[:-1].round(6), axis=0)) > len(game) // 2
    ranks = np.array(game[-1].ranks())
    assert values[-1] == pytest.approx(1 - 2 * (ranks - 1) / (n - 1))


def test_the_placeholder_network_has_no_weights() -> None:
    geo = Position.start(Config.parse("hex8_2p")).geometry
    assert nnue.no_network().first.size == 0
    assert nnue.new_accumulators(geo, nnue.no_network(), 1).sums.shape == (1, 2, 0)
