"""A transferred network has the weights of its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.positions import arrays_of, random_positions

from ringrift.nets.architectures import build
from ringrift.nets.batch import Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import CheckpointError, digest_of
from ringrift.nets.transfer import transfer
from ringrift.rules import Config


def network_for(key: str, seed: int = 5) -> bytes:
    config = Config.parse(key)
    network = build("v2-micro", hex_board=config.shape.hex, seed=seed)
    with torch.no_grad():  # otherwise fresh blocks and biases change nothing
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(seed))
    data = TowerCheckpoint.save(network, architecture="v2-micro", config=config)
    network = TowerCheckpoint.parse(data).network()  # as a training leaves it: corners are masked
    return TowerCheckpoint.save(network, architecture="v2-micro", config=config)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("square8_2p", "square8_4p"),
        ("hex8_3p", "hexagonal_4p"),
        ("square8_4p", "square19_2p"),
        ("hex8_2p", "hexagonal_2p"),
    ],
)
def test_all_weights_are_those_of_the_source(source: str, target: str) -> None:
    old = TowerCheckpoint.parse(network_for(source))
    new = TowerCheckpoint.parse(transfer(old, Config.parse(target)))
    assert old.weights.keys() == new.weights.keys()
    assert all(np.array_equal(new.weights[name], array) for name, array in old.weights.items())


def test_a_transferred_network_evaluates_positions_of_its_config() -> None:
    source = TowerCheckpoint.parse(network_for("square8_2p"))
    network = TowerCheckpoint.parse(transfer(source, Config.parse("square8_4p"))).network().eval()
    positions = random_positions("square8_4p", count=4)
    with torch.inference_mode():
        logits, values = network(*Batcher(positions[0].geometry).encode(*arrays_of(positions)))
    assert torch.isfinite(logits).all()
    assert torch.isfinite(values).all()


def test_a_transferred_network_names_its_parent_and_the_method() -> None:
    data = network_for("square8_2p")
    new = transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))
    header = TowerCheckpoint.parse(new).header
    assert header.config_key == "square8_4p"
    assert header.parents == (digest_of(data),)
    assert header.notes == {"derived": "transfer-2", "from": "square8_2p"}
    assert new == transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))


def test_a_transfer_from_squares_to_hexagons_masks_the_corners() -> None:
    source = TowerCheckpoint.parse(network_for("square8_3p"))
    new = TowerCheckpoint.parse(transfer(source, Config.parse("hex8_4p")))
    assert source.weights["stem.weight"][:, :, 0, 0].any()
    assert not new.weights["stem.weight"][:, :, 0, 0].any()


def test_a_transfer_does_not_change_the_source() -> None:
    source = TowerCheckpoint.parse(network_for("square8_2p"))
    before = {name: array.copy() for name, array in source.weights.items()}
    transfer(source, Config.parse("square8_4p"))
    assert all(np.array_equal(array, source.weights[name]) for name, array in before.items())
    with pytest.raises(CheckpointError):
        TowerCheckpoint.parse(b"no network")
