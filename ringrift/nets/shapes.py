"""Architectures by name, as numbers; a new one is a row of `ARCHITECTURES`. Does not import
torch."""

import warnings
from dataclasses import asdict, dataclass
from typing import Final

from ringrift.rules.config import Config


class UnknownArchitecture(ValueError):
    """There is no architecture of this name; the message lists those that exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """A residual tower: `blocks` of `channels`, a global bias after every `global_every` of them,
    widths of the two heads.

    squeeze     channels divided by this are the width of a gate in every block (squeeze and
                excitation); 0: no gate
    features    version of the threat planes (`ringrift.nets.features`) that it takes; 0: none
    rank, territory, moves_left
                1 if it has this auxiliary head, which is used in training only
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


AUXILIARY: Final = ("rank", "territory", "moves_left")
"""Heads that a training may add to any architecture."""
_OPTIONAL: Final = ("squeeze", "features", *AUXILIARY)

ARCHITECTURES: Final[dict[str, TowerShape]] = {
    # For a laptop: about 14 million multiply-adds per position on hex8, twelve thousand positions
    # per second on two cores.
    "v2-micro": TowerShape(
        blocks=4, channels=32, global_every=2, policy_hidden=32, value_hidden=64
    ),
    # Parameter counts of requirements G04.01-.05: 2-4, 3-5, 8-12, 25-35 (256 channels) and 40-50
    # million (320 channels)
    "v2": TowerShape(blocks=10, channels=128, global_every=5, policy_hidden=64, value_hidden=128),
    "v4": TowerShape(
        blocks=12, channels=128, global_every=4, policy_hidden=64, value_hidden=128, squeeze=4
    ),
    "v5-heavy": TowerShape(
        blocks=14,
        channels=192,
        global_every=7,
        policy_hidden=96,
        value_hidden=192,
        squeeze=8,
        features=1,
    ),
    "v5-heavy-large": TowerShape(
        blocks=24,
        channels=256,
        global_every=6,
        policy_hidden=128,
        value_hidden=256,
        squeeze=8,
        features=1,
    ),
    "v5-heavy-xl": TowerShape(
        blocks=24,
        channels=320,
        global_every=6,
        policy_hidden=128,
        value_hidden=320,
        squeeze=8,
        features=1,
    ),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NnueShape:
    """`hidden` units of the first layer per seat, `second` units of the second layer, `policy`
    components of a move's score (0: no policy)."""

    hidden: int
    second: int
    policy: int
    seats_min: int
    seats_max: int


NNUES: Final[dict[str, NnueShape]] = {
    "nnue": NnueShape(hidden=256, second=32, policy=0, seats_min=2, seats_max=2),
    "nnue_mp": NnueShape(hidden=256, second=32, policy=0, seats_min=3, seats_max=4),
    "nnue_policy": NnueShape(hidden=256, second=32, policy=32, seats_min=2, seats_max=4),
}
DEPRECATED: Final = {"v6": "v5-heavy-large", "v6-xl": "v5-heavy-xl"}
"""Old names (requirement G04.07): read, never written."""


def canonical(name: str) -> str:
    """Return the current name of an architecture; warns if `name` is deprecated.

    Raises UnknownArchitecture."""
    if name in DEPRECATED:
        warnings.warn(
            f"architecture {name} is now called {DEPRECATED[name]}",
            DeprecationWarning,
            stacklevel=2,
        )
        return DEPRECATED[name]
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
    fitting = [
        other for other, row in NNUES.items() if row.seats_min <= config.seats <= row.seats_max
    ]
    if name not in fitting:
        raise UnknownArchitecture(
            f"{name} does not support {config.key}; "
            f"for {config.seats} seats use {', '.join(fitting)}"
        )
    return NNUES[name]


def describe(shape: TowerShape) -> dict[str, int]:
    """Return the numbers of a shape for a checkpoint's header, without unused options."""
    return {
        name: number for name, number in asdict(shape).items() if number or name not in _OPTIONAL
    }
