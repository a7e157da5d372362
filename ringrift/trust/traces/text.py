"""Canonical texts of the traces: cells, moves and states as the reference engine writes them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la, moves as mv
from ringrift.rules.config import Config
from ringrift.rules.errors import RulesError
from ringrift.rules.geometry import Geometry, geometry
from ringrift.rules.move_cells import move_cells
from ringrift.rules.notation import fields
from ringrift.rules.position import PHASES
from ringrift.rules.setup import build_board
from ringrift.rules.table import CELLS_AT
from ringrift.trust.traces.lines import TraceError

FORMAT: Final = "ringrift-parity-trace/1"
_NUMBERS: Final = r"([0-9]{1,4}(?:,[0-9]{1,4})*)"
_STATE_LINES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"ringrift/1 \w+ [234]",
        rf"turn ([1-4]) ({'|'.join(PHASES[:-1])}) focus (\S+) pend ([01]) swap ([01])",
        r"status active winner 0",
        rf"hand {_NUMBERS}",
        rf"elim {_NUMBERS}",
        rf"terr {_NUMBERS}",
        r"stacks ((?:-?\d+,-?\d+:[1-4]+(?:;|$))*)",
        r"markers ((?:-?\d+,-?\d+:[1-4](?:;|$))*)",
        r"collapsed ((?:-?\d+,-?\d+:[1-4](?:;|$))*)",
    )
)
_BARE: Final = {
    mv.SKIP_PLACE: "skip_placement",
    mv.NO_PLACE: "no_placement_action",
    mv.SWAP: "swap_sides",
    mv.NO_MOVE: "no_movement_action",
    mv.SKIP_RECOVERY: "skip_recovery",
    mv.SKIP_CAPTURE: "skip_capture",
    mv.NO_LINE: "no_line_action",
    mv.SKIP_TERRITORY: "skip_territory_processing",
    mv.NO_TERRITORY: "no_territory_action",
    mv.RESIGN: "resign",
    mv.TIMEOUT: "timeout",
}
_ELIMINATIONS: Final = {
    mv.ELIM_LINE: "line",
    mv.ELIM_TERRITORY: "territory",
    mv.ELIM_RECOVERY: "recovery",
}
_SLIDES: Final = {
    mv.RECOVERY_ALL: "line",
    mv.RECOVERY_PART: "line",
    mv.RECOVERY_FALLBACK: "fallback",
    mv.RECOVERY_STRIKE: "stack_strike",
}


def canonical(move: Mapping[str, Any]) -> str:
    """Canonical string of a move object: keys sorted, no blanks."""
    return json.dumps(move, sort_keys=True, separators=(",", ":"))


def canonical_text(raw: bytes) -> str:
    """Canonical string of a move given as JSON text. Raises TraceError."""
    try:
        move = json.loads(raw)
    except ValueError as error:
        raise TraceError(f"not JSON: {raw[:80]!r}") from error
    if not isinstance(move, dict):
        raise TraceError(f"a move is an object, not {raw[:80]!r}")
    return canonical(move)


class Tracer:
    """Writes states and moves of one config as the traces do."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.geometry: Geometry = geometry(config)
        m = config.shape.radius
        self.cells = [int(c) for c in self.geometry.cell_of]
        self.name = {
            c: f"{x - m},{y - m}" for c, (x, y) in zip(self.cells, config.shape.cells, strict=True)
        }
        self.cell = {name: c for c, name in self.name.items()}
        self._seats = range(1, config.seats + 1)
        self._simple: dict[tuple[int, int], str] = {}
        self._span = np.empty(self.geometry.n_cells, np.int16)

    def legal(self, s: NDArray[np.int32], codes: Sequence[int]) -> dict[str, int]:
        """The move codes of the seat to act by their canonical strings."""
        seat = int(s[la.TURN])
        known, found = self._simple, {}
        for code in codes:
            text = known.get((seat, code))
            if text is None:
                text = self._write_move(s, seat, code)
            found[text] = code
        return found

    def _write_move(self, s: NDArray[np.int32], seat: int, code: int) -> str:
        move = self.move(s, seat, code)
        text = canonical(move)
        if move.keys() <= {"p", "t", "from", "over", "to"} or move["t"] == "place_ring":
            self._simple[seat, code] = text
        return text

    def move(self, s: NDArray[np.int32], seat: int, code: int) -> dict[str, Any]:
        """The move object of a code that is legal in the state."""
        kind, a, b, c, _, n = fields(code)
        name = self.name
        head: dict[str, Any] = {"p": seat}
        if kind in _BARE:
            return head | {"t": _BARE[kind]}
        if kind == mv.PLACE:
            return head | {"t": "place_ring", "to": name[a], "n": n}
        if kind == mv.WALK:
            return head | {"t": "move_stack", "from": name[a], "to": name[b]}
        if kind in (mv.LEAP, mv.CHAIN):
            kind_name = "overtaking_capture" if kind == mv.LEAP else "continue_capture_segment"
            return head | {"t": kind_name, "from": name[a], "over": name[b], "to": name[c]}
        if kind in _SLIDES:
            return head | self._slide(s, code)
        if kind in _ELIMINATIONS:
            rings = self.cap(s, a) if kind == mv.ELIM_TERRITORY else 1
            return head | {
                "t": "eliminate_rings_from_stack",
                "ctx": _ELIMINATIONS[kind],
                "to": name[a],
                "n": rings,
            }
        if kind == mv.FORCED:
            return head | {"t": "forced_elimination", "to": name[a], "n": self.cap(s, a)}
        if kind == mv.CLAIM:
            return head | {"t": "choose_territory_option", "cells": self.span(s, code)}
        line = self.span(s, code & ~31 | mv.LINE_ALL)
        if kind == mv.LINE:
            return head | {"t": "process_line", "line": line}
        return head | {"t": "choose_line_option", "line": line, "collapse": self.span(s, code)}

    def _slide(self, s: NDArray[np.int32], code: int) -> dict[str, Any]:
        kind, a, b, c, _, _ = fields(code)
        move = {
            "t": "recovery_slide",
            "mode": _SLIDES[kind],
            "from": self.name[a],
            "to": self.name[b],
        }
        if kind == mv.RECOVERY_PART:
            return move | {"opt": 2, "collapse": self.span(s, code)}
        move["extract"] = self.name[c]
        return move | {"opt": 1} if kind == mv.RECOVERY_ALL else move

    def cap(self, s: NDArray[np.int32], c: int) -> int:
        return la.word_cap(int(s[CELLS_AT + c]))

    def span(self, s: NDArray[np.int32], code: int) -> list[str]:
        """Names of the cells that a line, window or claim covers."""
        count = move_cells(self.geometry, s, code, self._span)
        return [self.name[int(c)] for c in self._span[:count]]

    def state(self, s: NDArray[np.int32]) -> str:
        """Canonical state text: nine lines."""
        header = s[:CELLS_AT].tolist()
        seats, phase = self.config.seats, header[la.PHASE]
        focus = header[la.MUST] if phase == la.MOVEMENT else header[la.ORIGIN]
        status = "completed" if phase == la.OVER else "active"
        counts = (("hand", la.HAND), ("elim", la.REMOVED), ("terr", la.TERRITORY_OF))
        stacks, markers, collapsed = self._contents(s)
        lines = [
            f"ringrift/1 {self.config.board} {seats}",
            f"turn {header[la.TURN]} {PHASES[phase]} focus {self.name[focus] if focus else '-'} "
            f"pend {header[la.DEBT]} swap {header[la.SWAPPED]}",
            f"status {status} winner {header[la.WINNER]}",
        ]
        for word, at in counts:
            numbers = header[at + 1 : at + 1 + seats]
            lines.append(f"{word} {','.join(map(str, numbers))}")
        lines.append(f"stacks {';'.join(stacks)}")
        lines.append(f"markers {';'.join(markers)}")
        lines.append(f"collapsed {';'.join(collapsed)}")
        return "\n".join(lines)

    def _contents(self, s: NDArray[np.int32]) -> tuple[list[str], list[str], list[str]]:
        stacks: list[str] = []
        markers: list[str] = []
        collapsed: list[str] = []
        words = s[CELLS_AT:].tolist()
        for c, name in self.name.items():
            w = words[c]
            if w == 0:
                continue
            if w & la.STACK:
                stacks.append(f"{name}:{self.rings(s, w)}")
            elif w & la.WALL:
                collapsed.append(f"{name}:{w & la.SEAT_BITS}")
            else:
                markers.append(f"{name}:{w}")
        return stacks, markers, collapsed

    def rings(self, s: NDArray[np.int32], w: int) -> str:
        """Ring colours of a stack word, bottom to top."""
        links = int(s[la.LINKS_AT])
        ring = (w >> la.BOTTOM_SHIFT) & la.NINE_BITS
        colours = []
        for _ in range((w >> la.HEIGHT_SHIFT) & la.NINE_BITS):
            word = int(s[links + ring])
            colours.append(str(word >> la.COLOUR_SHIFT))
            ring = word & la.NINE_BITS
        return colours[0] + "".join(reversed(colours[1:]))

    def standings(self, s: NDArray[np.int32]) -> list[int]:
        """Seats by territory, removed rings and markers, all descending; ties in seat order."""
        key = [
            [-int(s[at + seat]) for at in (la.TERRITORY_OF, la.REMOVED, la.MARKERS)]
            for seat in self._seats
        ]
        return sorted(self._seats, key=lambda seat: key[seat - 1])

    def read_state(self, text: str) -> NDArray[np.int32]:
        """The state that a canonical text of an active game describes; fields that the text does
        not contain have their start values. Raises RulesError."""
        lines = text.split("\n")
        if len(lines) != len(_STATE_LINES):
            raise RulesError(f"a state has {len(_STATE_LINES)} lines, this has {len(lines)}")
        found = []
        for line, pattern in zip(lines, _STATE_LINES, strict=True):
            match = pattern.fullmatch(line)
            if match is None:
                raise RulesError(f"cannot read the line {line[:80]!r}")
            found.append(match)
        entries = [self._entries(match[1]) for match in found[6:]]
        cells = {
            kind: {c: [int(digit) for digit in reversed(word)] for c, word in part.items()}
            for kind, part in zip(("stack", "marker", "collapsed"), entries, strict=True)
        }
        hands, removed, territory = (self._numbers(match[1]) for match in found[3:6])
        s = build_board(self.config, cells, hands)
        s[la.REMOVED + 1 : la.REMOVED + 1 + len(removed)] = removed
        s[la.TERRITORY_OF + 1 : la.TERRITORY_OF + 1 + len(territory)] = territory
        s[la.TURN], s[la.PHASE] = int(found[1][1]), PHASES.index(found[1][2])
        s[la.DEBT], s[la.SWAPPED] = int(found[1][4]), int(found[1][5])
        return s

    def _numbers(self, text: str) -> list[int]:
        numbers = [int(part) for part in text.split(",")]
        if len(numbers) != self.config.seats:
            raise RulesError(f"{len(numbers)} numbers for {self.config.seats} seats: {text!r}")
        return numbers

    def _entries(self, text: str) -> dict[int, str]:
        """The contents of a list `cell:content;...`, by cell id."""
        out: dict[int, str] = {}
        for part in filter(None, text.split(";")):
            name, content = part.split(":")
            if name not in self.cell:
                raise RulesError(f"{self.config.board} has no cell {name!r}")
            if max(content) > str(self.config.seats):
                raise RulesError(f"seat {max(content)} in a game of {self.config.seats}")
            out[self.cell[name]] = content
        return out
