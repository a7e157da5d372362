"""A simulation as a page of plots: games, strength, utilisation, queue and cost over virtual hours.
PNG or as named."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from ringrift.tools.simulation.world import World

COLOURS = "tab20"


def overview(world: World, path: Path, *, unaware: World | None = None) -> None:
    """Write the page. Dashed: without cost awareness."""
    figure, axes = pyplot.subplots(3, 2, figsize=(11, 9), dpi=110, sharex=True)
    samples = world.samples
    hours = [sample.hours for sample in samples]
    for number, config in enumerate(world.settings.configs):
        colour = matplotlib.colormaps[COLOURS](number % 20)
        axes[0, 0].plot(
            hours,
            [sample.games.get(config, 0) for sample in samples],
            color=colour,
            lw=1.1,
            label=config,
        )
        axes[0, 1].plot(hours, [sample.elo.get(config) for sample in samples], color=colour, lw=1.1)
    _utilisation(axes[1, 0], world, "-")
    for kind in samples[-1].waiting:
        axes[1, 1].plot(hours, [sample.waiting[kind] for sample in samples], lw=1.1, label=kind)
    axes[2, 0].plot(hours, [sample.cost for sample in samples], color="C0")
    axes[2, 1].plot(
        hours, [_price(sample) for sample in samples], color="C0", label="with cost awareness"
    )
    if unaware is not None:
        others = [sample.hours for sample in unaware.samples]
        axes[2, 0].plot(others, [sample.cost for sample in unaware.samples], "--", color="C3")
        axes[2, 1].plot(
            others,
            [_price(sample) for sample in unaware.samples],
            "--",
            color="C3",
            label="without",
        )
        axes[2, 1].legend(frameon=False, fontsize=7)
    titles = (
        "self-play games",
        "Elo of the current network above the heuristic",
        "busy share of the rented time",
        "tickets that wait",
        "cost so far",
        "cost of games worth an hour of reference play",
    )
    for each, title in zip(axes.flat, titles, strict=True):
        each.set_title(title, fontsize=9)
        each.spines[["top", "right"]].set_visible(False)
        for fault in world.faults:
            each.axvspan(
                fault.at_hours, fault.at_hours + fault.hours, color="#d9c9a3", alpha=0.4, lw=0
            )
    axes[0, 0].legend(frameon=False, fontsize=6, ncol=2)
    axes[1, 1].legend(frameon=False, fontsize=7)
    for each in axes[2]:
        each.set_xlabel("virtual hours", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def _price(sample: Any) -> float | None:
    return sample.cost / sample.reference_seconds * 3600.0 if sample.reference_seconds else None


def _utilisation(axes: Any, world: World, style: str) -> None:
    points = [
        (
            after.hours,
            (after.busy_seconds - before.busy_seconds) / (after.paid_seconds - before.paid_seconds),
        )
        for before, after in pairwise(world.samples)
        if after.paid_seconds > before.paid_seconds
    ]
    axes.plot([hour for hour, _ in points], [share for _, share in points], style, lw=1.1)
    axes.set_ylim(0.0, 1.05)
