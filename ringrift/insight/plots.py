"""Pictures of strength: Elo and scores over games, with error bars. Drawn without a display,
written as PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from ringrift.insight.generations import ConfigView
from ringrift.insight.strength.measurements import StrengthReport

INK, PROMOTED, REJECTED = "#2b2b2b", "#1f6f4a", "#b0563a"
AGAINST_RANDOM, AGAINST_HEURISTIC = "#0072b2", "#e69f00"


def elo_over_games(view: ConfigView, path: Path) -> None:
    """Write the Elo of every network of a config over the self-play games it was made from,
    baselines as lines."""
    rows = [row for _, row in sorted(view.generations.items()) if view.rating_of(row.model)]
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    base = view.rating("baseline:random")
    zero = base.elo if base else 0.0
    points = [(row, rating) for row in rows if (rating := view.rating_of(row.model))]
    axes.plot(
        [row.games for row, _ in points],
        [rating.elo - zero for _, rating in points],
        color=INK,
        lw=1,
        zorder=1,
    )
    for row, rating in points:
        colour = PROMOTED if row.promoted else REJECTED
        axes.errorbar(
            row.games,
            rating.elo - zero,
            yerr=1.96 * rating.se,
            fmt="o",
            color=colour,
            capsize=3,
            zorder=2,
        )
        axes.annotate(
            f"{row.number}",
            (row.games, rating.elo - zero),
            textcoords="offset points",
            xytext=(7, 5),
            color=colour,
        )
    for name, label in (("baseline:random", "random play"), ("baseline:heuristic", "heuristic")):
        if rating := view.rating(name):
            axes.axhline(
                rating.elo - zero, color=INK, lw=0.8, ls=":" if label == "random play" else "--"
            )
            _name_line(axes, label, rating.elo - zero)
    axes.set_xlabel("self-play games before training")
    axes.set_ylabel("Elo above random play, 95 % interval")
    axes.set_title(f"{view.config}: networks by generation (green promoted, red not)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def score_over_games(report: StrengthReport, path: Path) -> None:
    """Write the scores of every network of a config against both baselines over the self-play games
    it was made from.

    Squares are the matches of `ringrift strength` itself, with the budget it was given."""
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    for name, colour, label in (
        ("random", AGAINST_RANDOM, "random play"),
        ("heuristic", AGAINST_HEURISTIC, "heuristic"),
    ):
        points = [(point.games, share) for point in report.curve if (share := getattr(point, name))]
        bars = [
            [share - low for _, (share, low, _) in points],
            [high - share for _, (share, _, high) in points],
        ]
        games, shares = [games for games, _ in points], [share for _, (share, _, _) in points]
        axes.errorbar(
            games,
            shares,
            yerr=bars,
            fmt="o-",
            color=colour,
            lw=1,
            capsize=3,
            label=f"against {label}, each generation",
        )
        for result in report.results:
            if (
                result.opponent.startswith(f"baseline:{name}:")
                and ":policy:" not in result.candidate
            ):
                bar = [[result.score - result.low], [result.high - result.score]]
                text = (
                    f"{result.candidate.rpartition(':')[2]} against {label}, {result.games} games"
                )
                at = [report.games_generated]
                axes.errorbar(
                    at,
                    [result.score],
                    yerr=bar,
                    fmt="s",
                    ms=9,
                    mfc="none",
                    color=colour,
                    capsize=5,
                    label=text,
                )
    fair = 1 / int(report.config[-2])
    axes.axhline(fair, color=INK, lw=0.8, ls=":")
    _name_line(axes, "equal strength", fair)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("self-play games before training")
    axes.set_ylabel("share of games won, 95 % interval")
    axes.set_title(f"{report.config}: score against games generated", fontsize=10)
    axes.legend(fontsize=7, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def _name_line(axes: Axes, label: str, height: float) -> None:
    """Name a horizontal line under its right end: strength grows, so points near the line are at
    the left."""
    place = ("axes fraction", "data")
    axes.annotate(
        label, (0.99, height), (0, -3), place, "offset points", ha="right", va="top", fontsize=8
    )
