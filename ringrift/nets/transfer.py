"""Transfer: a network for one config as the start for another, from two seats to three or four and
from board to board (requirement G04.16).

The shape of a network depends neither on the size of a board nor on the number of seats, so all
weights are copied. Those that the source could not learn, because their seats were absent, are
derived from the weights of its opponents:

- input planes and globals of a new seat get the mean of the weights of the opponents;
- the global for "m seats" gets the weights of that for "n seats", which was set in all samples;
- the value of each opponent becomes `(n - 1) / (m - 1)` of the mean of the source's opponents (in
  the last layer, before the tanh): the values of a game sum to 0, and the opponents together lose
  what the mover wins.

So in a position in which the new seats have nothing and the number of seats is encoded as n, the
policy is that of the source; the pieces of new seats count like those of the source's opponents.
Auxiliary heads, which are used in training only, keep their weights for the source's seats and
learn the rest."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift.errors import RingRiftError
from ringrift.nets.checkpoint import TowerCheckpoint, load_weights
from ringrift.nets.encoding import GLOBALS, RELATIVE_SEATS, SEAT_GLOBALS, Global, Plane
from ringrift.nets.tensors import Arrays
from ringrift.rules.config import Config

METHOD: Final = "transfer-1"
SEAT_PLANES: Final = (
    Plane.CONTROLLER,
    Plane.RINGS,
    Plane.SECOND,
    Plane.BELOW_CAP,
    Plane.MARKER,
    Plane.COLLAPSED,
)
VALUE_WEIGHTS: Final = ("value.2.weight", "value.2.bias")


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
    if target.seats < origin.seats:
        raise TransferError(
            f"from {origin.seats} to {target.seats} seats: a transfer can only add seats; "
            f"train {target.key} from nothing"
        )
    network = source.network()
    load_weights(network, transferred(source.weights, origin.seats, target.seats))
    return TowerCheckpoint.save(
        network,
        architecture=source.header.architecture,
        config=target,
        parents=(source.digest,),
        notes={"derived": METHOD, "from": origin.key},
    )


def transferred(weights: Arrays, n: int, m: int) -> Arrays:
    """Return the weights of a network for `n` seats as weights for `m` seats, by the rules
    above."""
    if n == m:
        return weights
    new = {name: array.copy() for name, array in weights.items()}
    for name, first in _global_columns(new):
        new[name][:, first + Global.SEATS + m - 2] = weights[name][:, first + Global.SEATS + n - 2]
        start = first + Global.SEAT
        for index in range(start, start + SEAT_GLOBALS):
            _spread(new[name], range(index, first + GLOBALS, SEAT_GLOBALS), n, m)
    for group in SEAT_PLANES:
        _spread(new["stem.weight"], range(group, group + RELATIVE_SEATS), n, m)
    for name in VALUE_WEIGHTS:
        new[name][1:m] = weights[name][1:n].mean(0) * np.float32((n - 1) / (m - 1))
    return new


def _spread(array: NDArray[Any], columns: range, n: int, m: int) -> None:
    """Set the inputs `columns[n:m]`, one per relative seat, to the mean of those of the opponents,
    `columns[1:n]`."""
    mean = array[:, list(columns[1:n])].mean(1)
    for column in columns[n:m]:
        array[:, column] = mean


def _global_columns(weights: Arrays) -> Iterator[tuple[str, int]]:
    """Yield the layers that take the globals as input, with the index of the first global."""
    channels = weights["stem.weight"].shape[0]
    yield "stem_globals.weight", 0
    for layer in ("policy.context", "value.0", "rank.0", "moves_left.0"):
        if f"{layer}.weight" in weights:
            yield f"{layer}.weight", 2 * channels
