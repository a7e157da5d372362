"""Architectures by name, as numbers; a new one is a row of `ARCHITECTURES`. Does not import
torch."""

import warnings
from dataclasses import asdict, dataclass
from typing import Final

from ringrift.errors import Permanent
from ringrift.rules.config import Config


class UnknownArchitecture(ValueError, Permanent):
    """There is no architecture of this name; the message lists those that exist."""


@dataclass(frozen=True, slots=True)
class TowerShape:
    """A residual tower: `blocks` of `channels`, a global bias after every `global_every` of them,
    widths of the two heads.

    squeeze     channels divided by this are the width of a gate in every block (squeeze and
                excitation); 0: no gate
    features    version of the threat planes (`ringrift.nets.features`) that it takes; 0: none
    rank, territory, moves_left
                1 if it has this auxiliary head, which is used in training only
    boards      1 if it is trained on several configs: their numbers are an input
    """

    blocks: int
    channels: int
    global_every: int
    policy_hidden: int
    value_hidden: int
    squeeze: int = 0
    features: int = 0
    rank: int = 0
    territory: int = 0
    moves_left: int = 0
    boards: int = 0


AUXILIARY: Final = ("rank", "territory", "moves_left")
"""Heads that a training may add to any architecture."""
_OPTIONAL: Final = ("squeeze", "features", *AUXILIARY, "boards")

ARCHITECTURES: Final = {
    # Blocks, channels, global_every, policy_hidden, value_hidden.
    # For a laptop: about 14 million multiply-adds per position on hex8, twelve thousand positions
    # per second on two cores.
    "v2-micro": TowerShape(4, 32, 2, 32, 64),
    # Parameter counts of requirements G04.01-.05: 2-4, 3-5, 8-12, 25-35 (256 channels) and 40-50
    # million (320 channels)
    "v2": TowerShape(10, 128, 5, 64, 128),
    "v4": TowerShape(12, 128, 4, 64, 128, squeeze=4),
    "v5-heavy": TowerShape(14, 192, 7, 96, 192, squeeze=8, features=1),
    "v5-heavy-large": TowerShape(24, 256, 6, 128, 256, squeeze=8, features=1),
    "v5-heavy-xl": TowerShape(24, 320, 6, 128, 320, squeeze=8, features=1),
}
PARAMETERS: Final = {
    "v2-micro": 127_396,
    "v2": 3_219_012,
    "v4": 3_991_620,
    "v5-heavy": 10_031_284,
    "v5-heavy-large": 30_066_564,
    "v5-heavy-xl": 46_802_756,
}
"""Number of weights of each tower, the same on every board."""


@dataclass(frozen=True, slots=True)
class NnueShape:
    """`hidden` units of the first layer per seat, `second` units of the second layer, `policy`
    components of a move's score (0: no policy)."""

    hidden: int
    second: int
    policy: int
    seats_min: int
    seats_max: int


NNUES: Final = {
    # Hidden, second, policy, seats_min, seats_max
    "nnue": NnueShape(256, 32, 0, 2, 2),
    "nnue_mp": NnueShape(256, 32, 0, 3, 4),
    "nnue_policy": NnueShape(256, 32, 32, 2, 4),
}
DEPRECATED: Final = {"v6": "v5-heavy-large", "v6-xl": "v5-heavy-xl"}
"""Old names (requirement G04.07): read, never written."""


def canonical(name: str) -> str:
    """Return the current name of an architecture; warns if `name` is deprecated.

    Raises UnknownArchitecture."""
    if name in DEPRECATED:
        current = DEPRECATED[name]
        message = f"architecture {name} is now called {current}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return current
    if name not in ARCHITECTURES and name not in NNUES:
        raise UnknownArchitecture(
            f"unknown architecture {name!r}; known are {', '.join((*ARCHITECTURES, *NNUES))}"
        )
    return name


def shape_of(name: str) -> TowerShape:
    """Return the shape of the tower `name`. Raises UnknownArchitecture."""
    found = ARCHITECTURES.get(canonical(name))
    if found is None:
        raise UnknownArchitecture(f"{name} is an NNUE; towers are {', '.join(ARCHITECTURES)}")
    return found


def nnue_shape_of(name: str, config: Config) -> NnueShape:
    """Return the shape of the NNUE `name`. Raises UnknownArchitecture, also if it does not support
    the number of seats of `config`."""
    if name not in NNUES:
        raise UnknownArchitecture(f"unknown NNUE {name!r}; known are {', '.join(NNUES)}")
    seats = config.seats
    fitting = [other for other, row in NNUES.items() if row.seats_min <= seats <= row.seats_max]
    if name not in fitting:
        others = f"for {seats} seats use {', '.join(fitting)}"
        raise UnknownArchitecture(f"{name} does not support {config.key}; {others}")
    return NNUES[name]


def describe(shape: TowerShape | NnueShape) -> dict[str, int]:
    """Return the numbers of a shape for a checkpoint's header, without unused options."""
    numbers = asdict(shape)
    return {name: n for name, n in numbers.items() if n or name not in _OPTIONAL}
