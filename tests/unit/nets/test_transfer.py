"""A transferred network plays as its source where the new seats have nothing, and treats them as
opponents where they have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ringrift.nets.architectures import Tower, build
from ringrift.nets.batch import Batch, Batcher
from ringrift.nets.checkpoint import CheckpointError, TowerCheckpoint, digest_of
from ringrift.nets.encoding import RELATIVE_SEATS, SEAT_GLOBALS, Global
from ringrift.nets.transfer import SEAT_PLANES, TransferError, transfer
from ringrift.rules import Config, Position


def network_for(key: str, seed: int = 5) -> bytes:
    config = Config.parse(key)
    network = build("v2-micro", hex_board=config.shape.hex, seed=seed)
    with torch.no_grad():  # blocks and biases that do something
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(seed))
    return TowerCheckpoint.save(network, architecture="v2-micro", config=config)


def both(source: str, target: str) -> tuple[Tower, Tower]:
    data = network_for(source)
    new = transfer(TowerCheckpoint.parse(data), Config.parse(target))
    return TowerCheckpoint.parse(data).network().eval(), TowerCheckpoint.parse(new).network().eval()


def said_to_have(batch: Batch, seats: int) -> Batch:
    """The batch with the global that tells the number of seats changed."""
    batch.globals_[:, Global.SEATS : Global.SEATS + 3] = 0
    batch.globals_[:, Global.SEATS + seats - 2] = 1
    return batch


@pytest.mark.parametrize(
    ("source", "target"),
    [("square8_2p", "square8_4p"), ("hex8_2p", "hex8_3p"), ("hex8_3p", "hexagonal_4p")],
)
def test_the_policy_is_that_of_the_source_where_the_new_seats_have_nothing(
    source, target, random_positions, arrays_of
) -> None:
    old, new = both(source, target)
    positions = random_positions(source, count=20)
    seats = Config.parse(target).seats
    with torch.inference_mode():
        batch = Batcher(positions[0].geometry).encode(*arrays_of(positions))
        logits, values = old(*batch)
        again, unchanged = new(*batch)
        assert torch.equal(logits, again)  # as it stands
        assert torch.equal(values[:, 0], unchanged[:, 0])
        more, turned = new(*said_to_have(batch, seats))  # and as a game of more seats
    torch.testing.assert_close(more, logits)
    torch.testing.assert_close(turned[:, 0], values[:, 0])
    opponents = torch.atanh(values[:, 1 : Config.parse(source).seats]).sum(1)
    torch.testing.assert_close(
        torch.atanh(turned[:, 1:seats]).sum(1), opponents, rtol=1e-3, atol=1e-4
    )


def test_opponents_are_alike() -> None:
    """What one opponent has and another has not may change hands: move and values of the mover
    stay."""
    _, new = both("square8_2p", "square8_4p")
    position = Position.start(Config.parse("square8_4p"))
    rng = np.random.default_rng(3)
    for _ in range(60):
        position.play_code(int(rng.choice(position.legal_codes())))
    codes = position.legal_codes()
    batch = Batcher(position.geometry).encode(
        position.state[None], codes, np.array([0, len(codes)])
    )
    with torch.inference_mode():
        logits, values = new(*batch)
        seats = [0, 2, 3, 1]
        planes, globals_ = batch.planes.clone(), batch.globals_.clone()
        for group in SEAT_PLANES:
            planes[:, group : group + RELATIVE_SEATS] = planes[:, [group + seat for seat in seats]]
        own = globals_[:, Global.SEAT :].view(1, RELATIVE_SEATS, SEAT_GLOBALS)
        globals_[:, Global.SEAT :] = own[:, seats].reshape(1, -1)
        assert not torch.equal(planes, batch.planes)
        turned, same = new(planes, globals_, *batch[2:])
    torch.testing.assert_close(turned, logits)
    torch.testing.assert_close(same, values)


def test_the_new_network_names_its_parent_and_how_it_was_made() -> None:
    data = network_for("square8_2p")
    new = transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))
    header = TowerCheckpoint.parse(new).header
    assert header.config_key == "square8_4p"
    assert header.parents == (digest_of(data),)
    assert header.notes == {"derived": "transfer-1", "from": "square8_2p"}
    assert new == transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))


def test_what_cannot_be_transferred_is_refused_in_a_line() -> None:
    source = TowerCheckpoint.parse(network_for("square8_3p"))
    with pytest.raises(TransferError, match="square8_3p is played on squares, hex8_4p on hexagons"):
        transfer(source, Config.parse("hex8_4p"))
    with pytest.raises(TransferError, match="can only add seats; train square8_2p from nothing"):
        transfer(source, Config.parse("square8_2p"))


def test_the_source_keeps_its_weights() -> None:
    source = TowerCheckpoint.parse(network_for("square8_2p"))
    before = {name: array.copy() for name, array in source.weights.items()}
    transfer(source, Config.parse("square8_4p"))
    assert all(np.array_equal(array, source.weights[name]) for name, array in before.items())
    with pytest.raises(CheckpointError):
        TowerCheckpoint.parse(b"no network")
