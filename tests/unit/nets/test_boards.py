"""A network plays boards and seats that it was not trained for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.positions import arrays_of, random_positions

from ringrift.learning.models import model_of
from ringrift.nets.architectures import build
from ringrift.nets.boards import nearest_cells
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import CheckpointError, digest_of
from ringrift.nets.nnue import network as nnue
from ringrift.nets.nnue.features import LEVELS
from ringrift.rules import Config
from ringrift.rules.config import BOARDS

ALL = tuple(f"{board}_{seats}p" for board in BOARDS for seats in (2, 3, 4))


def tower(key: str, *, hex_board: bool) -> bytes:
    network = build("v2-micro", hex_board=hex_board, seed=5)
    with torch.no_grad():  # fresh blocks and biases change nothing
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(5))
    return TowerCheckpoint.save(network, architecture="v2-micro", config=Config.parse(key))


def nnue_of(key: str, architecture: str = "nnue_policy") -> bytes:
    network = nnue.build(architecture, Config.parse(key), seed=3)
    return nnue.NnueCheckpoint.save(network, architecture=architecture, config=Config.parse(key))


@pytest.mark.parametrize("key", ALL)
@pytest.mark.parametrize("data", [tower("square8_2p", hex_board=False), nnue_of("hex8_2p")])
def test_one_network_plays_every_config(key: str, data: bytes) -> None:
    model = model_of(data, digest=digest_of(data), config=key)
    arrays = arrays_of(random_positions(key, count=2))
    logits, values = model.evaluate(*arrays)
    assert logits.shape == arrays[1].shape
    assert values.shape == (2, Config.parse(key).seats)
    assert np.isfinite(logits).all()
    assert np.abs(values).max() <= 1.0


def test_corners_are_masked_where_a_tower_plays_hexagons() -> None:
    live = TowerCheckpoint.parse(tower("square8_2p", hex_board=False))
    masked = dict(live.weights)
    for name, array in masked.items():
        if array.ndim == 4 and array.shape[2] == 3:
            masked[name] = array.copy()
            masked[name][:, :, 0, 0] = masked[name][:, :, 2, 2] = 0.0
    plays = live.network(Config.parse("hexagonal_2p")).state_dict()
    assert all(np.array_equal(plays[name].numpy(), masked[name]) for name in masked)
    # the same for a file of a network for hexagons that has live corners
    loaded = TowerCheckpoint.parse(tower("hex8_2p", hex_board=False)).network()
    assert not loaded.stem.weight[:, :, 2, 2].any()
    # and on squares they stay
    square = live.network(Config.parse("square19_3p"))
    assert square.stem.weight[:, :, 2, 2].any()


def test_an_nnue_with_other_seats_has_the_same_weights() -> None:
    checkpoint = nnue.NnueCheckpoint.parse(nnue_of("hex8_2p"))
    other = checkpoint.weights_on(Config.parse("hex8_4p"))
    assert all(np.array_equal(other[name], array) for name, array in checkpoint.weights.items())


@pytest.mark.parametrize(("source", "target"), [("hex8_2p", "hexagonal_2p")])
def test_cells_of_another_board_are_those_at_the_same_place(source: str, target: str) -> None:
    small, large = Config.parse(source), Config.parse(target)
    nearest = nearest_cells(small, large)
    at = {cell: index for index, cell in enumerate(small.shape.cells)}
    cells = large.shape.cells
    assert nearest[cells.index((12, 12))] == at[4, 4]  # the middle
    assert nearest[cells.index((24, 0))] == at[8, 0]  # a corner
    assert np.array_equal(nearest_cells(small, small), np.arange(len(small.shape.cells)))
    assert set(nearest) == set(range(len(small.shape.cells)))
    checkpoint = nnue.NnueCheckpoint.parse(nnue_of(source))
    moved = checkpoint.weights_on(large)
    middle = slice(cells.index((12, 12)) * LEVELS, (cells.index((12, 12)) + 1) * LEVELS)
    own = slice(at[4, 4] * LEVELS, (at[4, 4] + 1) * LEVELS)
    assert np.array_equal(moved["first.weight"][middle], checkpoint.weights["first.weight"][own])


def test_an_nnue_does_not_play_seats_that_it_does_not_support() -> None:
    data = nnue_of("hex8_2p", "nnue")
    with pytest.raises(CheckpointError, match="nnue does not support hex8_3p"):
        model_of(data, digest=digest_of(data), config="hex8_3p")
