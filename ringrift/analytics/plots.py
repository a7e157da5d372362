"""Pictures: Elo over games, with error bars. Drawn without a display, written as PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from ringrift.analytics.generations import ConfigView

INK, PROMOTED, REJECTED = "#2b2b2b", "#1f6f4a", "#b0563a"


def elo_over_games(view: ConfigView, path: Path) -> None:
    """Write the Elo of every network of a config over the self-play games it was made from, baselines as lines."""
    rows = [row for _, row in sorted(view.generations.items()) if view.rating_of(row.model)]
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    base = view.rating("baseline:random")
    zero = base.elo if base else 0.0
    points = [(row, rating) for row in rows if (rating := view.rating_of(row.model))]
    axes.plot([row.games for row, _ in points], [rating.elo - zero for _, rating in points], color=INK, lw=1, zorder=1)
    for row, rating in points:
        colour = PROMOTED if row.promoted else REJECTED
        axes.errorbar(row.games, rating.elo - zero, yerr=1.96 * rating.se, fmt="o", color=colour, capsize=3, zorder=2)
        axes.annotate(f"{row.number}", (row.games, rating.elo - zero), textcoords="offset points", xytext=(7, 5), color=colour)
    for name, label in (("baseline:random", "random play"), ("baseline:heuristic", "heuristic")):
        if rating := view.rating(name):
            axes.axhline(rating.elo - zero, color=INK, lw=0.8, ls=":" if label == "random play" else "--")
            axes.annotate(label, (0.01, rating.elo - zero), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    axes.set_xlabel("self-play games before training")
    axes.set_ylabel("Elo above random play, 95 % interval")
    axes.set_title(f"{view.config}: networks by generation (green promoted, red not)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
