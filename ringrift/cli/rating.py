"""`ringrift rating fit` and `ringrift rating sprt`: the statistics of the loop on games or counts
of one's own."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from ringrift.cli.common import TABLE, Form, Json, show, show_rows
from ringrift.deciders.stats.plackett_luce import RatingError, Ratings
from ringrift.deciders.stats.sprt import Model, Sprt, SprtError, SprtResult, evaluate
from ringrift.insight.elo import elo_label, unrated_note
from ringrift.tools.rating import RatingFileError, rate, read_counts
from ringrift.tools.sprt_bias import UnbiasedElo, unbiased_elo

EXIT_UNUSABLE = 2


def fit(file: Path, /, *, anchor: str | None = None, form: Form = TABLE) -> int:
    """Compute the ratings of the games in a CSV file.

    A prior is used, and named, where the games alone have no finite rating.

    Args:
        file: The games, under the header `first_player,second_player,winner`,
            `first_player,second_player,score_of_first` or `ranking_best_to_worst`.
        anchor: The player whose Elo is 0 [default: the mean of all players is 0].
    """
    try:
        ratings, note = rate(file, anchor)
    except OSError as error:
        return _refuse(f"cannot read {file}: {error.strerror}; give an existing CSV file")
    except (RatingFileError, RatingError) as error:
        return _refuse(error)
    if note:
        print(f"note: {note}", file=sys.stderr)
    title = f"{ratings.model}; {elo_label(ratings.anchor or 'mean of all players')}"
    found = _document(ratings)
    show_rows(form, found, found["players"], title, _ratings_table(ratings))
    if ratings.unrated:
        print(f"note: {unrated_note(ratings.unrated, ratings.anchor)}", file=sys.stderr)
    return 0


def sprt(
    *,
    results: str,
    elo0: float = 0.0,
    elo1: float = 5.0,
    alpha: float = 0.05,
    beta: float = 0.05,
    model: Model = "logistic",
    json: Json = False,
) -> int:
    """Evaluate a sequential test on the counts of its results.

    Args:
        results: Counts, worst result first: L,D,W or LL,LD,LW+DD,DW,WW.
        elo0: Strength that the test rejects.
        elo1: Strength that the test accepts.
        alpha: Probability to accept a candidate of strength `elo0`.
        beta: Probability to reject a candidate of strength `elo1`.
        model: Scale of the strengths.
    """
    try:
        counts = read_counts(results)
        test = Sprt(elo0=elo0, elo1=elo1, alpha=alpha, beta=beta, model=model)
        result = evaluate(test, counts)
    except SprtError as error:
        return _refuse(error)
    show(asdict(result), json, _sprt_table(result, unbiased_elo(test, counts)))
    return 0


def _refuse(reason: object) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return EXIT_UNUSABLE


def _document(ratings: Ratings) -> dict[str, Any]:
    prior = {} if ratings.prior_elo is None else {"prior_elo": ratings.prior_elo}
    players = [
        {
            **asdict(player),
            "games": _count(player.games),
            "elo_95_half_width": player.elo_95_half_width,
        }
        for player in ratings.ranked()
    ]
    known = {"model": ratings.model, **prior, "anchor": ratings.anchor, "players": players}
    return {**known, "unrated": ratings.unrated}


def _ratings_table(ratings: Ratings) -> Table:
    table = Table(box=None)
    table.add_column("player")
    for heading in ("Elo", "±", "games"):
        table.add_column(heading, justify="right")
    for player in ratings.ranked():
        games = str(_count(player.games))
        width = f"{player.elo_95_half_width:.1f}"
        table.add_row(player.name, f"{player.elo:+.1f}", width, games)
    return table


def _sprt_table(result: SprtResult, unbiased: UnbiasedElo) -> Table:
    elo = f"{result.elo:.2f} ± {result.elo_95_half_width:.2f} (95 %)"
    corrected = f"{unbiased.elo:.2f} in ({unbiased.low:.2f}, {unbiased.high:.2f})"
    table = Table(box=None, show_header=False)
    table.add_row("state", result.state or "undecided: play on")
    table.add_row("llr", f"{result.llr:.4f} in ({result.lower:.4f}, {result.upper:.4f})")
    table.add_row("Elo", elo)
    table.add_row("Elo, unbiased by stopping", corrected)
    table.add_row("probability of being stronger", f"{result.los:.4f}")
    return table


def _count(games: float) -> int | float:
    return int(games) if games == int(games) else games
