"""Analyses for people: the candidates of a position, and a game with its blunders, as tables."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from ringrift.analysis.games import Review
from ringrift.analysis.positions import Analysis

CANDIDATES_SHOWN: Final = 12
LINE_MOVES_SHOWN: Final = 6


def headline(found: Analysis) -> str:
    """Return what a search found about a position in one line."""
    values = "  ".join(f"seat {seat} {_value(v)}" for seat, v in enumerate(found.root.values, 1))
    forced = f"; forced: {' '.join(found.forced)}" if found.forced else ""
    if not found.root.seat:
        return f"the game is over: {values}{forced}"
    searched = f"{found.root.visits:,} positions" if found.root.visits else "no search"
    return f"seat {found.root.seat} to act, {searched}, values {values}{forced}"


def candidates_table(found: Analysis, rows: int = CANDIDATES_SHOWN) -> Table:
    """Return the best moves of a position; `<=` marks an upper limit of the mover's value."""
    shown = [move for move in found.moves if move.visits or move.order == 0][:rows]
    seats = len(found.root.values)
    table = _table("move", ">visits", ">prior", ">policy", *_seat_columns(seats), "line")
    for move in shown:
        limit = "<= " if move.values_at_most else ""
        table.add_row(
            move.move,
            f"{move.visits:,}",
            _share(move.prior),
            _share(move.improved_policy),
            *(limit + _value(value) for value in move.values),
            " ".join(move.pv[1 : 1 + LINE_MOVES_SHOWN]),
        )
    return table


def review_table(review: Review, *, all_plies: bool = False) -> Table:
    """Return the plies of a game with a choice and the value of each seat before them."""
    seats = len(review.final)
    table = _table(">ply", ">seat", "move", *_seat_columns(seats), "best", ">loss", "")
    for ply in review.plies:
        if ply.best is None and not all_plies:
            continue
        row = [str(ply.ply), str(ply.seat), ply.move, *map(_value, ply.values)]
        row += [ply.best or "", "" if ply.loss is None else f"{ply.loss:+.2f}"]
        table.add_row(*row, "blunder" if ply.blunder else "", style="bold" if ply.blunder else "")
    table.add_row(str(len(review.plies)), "", "end", *map(_value, review.final), "", "", "")
    return table


def blunders_line(review: Review) -> str:
    """Return how many blunders each seat made."""
    counts = [0] * len(review.final)
    for ply in review.blunders:
        counts[ply.seat - 1] += 1
    by_seat = ", ".join(f"seat {seat}: {count}" for seat, count in enumerate(counts, 1))
    return f"blunders (loss of at least {review.blunder_loss:g}): {by_seat}"


def _table(*columns: str) -> Table:
    """Return an empty table; a column whose title begins with `>` is right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        title = Text(column.removeprefix(">"))
        table.add_column(title, justify="right" if column.startswith(">") else "left")
    return table


def _seat_columns(seats: int) -> Sequence[str]:
    return [f">seat {seat}" for seat in range(1, seats + 1)]


def _value(value: float | None) -> str:
    return "?" if value is None else f"{value:+.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
