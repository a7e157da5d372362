"""Moves as short sequences of actions from a small fixed set, for libraries that number actions.

A config has too many moves to number them: recovery slides of one kind on the largest board alone
are 469 cells x 6 directions x 469 paying stacks. So a move is chosen part by part, in the order in
which it is written: its kind, then its cells, then the number of rings of a placement or the colour
of a claim. A part of which only one is possible is chosen automatically, and so is a move that is
the only one.

The actions of a config, in this order: the kinds of moves (`KINDS` without resigning and timeout),
the cells in scan order (`Game.cells`), the numbers 0 to 4."""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift.api.game import KINDS, Game
from ringrift.nets.encoding import GLOBALS, PLANES, encode
from ringrift.rules import Config, layout as la, moves as mv
from ringrift.rules.geometry import geometry
from ringrift.rules.notation import cell_names

PLAYED_KINDS: Final = tuple(KINDS.values())[: mv.RESIGN - 1]
NUMBERS: Final = 5
CELLS_MAX: Final = 4
"""Cells of a move."""
PARTS_MAX: Final = 1 + CELLS_MAX + 1
"""Parts of a move; shorter ones are filled up with `NO_PART`."""
NO_PART: Final = -1
CHANNELS: Final = PLANES + CELLS_MAX + GLOBALS + len(PLAYED_KINDS)
"""Channels of an observation."""
VALUE_MAX: Final = 1024.0
"""No number in an observation is larger, or less than -1: the largest is the turn of a seat's last
ring, of at most 2**16 plies, divided by 64."""

Parts = NDArray[np.int16]


class Actions:
    """The actions of a config. `names` are their names: kinds in words, cells, numbers."""

    def __init__(self, config: str) -> None:
        kind = Config.parse(config)
        cells = cell_names(kind)
        self.names = (*PLAYED_KINDS, *cells.values(), *map(str, range(NUMBERS)))
        self.first_cell = len(PLAYED_KINDS)
        self.first_number = self.first_cell + len(cells)
        self._of_cell = np.full(max(cells) + 1, NO_PART, np.int16)
        self._of_cell[[*cells]] = np.arange(self.first_cell, self.first_number)
        self.grid = np.array([geometry(kind).grid_of[cell] for cell in cells])

    def __len__(self) -> int:
        return len(self.names)

    def parts(self, codes: NDArray[np.int64]) -> Parts:
        """Return the parts of moves as actions, [M, PARTS_MAX]."""
        kinds, numbers = codes & 31, (codes >> mv.N_SHIFT) & 15
        found = np.full((len(codes), PARTS_MAX), NO_PART, np.int16)
        found[:, 0] = kinds - mv.PLACE
        for at, shift in enumerate((mv.A_SHIFT, mv.B_SHIFT, mv.C_SHIFT, mv.D_SHIFT), start=1):
            found[:, at] = self._of_cell[(codes >> shift) & mv.FIELD_BITS]
        numbered = (kinds == mv.PLACE) | (kinds == mv.CLAIM)  # both have one cell
        found[numbered, 2] = self.first_number + numbers[numbered]
        return found


@cache
def actions_of(config: str) -> Actions:
    """Return the actions of a config. Raises ConfigError."""
    return Actions(config)


class Steps:
    """A game whose moves are chosen part by part.

    >>> steps = Steps(Game("hex8_2p"))
    >>> names = steps.actions.names
    >>> {names[action] for action in steps.legal()} == set(Game("hex8_2p").cells())
    True
    >>> steps.choose(names.index("e5"))
    >>> [names[action] for action in steps.legal()]
    ['1', '2', '3']
    >>> steps.choose(names.index("2"))
    >>> steps.game.moves
    ('@e5*2',)
    """

    def __init__(self, game: Game) -> None:
        """Play on in `game`, which is changed; its forced moves are played."""
        self.game, self.actions = game, actions_of(game.config)
        self._begin()

    def copy(self) -> "Steps":
        """Return an independent game at the same step."""
        other = object.__new__(Steps)
        other.__dict__.update(self.__dict__)
        other.game = self.game.copy()
        return other

    def legal(self) -> list[int]:
        """Return the legal actions, ascending: the next parts of the legal moves; none when the
        game is over."""
        if self.game.over:
            return []
        return [int(action) for action in np.unique(self._parts[:, len(self.chosen)])]

    def mask(self) -> NDArray[np.int8]:
        """Return 1 for each legal action, 0 for the others."""
        mask = np.zeros(len(self.actions), np.int8)
        mask[self.legal()] = 1
        return mask

    def choose(self, action: int) -> None:
        """Choose the next part of a move. Raises ValueError for an action that is not legal."""
        if action not in self.legal():
            raise ValueError(f"action {action} is not legal: {len(self.legal())} others are")
        rows = self._parts[:, len(self.chosen)] == action
        self._narrow(rows, action)
        self._settle()

    def _begin(self) -> None:
        self.chosen: tuple[int, ...] = ()
        """parts of the move that is being chosen"""
        self._codes = self.game.raw.legal_codes()
        self._parts = self.actions.parts(self._codes)
        self._settle()

    def _narrow(self, rows: NDArray[np.bool_], action: int) -> None:
        self._codes, self._parts = self._codes[rows], self._parts[rows]
        self.chosen = (*self.chosen, action)

    def _settle(self) -> None:
        """Choose the parts that are the only ones, and play the move that is the only one left."""
        while len(self._codes) > 1:
            options = self._parts[:, len(self.chosen)]
            if (options != options[0]).any():
                return
            self.chosen = (*self.chosen, int(options[0]))
        if len(self._codes):
            self.game.play(self.game.raw.token(int(self._codes[0])))
            self.game.play_forced()
            self._begin()

    def rewards(self) -> tuple[float, ...]:
        """Return the value of the end by player, 0 while the game runs (`Game.rewards`)."""
        if not self.game.over:
            return (0.0,) * self.game.seats
        found = self.game.rewards()
        return found[::-1] if self.game.raw.state[la.SWAPPED] else found

    def text(self) -> str:
        """Return the position, and the parts chosen so far if there are any."""
        chosen = " ".join(self.actions.names[action] for action in self.chosen)
        return f"{self.game.position()} {chosen}".rstrip()

    def observe(self, player: int) -> NDArray[np.float32]:
        """Return what the game looks like to a player, [width, width, CHANNELS].

        Channels: the planes of `ringrift.nets.encoding` as seen from the seat of the player, the
        cells chosen so far (one channel each), then numbers that are the same in every cell: the
        globals of the encoding and the kind chosen. `y` is the row, `x` the column."""
        game, geo = self.game.raw, self.game.raw.geometry
        state = game.state.copy()
        state[la.TURN] = 2 - player if state[la.SWAPPED] else player + 1
        planes = np.zeros((geo.width * geo.width, PLANES), np.float32)
        globals_ = np.zeros(GLOBALS, np.float32)
        encode(geo, state, geo.grid_of, planes, globals_)
        found: NDArray[Any] = np.zeros((len(planes), CHANNELS), np.float32)
        found[:, :PLANES] = planes
        found[:, PLANES + CELLS_MAX : PLANES + CELLS_MAX + GLOBALS] = globals_
        for at, action in enumerate(self.chosen):
            if at == 0:
                found[:, PLANES + CELLS_MAX + GLOBALS + action] = 1.0
            else:
                cell = self.actions.grid[action - self.actions.first_cell]
                found[cell, PLANES + at - 1] = 1.0
        return found.reshape(geo.width, geo.width, CHANNELS)
