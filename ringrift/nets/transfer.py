"""Transfer: a network for one config as the start for another, of other seats or of another board
(requirement G04.16).

The new network has the weights with which the old one plays the other config as it is
(`ringrift.nets.boards`). Weights of seats that the source never saw are those that it was
initialised with. An earlier rule derived them from the weights of the opponents; on games with four
seats that was farther from the search than the copied weights: 1.07 nats instead of 1.01 from
square8_2p, 1.79 instead of 1.45 from hex8_2p."""

from typing import Any, Final

from ringrift.nets.checkpoint import Checkpoint
from ringrift.rules.config import Config

METHOD: Final = "transfer-2"


def transfer(source: Checkpoint[Any], target: Config) -> bytes:
    """Return a checkpoint for `target` that plays as `source` does there; it is the parent. Raises
    UnknownArchitecture if it does not support the seats."""
    return source.save(
        source.network(target),
        architecture=source.header.architecture,
        config=target,
        parents=(source.digest,),
        notes={"derived": METHOD, "from": source.header.config_key},
    )
