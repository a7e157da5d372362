"""A transferred network plays as its source if the new seats have nothing, else treats them as
opponents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.positions import arrays_of, random_positions

from ringrift.nets.architectures import Tower, build
from ringrift.nets.batch import Batch, Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.encoding import RELATIVE_SEATS, SEAT_GLOBALS, Global
from ringrift.nets.header import CheckpointError, digest_of
from ringrift.nets.transfer import SEAT_PLANES, TransferError, transfer
from ringrift.rules import Config, Position


def network_for(key: str, seed: int = 5) -> bytes:
    config = Config.parse(key)
    network = build("v2-micro", hex_board=config.shape.hex, seed=seed)
    with torch.no_grad():  # otherwise fresh blocks and biases change nothing
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(seed))
    return TowerCheckpoint.save(network, architecture="v2-micro", config=config)


def both(source: str, target: str) -> tuple[Tower, Tower]:
    data = network_for(source)
    new = transfer(TowerCheckpoint.parse(data), Config.parse(target))
    return TowerCheckpoint.parse(data).network().eval(), TowerCheckpoint.parse(new).network().eval()


def with_seats(batch: Batch, seats: int) -> Batch:
    """Return the batch with another number of seats in its globals."""
    batch.globals_[:, Global.SEATS : Global.SEATS + 3] = 0
    batch.globals_[:, Global.SEATS + seats - 2] = 1
    return batch


@pytest.mark.parametrize(
    ("source", "target"),
    [("square8_2p", "square8_4p"), ("hex8_2p", "hex8_3p"), ("hex8_3p", "hexagonal_4p")],
)
def test_policy_and_value_are_those_of_the_source_if_new_seats_have_nothing(source, target) -> None:
    old, new = both(source, target)
    positions = random_positions(source, count=20)
    seats = Config.parse(target).seats
    with torch.inference_mode():
        batch = Batcher(positions[0].geometry).encode(*arrays_of(positions))
        logits, values = old(*batch)
        again, unchanged = new(*batch)
        assert torch.equal(logits, again)
        assert torch.equal(values[:, 0], unchanged[:, 0])
        more, turned = new(*with_seats(batch, seats))
    torch.testing.assert_close(more, logits)
    torch.testing.assert_close(turned[:, 0], values[:, 0])
    opponents = torch.atanh(values[:, 1 : Config.parse(source).seats]).sum(1)
    torch.testing.assert_close(
        torch.atanh(turned[:, 1:seats]).sum(1), opponents, rtol=1e-3, atol=1e-4
    )


def test_all_opponents_are_treated_alike() -> None:
    """Exchanging the seats of the opponents changes neither logits nor values."""
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


def test_a_transferred_network_names_its_parent_and_the_method() -> None:
    data = network_for("square8_2p")
    new = transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))
    header = TowerCheckpoint.parse(new).header
    assert header.config_key == "square8_4p"
    assert header.parents == (digest_of(data),)
    assert header.notes == {"derived": "transfer-1", "from": "square8_2p"}
    assert new == transfer(TowerCheckpoint.parse(data), Config.parse("square8_4p"))


def test_transfers_between_shapes_or_to_fewer_seats_are_rejected() -> None:
    source = TowerCheckpoint.parse(network_for("square8_3p"))
    with pytest.raises(TransferError, match="square8_3p is played on squares, hex8_4p on hexagons"):
        transfer(source, Config.parse("hex8_4p"))
    with pytest.raises(TransferError, match="can only add seats; train square8_2p from nothing"):
        transfer(source, Config.parse("square8_2p"))


def test_a_transfer_does_not_change_the_source() -> None:
    source = TowerCheckpoint.parse(network_for("square8_2p"))
    before = {name: array.copy() for name, array in source.weights.items()}
    transfer(source, Config.parse("square8_4p"))
    assert all(np.array_equal(array, source.weights[name]) for name, array in before.items())
    with pytest.raises(CheckpointError):
        TowerCheckpoint.parse(b"no network")
