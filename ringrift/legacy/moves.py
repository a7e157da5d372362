"""Moves as the old system wrote them, and which of our legal moves each of them may be.

The old programs spell the same move in five ways: keys in camel case or snake case, names of the
vectorised self-play, moves with two coordinates only, moves within a wrapper. A place is an object
with `x` and `y` (column and row; hexes: axial `q` and `r`), or a list of row and column with the
centre of a hex board in the middle of its grid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from msgspec import UNSET, Struct, UnsetType, defstruct, structs

from ringrift.rules import Config, Position, geometry, moves as mv
from ringrift.rules.move_cells import move_cells
from ringrift.rules.notation import encode, fields

_NONE = (mv.NO_PLACE, mv.NO_MOVE, mv.NO_LINE, mv.NO_TERRITORY)
_SKIPS = (mv.SKIP_PLACE, mv.SKIP_CAPTURE, mv.SKIP_RECOVERY, mv.SKIP_TERRITORY)
_LINES = (mv.LINE, mv.LINE_ALL, mv.LINE_PART)
_RECOVERIES = {
    "line": (mv.RECOVERY_ALL, mv.RECOVERY_PART),
    "fallback": (mv.RECOVERY_FALLBACK,),
    "stack_strike": (mv.RECOVERY_STRIKE,),
}
_PAYMENTS = {
    "line": (mv.ELIM_LINE,),
    "territory": (mv.ELIM_TERRITORY,),
    "recovery": (mv.ELIM_RECOVERY,),
}
KINDS: dict[str, tuple[int, ...]] = {
    "place_ring": (mv.PLACE,),
    "skip_placement": (mv.SKIP_PLACE,),
    "no_placement_action": (mv.NO_PLACE,),
    "move_stack": (mv.WALK,),
    "overtaking_capture": (mv.LEAP,),
    "continue_capture_segment": (mv.CHAIN,),
    "skip_capture": (mv.SKIP_CAPTURE,),
    "no_movement_action": (mv.NO_MOVE,),
    "recovery_slide": tuple(kind for kinds in _RECOVERIES.values() for kind in kinds),
    "skip_recovery": (mv.SKIP_RECOVERY,),
    "process_line": (mv.LINE,),
    "choose_line_option": _LINES,
    "no_line_action": (mv.NO_LINE,),
    "choose_territory_option": (mv.CLAIM,),
    "skip_territory_processing": (mv.SKIP_TERRITORY,),
    "no_territory_action": (mv.NO_TERRITORY,),
    "eliminate_rings_from_stack": tuple(kind for kinds in _PAYMENTS.values() for kind in kinds),
    "forced_elimination": (mv.FORCED,),
    "swap_sides": (mv.SWAP,),
    "resign": (mv.RESIGN,),
    "timeout": (mv.TIMEOUT,),
}
"""The kinds of our moves that a type of the old system means."""
KINDS |= {
    "move_ring": KINDS["move_stack"],
    "build_stack": KINDS["move_stack"],
    "choose_line_reward": _LINES,
    "line_formation": _LINES,
    "process_territory_region": KINDS["choose_territory_option"],
    "territory_claim": KINDS["choose_territory_option"],
    "chain_capture": KINDS["continue_capture_segment"],
    "placement": KINDS["place_ring"],
    "movement": KINDS["move_stack"],
    "capture": (mv.LEAP, mv.CHAIN),
    "skip": _SKIPS,
    "no_action": _NONE,
}
_OPEN, _WORD, _PLACEMENT, _WALK, _JUMP, _WHOLE_LINE, _AT, _PAYMENT = range(8)
_SHAPES = {
    **dict.fromkeys((mv.SWAP, mv.RESIGN, mv.TIMEOUT, *_NONE, *_SKIPS), _WORD),
    **{mv.PLACE: _PLACEMENT, mv.WALK: _WALK, mv.LEAP: _JUMP, mv.CHAIN: _JUMP, mv.FORCED: _AT},
    **{mv.LINE: _WHOLE_LINE},
}
"""what the code of a kind consists of, if it follows from a record alone"""
_FORMS: dict[str | None, tuple[int, int]] = {
    name: (kinds[0], _SHAPES.get(kinds[0], _OPEN) if len(kinds) == 1 else _OPEN)
    for name, kinds in KINDS.items()
}
_FORMS["eliminate_rings_from_stack"] = 0, _PAYMENT


class Cell(Struct, gc=False):
    """A place; `z` is -x - y on hexes, and often missing."""

    x: int
    y: int
    z: int | None = None


Place = Cell | list[int] | None


class _Line(Struct, gc=False):
    positions: list[Place] = []


class _Region(Struct, gc=False):
    spaces: list[Place] = []


_CAMEL = {
    "start": "from",
    "target": "to",
    "over": "captureTarget",
    "count": "placementCount",
    "lines": "formedLines",
    "collapsed": "collapsedMarkers",
    "regions": "disconnectedRegions",
    "mode": "recoveryMode",
    "option": "recoveryOption",
    "window": "collapsePositions",
    "payers": "extractionStacks",
    "context": "eliminationContext",
}
_SNAKE = {
    **{name: re.sub("([A-Z])", r"_\1", old).lower() for name, old in _CAMEL.items()},
    "start": "from_pos",
}


class Move(Struct, gc=False, rename=_CAMEL):
    """A recorded move, with keys in camel case.

    `count` is None if the writer left the field empty, UNSET if there is none; `move` is the move
    in a wrapper."""

    type: str | None = None
    player: int | None = None
    start: Place = None
    target: Place = None
    over: Place = None
    count: int | UnsetType | None = UNSET
    lines: list[_Line] | None = None
    collapsed: list[Place] | None = None
    regions: list[_Region] | None = None
    mode: str | None = None
    option: int | None = None
    window: list[Place] | None = None
    payers: list[str] | None = None
    context: str | None = None
    move: Move | None = None

    @property
    def name(self) -> str:
        """The type in lower case."""
        return (self.type or "").lower()


def _spelled(names: dict[str, str]) -> type[Move]:
    """A move whose keys have other names."""
    known = [(one.name, one.type, one.default) for one in structs.fields(Move)]
    form = defstruct("Move", known, rename=names, gc=False, namespace={"name": Move.name})
    return cast(type[Move], form)


_SNAKE_CASE = _spelled(_SNAKE)
_RAW = _spelled({**_SNAKE, "type": "move_type", "target": "to_pos"})
FORMS = (Move, _SNAKE_CASE, _RAW)
"""the spellings of moves: camel case, snake case, raw form of the vectorised self-play"""


def form_of(data: bytes) -> type[Move]:
    """The form of the moves in `data`."""
    if b'"move_type"' in data:
        return _RAW
    return _SNAKE_CASE if b'"from_pos"' in data else Move


def bare(moves: Iterable[Move]) -> list[Move]:
    """The moves without their wrappers."""
    return [move.move or move for move in moves]


class Board(NamedTuple):
    """Core ids of the cells of a board by their coordinates in the old system."""

    by_axes: dict[tuple[int, int], int]
    by_grid: dict[tuple[int, int], int]
    hex: bool

    def cell(self, place: Place) -> int:
        """The core id of a place; 0 for none, -1 for one that the board lacks."""
        if isinstance(place, Cell):
            if place.z is not None and self.hex and place.x + place.y + place.z:
                return -1
            return self.by_axes.get((place.x, place.y), -1)
        if place is None:
            return 0
        return self.by_grid.get((place[0], place[1]), -1) if len(place) == 2 else -1

    def named(self, text: str) -> int:
        """The core id of `x,y` or `x,y,z`, -1 for anything else."""
        try:
            x, y, *_ = map(int, text.split(","))
        except ValueError:
            return -1
        return self.by_axes.get((x, y), -1)


@cache
def board_of(config: Config) -> Board:
    """The cells of the board of a config."""
    shape, ids = config.shape, geometry(config).cell_of.tolist()
    m = shape.radius
    pairs = list(zip(shape.cells, ids, strict=True))
    axes = {(x - m, y - m): cell for (x, y), cell in pairs}
    return Board(axes, {(y, x): cell for (x, y), cell in pairs}, shape.hex)


def codes_of(board: Board, moves: Sequence[Move]) -> tuple[list[int], bool]:
    """The codes of our moves that follow from the records alone, 0 for each other; and whether
    placements have no counts of rings, so that no such code is known.

    One loop for all moves of a game, because an import spends most of its time here."""
    forms = [_FORMS.get(move.type) or _FORMS.get(move.name, (0, _OPEN)) for move in moves]
    placements = [
        move for move, (_, shape) in zip(moves, forms, strict=True) if shape == _PLACEMENT
    ]
    bare = [move for move in placements if move.count is UNSET]
    # the vectorised self-play, which names the cell twice, always places one ring; elsewhere a
    # field that only some placements have was left out because it was empty, which means 1
    uncounted = len(bare) == len(placements) and not all(move.start for move in bare)
    cell, codes = board.cell, list[int]()
    for move, (kind, shape) in zip(moves, forms, strict=True):
        code = 0
        if shape == _WORD:
            code = kind
        elif shape == _WALK:
            a, b = cell(move.start), cell(move.target)
            code = kind | a << mv.A_SHIFT | b << mv.B_SHIFT if a > 0 and b > 0 else 0
        elif shape == _PLACEMENT:
            a, n = cell(move.target), move.count or (0 if uncounted else 1)
            code = kind | a << mv.A_SHIFT | n << mv.N_SHIFT if a > 0 and 0 < n <= 3 else 0
        elif shape == _JUMP:
            cells = cell(move.start), cell(move.over), cell(move.target)
            code = encode(kind, *cells) if min(cells) > 0 else 0
        elif shape == _WHOLE_LINE:
            ends = sorted(map(cell, move.lines[0].positions)) if move.lines else None
            if ends and ends[0] > 0 and not move.collapsed:
                code = encode(kind, ends[0], ends[-1])
        elif shape in (_AT, _PAYMENT):
            a = cell(move.target)
            (kind,) = (kind,) if shape == _AT else _PAYMENTS.get(move.context or "", (0,))
            code = encode(kind, a) if a > 0 and kind else 0
        codes.append(code)
    return codes, uncounted


def candidates(position: Position, board: Board, move: Move, count: int) -> list[int]:
    """The legal moves that the record may mean, by ascending code."""
    kinds = KINDS.get(move.name, ())
    codes = [code for code in position.legal_codes().tolist() if code & 31 in kinds]
    return list(filter(_Test(position, board, move, count), codes))


class _Test:
    """Whether a legal move agrees with all that a record says."""

    def __init__(self, position: Position, board: Board, move: Move, count: int) -> None:
        self.position, self.board, self.move, self.count = position, board, move, count
        self.start, self.to = board.cell(move.start), board.cell(move.target)
        self.over = board.cell(move.over)

    def __call__(self, code: int) -> bool:
        kind, a, b, c, _, n = fields(code)
        if kind in (mv.WALK, *KINDS["recovery_slide"]):
            slides = kind == mv.WALK or self._recovers(code)
            return (a, b) == (self.start, self.to) and slides
        if kind in (mv.LEAP, mv.CHAIN):
            return (a, c) == (self.start, self.to) and self.over in (0, b)
        if kind == mv.PLACE:
            return a == self.to and (self.move.count or self.count or n) == n
        if kind in _LINES:
            return self._takes_line(code)
        if kind == mv.CLAIM:
            return self._claims(code)
        if kind in KINDS["eliminate_rings_from_stack"]:
            context = self.move.context or ""
            return a == self.to and kind in _PAYMENTS.get(context, (kind,))
        return kind != mv.FORCED or a == self.to

    def _recovers(self, code: int) -> bool:
        move = self.move
        kind, _, _, c, d, _ = fields(code)
        mode = (move.mode or "").lower()
        if kind not in _RECOVERIES.get(mode, (kind,)):
            return False
        if kind == mv.RECOVERY_PART:
            window = self._cells(move.window)
            return not window or {min(window), max(window)} == {c, d}
        if kind == mv.RECOVERY_ALL and move.option == 2:
            return False
        return not move.payers or c in map(self.board.named, move.payers)

    def _takes_line(self, code: int) -> bool:
        kind, a, b, c, d, _ = fields(code)
        lines = self.move.lines
        line = self._cells(lines[0].positions if lines else None)
        if not line:  # slim records name one cell, if any
            return self.to <= 0 or self.to in self._taken(encode(mv.LINE_ALL, a, b))
        if {min(line), max(line)} != {a, b}:
            return False
        window = self._cells(self.move.collapsed)
        if not window:
            return kind != mv.LINE_PART
        ends = {c, d} if kind == mv.LINE_PART else {a, b}
        return {min(window), max(window)} == ends

    @cached_property
    def _claimed(self) -> set[int]:
        regions = self.move.regions
        return self._cells(regions[0].spaces if regions else None)

    def _claims(self, code: int) -> bool:
        cells, taken = self._claimed, self._taken(code)
        return taken == cells if cells else self.to in (0, *taken)

    def _taken(self, code: int) -> set[int]:
        position = self.position
        out = np.empty(position.geometry.n_cells, np.int16)
        count = move_cells(position.geometry, position.state, code, out)
        return set(out[:count].tolist())

    def _cells(self, places: Any) -> set[int]:
        return {self.board.cell(place) for place in places or ()}
