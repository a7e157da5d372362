"""The handcrafted evaluation and the value of a finished game."""

import numpy as np
import pytest
from support.positions import random_game

from ringrift.rules import Config, Position
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search.heuristic import (
    FEATURE_NAMES,
    FEATURES,
    SCRATCH,
    evaluate,
    features,
    heuristic_weights,
)

CONFIGS = ("hex8_2p", "square8_2p", "square8_3p", "hex8_4p")


def values_of(position: Position) -> np.ndarray:
    values = np.zeros(position.config.seats, np.float32)
    evaluate(
        position.geometry,
        position.state,
        heuristic_weights(position.config),
        np.zeros(SCRATCH, np.float32),
        values,
    )
    return values


def features_of(position: Position) -> list[dict[str, float]]:
    """Return the features of each seat by name."""
    scratch = np.zeros(SCRATCH, np.float32)
    features(position.geometry, position.state, scratch)
    rows = scratch[: position.config.seats * FEATURES].reshape(-1, FEATURES)
    return [dict(zip(FEATURE_NAMES, row.tolist(), strict=True)) for row in rows]


@pytest.mark.parametrize("key", CONFIGS)
def test_values_are_bounded_and_sum_to_zero(key: str) -> None:
    for position in random_game(key, 1):
        values = values_of(position)
        assert np.abs(values).max() <= 1.0
        if not position.over:
            assert values.sum() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("key", CONFIGS)
@pytest.mark.parametrize("seed", range(6))
def test_a_finished_game_has_the_values_of_its_ranks(key: str, seed: int) -> None:
    end = random_game(key, seed)[-1]
    n = end.config.seats
    values = np.zeros(n, np.float32)
    final_values(end.state, n, values)
    assert values == pytest.approx([1 - 2 * (rank - 1) / (n - 1) for rank in end.ranks()])
    assert values[end.winner - 1] == 1.0
    assert values_of(end) == pytest.approx(values)


def test_features_of_a_small_position() -> None:
    # a1 [1,1] may leap over c1 [2]; its other rays are free; d1 marker of 2, b2 marker of 1 on the
    # diagonal
    position = Position.parse(
        "square8/2 (11)1(2)b4/1a6/8/8/8/8/8/7(22) 1m 6,8 9,7 acted,last=1 0//0/0 9"
    )
    first, second = features_of(position)
    assert first["caps"] == pytest.approx(2 / 18)
    assert second["caps"] == pytest.approx(3 / 18)
    assert first["captures"] == pytest.approx(1 / 8)
    assert second["captures"] == 0
    assert second["captured_height"] == pytest.approx(1 / 18)
    assert first["territory_crossings"] == pytest.approx(1 / 8)
    assert first["removed"] == pytest.approx(9 / 18)
    assert first["hand"] == pytest.approx(6 / 18)
    assert first["at_movement"] == 1
    assert second["at_movement"] == 0
    # south and south-east are free; east is blocked at distance 2 = H, the cell of the target
    assert first["mobile"] == pytest.approx(2 / 16)


def test_a_better_position_has_a_higher_value() -> None:
    text = "square8/2 (11)1(2)b4/1a6/8/8/8/8/8/7(22) 1p {hands} {removed} - 0//0/0 9"
    even = values_of(Position.parse(text.format(hands="6,8", removed="9,8")))
    ahead = values_of(Position.parse(text.format(hands="6,8", removed="15,2")))
    assert ahead[0] > even[0]


def test_every_feature_has_a_weight_and_is_finite() -> None:
    for config in map(Config.parse, CONFIGS):
        assert heuristic_weights(config).shape == (FEATURES,)
        assert np.isfinite(heuristic_weights(config)).all()


def test_evaluating_does_not_change_the_state() -> None:
    position = random_game("hex8_3p", 3)[60]
    before = position.text()
    values_of(position)
    assert position.text() == before
    assert (
        legal_moves(
            position.geometry, position.state, np.zeros(position.geometry.moves_max, np.int64)
        )
        > 0
    )
