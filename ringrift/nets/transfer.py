"""Transfer: a network for one config as the start for another, of other seats or of another board
(requirement G04.16).

The shape of a network depends neither on the size of a board nor on the number of seats, so all
weights are copied as they are. Weights of seats that the source never saw are those that it was
initialised with. An earlier rule derived them from the weights of the opponents; on games with four
seats that was farther from the search than the copied weights: 1.07 nats instead of 1.01 from
square8_2p, 1.79 instead of 1.45 from hex8_2p."""

from typing import Final

from ringrift.errors import RingRiftError
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules.config import Config

METHOD: Final = "transfer-2"


class TransferError(RingRiftError):
    """The network cannot be transferred to the config; the message says why."""


def transfer(source: TowerCheckpoint, target: Config) -> bytes:
    """Return a checkpoint for `target` with the weights of `source`, its parent.

    Raises TransferError."""
    origin = source.header.config
    if origin.shape.hex != target.shape.hex:
        kinds = ("squares", "hexagons")
        raise TransferError(
            f"{origin.key} is played on {kinds[origin.shape.hex]}, "
            f"{target.key} on {kinds[target.shape.hex]}: no weights fit"
        )
    return TowerCheckpoint.save(
        source.network(),
        architecture=source.header.architecture,
        config=target,
        parents=(source.digest,),
        notes={"derived": METHOD, "from": origin.key},
    )
