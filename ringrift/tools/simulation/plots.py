"""A simulation as a page of plots over virtual hours."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from ringrift.insight import plot_style as plots
from ringrift.tools.simulation.fleet import Fleet, Sample

SIZE = (11.0, 9.0)
TITLES = (
    "self-play games",
    "Elo of the incumbent above the heuristic",
    "busy share of the rented time",
    "waiting tickets",
    "cost so far",
    "cost of games worth an hour of reference play",
)


def overview(fleet: Fleet, path: Path, *, unaware: Fleet | None = None) -> None:
    """Write the page. The dashed lines are the run without cost awareness."""
    with plots.page(path, 3, 2, SIZE) as axes:
        for each, title in zip(axes.flat, TITLES, strict=True):
            each.set_title(title, fontsize=9)
            for fault in fleet.faults:
                end = fault.at_hours + fault.hours
                each.axvspan(fault.at_hours, end, color=plots.SHADE, alpha=0.4, lw=0)
        _configs(fleet, axes[0, 0], axes[0, 1])
        _utilisation(fleet, axes[1, 0])
        for kind in fleet.samples[-1].waiting:
            waiting = [sample.waiting[kind] for sample in fleet.samples]
            colour = plots.WORK_COLOURS[kind]
            axes[1, 1].plot(_hours(fleet), waiting, color=colour, lw=1.1, label=kind)
        plots.legend(axes[1, 1], fontsize=7)
        _costs(fleet, axes[2], "-", "C0", "with cost awareness")
        if unaware is not None:
            _costs(unaware, axes[2], "--", "C3", "without")
            plots.legend(axes[2, 1], fontsize=7)
        for each in axes[2]:
            each.set_xlabel("virtual hours", fontsize=8)
            each.set_xlim(0.0, fleet.hours)


def _hours(fleet: Fleet) -> list[float]:
    return [sample.hours for sample in fleet.samples]


def _configs(fleet: Fleet, games: Any, elo: Any) -> None:
    """Games and strength of each config."""
    for number, config in enumerate(fleet.settings.configs):
        colour = plots.distinct(number)
        played = [sample.games.get(config, 0) for sample in fleet.samples]
        games.plot(_hours(fleet), played, color=colour, lw=1.1, label=config)
        strength = [sample.elo.get(config) for sample in fleet.samples]
        elo.plot(_hours(fleet), strength, color=colour, lw=1.1)
    plots.legend(games, fontsize=6, ncol=2)


def _utilisation(fleet: Fleet, axes: Any) -> None:
    hours, shares = [], []
    for before, after in pairwise(fleet.samples):
        paid = after.paid_seconds - before.paid_seconds
        if paid > 0:
            hours.append(after.hours)
            shares.append((after.busy_seconds - before.busy_seconds) / paid)
    axes.plot(hours, shares, lw=1.1)
    axes.set_ylim(0.0, 1.05)


def _costs(fleet: Fleet, axes: Any, style: str, colour: str, label: str) -> None:
    """The cost, and the price of an hour of reference play."""
    axes[0].plot(_hours(fleet), [sample.cost for sample in fleet.samples], style, color=colour)
    prices = [_price(sample) for sample in fleet.samples]
    axes[1].plot(_hours(fleet), prices, style, color=colour, label=label)


def _price(sample: Sample) -> float | None:
    hours = sample.reference_seconds / 3600.0
    return sample.cost / hours if hours else None
