"""The game of RingRift: boards, positions, legal moves, notation, records.

Plain Python starts here: `Position.start(Config.parse("hex8_2p"))`. Compiled code uses
`ringrift.rules.core`."""

from ringrift.rules.config import BOARDS, CONFIGS, Board, Config
from ringrift.rules.errors import ConfigError, IllegalMove, NotationError, RulesError, TraceError
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
    "TraceError",
    "geometry",
    "warm_up",
]
