"""`ringrift rating fit` and `ringrift rating sprt`: the statistics of the loop on games or counts
of one's own."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from ringrift.deciders.stats.plackett_luce import NoFiniteRatingError, RatingError, Ratings, fit
from ringrift.deciders.stats.sprt import Model, Sprt, SprtError, SprtResult, evaluate
from ringrift.deciders.stats.sprt_bias import UnbiasedElo, unbiased_elo
from ringrift.tools.rating_files import RatingFileError, read_games

EXIT_BAD_INPUT = 2
FALLBACK_PRIOR_ELO = 400.0
"""Used, and said so, where the games alone have no finite rating: a normal prior this wide around
the mean on each player."""


def fit_command(options: argparse.Namespace) -> int:
    """`ringrift rating fit`."""
    return rating_fit_main(options.file, options.json)


def sprt_command(options: argparse.Namespace) -> int:
    """`ringrift rating sprt`."""
    return rating_sprt_main(
        options.results,
        options.elo0,
        options.elo1,
        options.alpha,
        options.beta,
        options.model,
        options.json,
    )


def rating_fit_main(file: str | Path, as_json: bool, prior_elo: float | None = None) -> int:
    """Rate the games of a CSV file and print the table; 0, or 2 with one line of error on bad
    input.

    Without `prior_elo` the estimate is plain maximum likelihood; where that is not finite (a
    sweep), the fallback prior is used, named on stderr and as `prior_elo` in the JSON."""
    try:
        games = read_games(Path(file))
        try:
            ratings = fit(games, prior_elo)
        except NoFiniteRatingError as error:
            print(
                f"note: {error}; using a prior of N(0, {FALLBACK_PRIOR_ELO:g} Elo) on each player",
                file=sys.stderr,
            )
            ratings = fit(games, FALLBACK_PRIOR_ELO)
    except OSError as error:
        return _refuse(f"cannot read {file}: {error.strerror}; give an existing CSV file")
    except (RatingFileError, RatingError) as error:
        return _refuse(str(error))
    if as_json:
        print(json.dumps(_ratings_document(ratings), indent=1))
    else:
        _print_ratings(ratings)
    return 0


def rating_sprt_main(
    results: str | Sequence[float],
    elo0: float,
    elo1: float,
    alpha: float,
    beta: float,
    model: str,
    as_json: bool,
) -> int:
    """Where a sequential test stands on `results` (three or five counts, worst score first); 0, or
    2 on bad input."""
    try:
        counts = _counts(results) if isinstance(results, str) else list(results)
        if len(counts) not in (3, 5):
            raise SprtError(
                f"{len(counts)} counts in results; give 3 (L D W) or 5 (LL LD LW+DD DW WW)"
            )
        test = Sprt(elo0=elo0, elo1=elo1, alpha=alpha, beta=beta, model=cast(Model, model))
        result = evaluate(test, counts)
    except SprtError as error:
        return _refuse(str(error))
    if as_json:
        print(json.dumps(asdict(result), indent=1))
    else:
        _print_sprt(result, unbiased_elo(test, counts))
    return 0


def _counts(text: str) -> list[float]:
    """Counts separated by commas, spaces or both, as in "10, 20, 30" or "[10 20 30]"."""
    words = text.strip().strip("[]()").replace(",", " ").split()
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise SprtError(
            f"results {text!r}: {error}; give counts such as 39,2226,31451,2412,40"
        ) from error


def _ratings_document(ratings: Ratings) -> dict[str, object]:
    document: dict[str, object] = {"model": ratings.model}
    if ratings.prior_elo is not None:
        document["prior_elo"] = ratings.prior_elo
    document["players"] = [
        asdict(player) | {"games": _count(player.games)} for player in ratings.ranked()
    ]
    return document


def _print_ratings(ratings: Ratings) -> None:
    table = Table(box=None)
    table.add_column("player")
    for heading in ("Elo", "±SE", "games"):
        table.add_column(heading, justify="right")
    for player in ratings.ranked():
        table.add_row(
            player.name, f"{player.elo:+.1f}", f"{player.se:.1f}", f"{_count(player.games)}"
        )
    console = Console(highlight=False, markup=False)
    console.print(f"{ratings.model}, mean of all players 0")
    console.print(table)


def _print_sprt(result: SprtResult, unbiased: UnbiasedElo) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("state", result.state or "undecided: play on")
    table.add_row("llr", f"{result.llr:.4f} in ({result.lower:.4f}, {result.upper:.4f})")
    table.add_row("Elo", f"{result.elo:.2f} ± {result.elo_95_half_width:.2f} (95 %)")
    table.add_row(
        "Elo, unbiased by stopping",
        f"{unbiased.elo:.2f} in ({unbiased.low:.2f}, {unbiased.high:.2f})",
    )
    table.add_row("probability of being stronger", f"{result.los:.4f}")
    Console(highlight=False, markup=False).print(table)


def _count(games: float) -> int | float:
    return int(games) if games == int(games) else games


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return EXIT_BAD_INPUT
