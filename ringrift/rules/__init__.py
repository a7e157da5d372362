"""The game of RingRift: boards, positions, legal moves, notation, records.

Plain Python starts here: `Position.start(Config.parse("hex8_2p"))`. Compiled code works on a
geometry and a state (`layout`), one row of int32 words: copying the row copies the game, and a batch
is a 2-D array. It imports `apply_move`, `legal_moves` and the like from their modules. These
functions trust their arguments: cells must be core ids of the board, and moves legal.
"""

from ringrift.rules.config import BOARDS, CONFIGS, Board, Config
from ringrift.rules.errors import ConfigError, IllegalMove, NotationError, RulesError
from ringrift.rules.geometry import Geometry, geometry
from ringrift.rules.position import PHASES, Position, warm_up
from ringrift.rules.record import Record

__all__ = [
    "BOARDS",
    "CONFIGS",
    "PHASES",
    "Board",
    "Config",
    "ConfigError",
    "Geometry",
    "IllegalMove",
    "NotationError",
    "Position",
    "Record",
    "RulesError",
    "geometry",
    "warm_up",
]
