"""The game of RingRift: boards, positions, legal moves, notation, records. Comments cite the
sections of `docs/rules.md`.

Plain Python starts here: `Position.start(Config.parse("hex8_2p"))`. Compiled code works on a
geometry and a state (`layout`), one row of int32 words: copying the row copies the game, and a
batch is a 2-D array. It imports `apply_move`, `legal_moves` and the like from their modules. These
functions trust their arguments: cells must be core ids of the board, and moves legal.

Names whose modules need numba, which takes a second to import, are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ringrift.rules.config import CONFIGS, Config
from ringrift.rules.errors import ConfigError, IllegalMove, NotationError, RulesError
from ringrift.rules.geometry import Geometry, geometry

if TYPE_CHECKING:
    from ringrift.rules.position import PHASES, Position
    from ringrift.rules.record import Record

__all__ = [
    "CONFIGS",
    "PHASES",
    "Config",
    "ConfigError",
    "Geometry",
    "IllegalMove",
    "NotationError",
    "Position",
    "Record",
    "RulesError",
    "geometry",
]

_HOMES = {"PHASES": "position", "Position": "position", "Record": "record"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
