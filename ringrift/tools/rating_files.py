"""Games to rate, read from a CSV file whose header tells its kind.

    first_player,second_player,winner           two seats; `winner` is one of the two names
    first_player,second_player,score_of_first   two seats; 1 if the first won, 0.5 for a draw, 0 if
    the first lost ranking_best_to_worst                       two to four names, best first: `ada
    bob cid`; `ada=bob cid` shares a rank

The names of a ranking are separated by `>`, `;`, `|`, commas (in quotes, or simply as further
cells) or spaces; where none of these occurs, by `-`."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ringrift.deciders.stats.plackett_luce import SEATS_MAX, Ranking

SEPARATORS = (">", ";", "|", ",")
"""Tried in this order between the names of a ranking; then spaces, then `-`, which may also be part
of a name."""


class RatingFileError(ValueError):
    """A file of games cannot be used: names the file, the line and the remedy."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        self.path, self.line, self.reason = path, line, reason
        super().__init__(f"{path}, line {line}: {reason}")


def read_games(path: Path) -> list[tuple[Ranking, float]]:
    """Distinct rankings with their counts, in order of first appearance. Raises `RatingFileError`,
    or `OSError` if unreadable."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RatingFileError(
            path, line, "not UTF-8 text; save the file as CSV in UTF-8"
        ) from error
    counts: Counter[Ranking] = Counter()
    parse: Callable[[list[str]], Ranking] | None = None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if parse is None:
                parse = _parser(cells)
            else:
                counts[parse(cells)] += 1
    except csv.Error as error:
        raise RatingFileError(
            path, max(rows.line_num, 1), f"not CSV: {error}; check quotes and commas"
        ) from error
    except _BadRowError as error:
        raise RatingFileError(path, rows.line_num, str(error)) from error
    if parse is None:
        raise RatingFileError(
            path, 1, f"the file is empty; start with a header, one of {_headers()}"
        )
    if not counts:
        raise RatingFileError(
            path, rows.line_num, "no games follow the header; add one line for each game"
        )
    return list(counts.items())


class _BadRowError(ValueError):
    """Why a row is refused; the caller adds its place."""


def _parser(header: list[str]) -> Callable[[list[str]], Ranking]:
    try:
        return _PARSERS[tuple(header)]
    except KeyError:
        raise _BadRowError(
            f"unknown header {','.join(header)!r}; use one of {_headers()}"
        ) from None


def _with_winner(cells: list[str]) -> Ranking:
    first, second, winner = _pair(cells)
    if winner not in (first, second):
        raise _BadRowError(
            f"winner {winner!r} is neither {first!r} nor {second!r}; for draws use the column score_of_first"
        )
    return (first, second) if winner == first else (second, first)


def _with_score(cells: list[str]) -> Ranking:
    first, second, text = _pair(cells)
    try:
        score = float(text)
    except ValueError:
        raise _BadRowError(f"score {text!r} is no number; use 0, 0.5 or 1") from None
    if score == 1.0:
        return (first, second)
    if score == 0.0:
        return (second, first)
    if score == 0.5:
        return ((first, second) if first < second else (second, first),)
    raise _BadRowError(f"score {text!r} of one game; use 0, 0.5 or 1")


def _pair(cells: list[str]) -> tuple[str, str, str]:
    if len(cells) != 3 or not all(cells):
        raise _BadRowError(f"expected 3 filled cells, found {cells}")
    if cells[0] == cells[1]:
        raise _BadRowError(
            f"{cells[0]!r} plays against itself; give the two players different names"
        )
    return cells[0], cells[1], cells[2]


def _with_ranking(cells: list[str]) -> Ranking:
    ranks = cells if len(cells) > 1 else _split(cells[0].strip("[]()"))
    tied = [tuple(sorted(name.strip() for name in rank.split("="))) for rank in ranks]
    names = [name for rank in tied for name in rank]
    if not all(names):
        raise _BadRowError(f"a name is missing in {cells}; give each rank a name")
    if len(set(names)) != len(names):
        raise _BadRowError(f"a player appears twice in {cells}; name each player of the game once")
    if not 2 <= len(names) <= SEATS_MAX:
        raise _BadRowError(
            f"{len(names)} players in {cells}; a game has 2 to {SEATS_MAX}, separated by spaces, commas or >"
        )
    return tuple(rank[0] if len(rank) == 1 else rank for rank in tied)


def _split(text: str) -> list[str]:
    for separator in SEPARATORS:
        if separator in text:
            return text.split(separator)
    words = text.split()
    return words if len(words) > 1 else text.split("-")


_PARSERS: dict[tuple[str, ...], Callable[[list[str]], Ranking]] = {
    ("first_player", "second_player", "winner"): _with_winner,
    ("first_player", "second_player", "score_of_first"): _with_score,
    ("ranking_best_to_worst",): _with_ranking,
}


def _headers() -> str:
    return ", ".join(repr(",".join(header)) for header in _PARSERS)
