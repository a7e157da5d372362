"""The input of `ringrift rating`: games in a CSV file, and the counts of a sequential test.

The header of the file names its kind:

    first_player,second_player,winner           two seats; `winner` is one of the two names
    first_player,second_player,score_of_first   two seats; 1 if the first won, 0.5 for a draw,
                                                0 if the first lost
    ranking_best_to_worst                       two to four names, best first: `ada bob cid`;
                                                `ada=bob cid` shares a rank

The names of a ranking are separated by `>`, `;`, `|`, commas (in quotes, or simply as further
cells) or spaces; where none of these occurs, by `-`."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ringrift.deciders.stats.plackett_luce import (
    SEATS_MAX,
    NoFiniteRatingError,
    Ranking,
    Ratings,
    fit,
)
from ringrift.deciders.stats.sprt import SprtError

SEPARATORS = (">", ";", "|", ",")
"""Separators of the names of a ranking, in the order in which they are tried; then spaces, then
`-`, which may also be part of a name."""

FALLBACK_PRIOR_ELO = 400.0
"""Standard deviation of the normal prior around the mean that each player gets where the games
alone have no finite rating (a sweep)."""


class RatingFileError(ValueError):
    """A file of games cannot be used; the text names the file, the line and the remedy."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        self.path, self.line, self.reason = path, line, reason
        super().__init__(f"{path}, line {line}: {reason}")


def rate(path: Path, anchor: str | None = None) -> tuple[Ratings, str]:
    """Maximum-likelihood ratings of the games of a file, with Elo 0 for `anchor` or the mean of
    all, and a note if the fallback prior was needed.

    Raises RatingFileError, RatingError, or OSError if the file cannot be read."""
    games = read_games(path)
    try:
        return fit(games, anchor=anchor), ""
    except NoFiniteRatingError as error:
        prior = f"using a prior of N(0, {FALLBACK_PRIOR_ELO:g} Elo) on each player"
        return fit(games, FALLBACK_PRIOR_ELO, anchor=anchor), f"{error}; {prior}"


def read_games(path: Path) -> list[tuple[Ranking, float]]:
    """Distinct rankings with their counts, in order of first appearance. Raises RatingFileError, or
    OSError if the file cannot be read."""
    content = path.read_bytes()
    line = 1
    try:
        text = content.decode("utf-8-sig")
        counts: Counter[Ranking] = Counter()
        parse: Callable[[list[str]], Ranking] | None = None
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        for cells in rows:
            line = rows.line_num
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            if parse is None:
                parse = _parser(row)
            else:
                counts[parse(row)] += 1
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = "not UTF-8 text; save the file as CSV in UTF-8"
        raise RatingFileError(path, line, reason) from error
    except csv.Error as error:
        reason = f"not CSV: {error}; check quotes and commas"
        raise RatingFileError(path, max(rows.line_num, 1), reason) from error
    except _RowError as error:
        raise RatingFileError(path, line, str(error)) from error
    if parse is None:
        reason = f"the file is empty; start with a header, one of {_headers()}"
        raise RatingFileError(path, 1, reason)
    if not counts:
        reason = "no games follow the header; add one line for each game"
        raise RatingFileError(path, line, reason)
    return list(counts.items())


def read_counts(text: str) -> list[float]:
    """Three or five counts, worst score first, separated by commas, spaces or both: "10, 20, 30" or
    "[10 20 30]". Raises SprtError."""
    words = text.strip().strip("[]()").replace(",", " ").split()
    try:
        counts = [float(word) for word in words]
    except ValueError as error:
        example = "give counts such as 39,2226,31451,2412,40"
        raise SprtError(f"results {text!r}: {error}; {example}") from error
    if len(counts) not in (3, 5):
        raise SprtError(f"{len(counts)} counts in results; give 3 (L D W) or 5 (LL LD LW+DD DW WW)")
    return counts


class _RowError(ValueError):
    """A row cannot be used; the caller adds its place."""


def _parser(header: list[str]) -> Callable[[list[str]], Ranking]:
    try:
        return _PARSERS[tuple(header)]
    except KeyError:
        raise _RowError(f"unknown header {','.join(header)!r}; use one of {_headers()}") from None


def _with_winner(cells: list[str]) -> Ranking:
    first, second, winner = _pair(cells)
    if winner not in (first, second):
        names = f"neither {first!r} nor {second!r}"
        raise _RowError(f"winner {winner!r} is {names}; for draws use the column score_of_first")
    return (first, second) if winner == first else (second, first)


def _with_score(cells: list[str]) -> Ranking:
    first, second, text = _pair(cells)
    try:
        score = float(text)
    except ValueError:
        raise _RowError(f"score {text!r} is not a number; use 0, 0.5 or 1") from None
    if score == 1.0:
        return (first, second)
    if score == 0.0:
        return (second, first)
    if score == 0.5:
        return ((first, second) if first < second else (second, first),)
    raise _RowError(f"score {text!r} of one game; use 0, 0.5 or 1")


def _pair(cells: list[str]) -> tuple[str, str, str]:
    if len(cells) != 3 or not all(cells):
        raise _RowError(f"expected 3 filled cells, found {cells}")
    if cells[0] == cells[1]:
        raise _RowError(f"{cells[0]!r} plays against itself; give the two players different names")
    return cells[0], cells[1], cells[2]


def _with_ranking(cells: list[str]) -> Ranking:
    ranks = cells if len(cells) > 1 else _split(cells[0].strip("[]()"))
    tied = [tuple(sorted(name.strip() for name in rank.split("="))) for rank in ranks]
    names = [name for rank in tied for name in rank]
    if not all(names):
        raise _RowError(f"a name is missing in {cells}; give each rank a name")
    if len(set(names)) != len(names):
        raise _RowError(f"a player appears twice in {cells}; name each player of the game once")
    if not 2 <= len(names) <= SEATS_MAX:
        limits = f"a game has 2 to {SEATS_MAX}, separated by spaces, commas or >"
        raise _RowError(f"{len(names)} players in {cells}; {limits}")
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
