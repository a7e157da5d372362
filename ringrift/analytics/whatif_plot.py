"""Decisions over time, as recorded and as another policy would have taken them. Written as PNG (or what the file's name says)."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from ringrift.analytics.whatif import Decision, WhatIf


def decisions_over_time(found: WhatIf, path: Path) -> None:
    """Write the running count of each kind of decision: a line as recorded, dashed as tried."""
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    everything = [*found.recorded, *found.tried]
    start = min((item.cause.time for item in everything), default=None)
    kinds = sorted({type(item.fact).__name__ for item in everything})

    def draw(decisions: list[Decision], kind: str, style: str, colour: str, label: str) -> None:
        times = sorted(item.cause.time for item in decisions if type(item.fact).__name__ == kind)
        minutes = [(time - start).total_seconds() / 60 for time in times if start is not None]
        axes.step(minutes, range(1, len(minutes) + 1), style, where="post", color=colour, label=label, lw=1.4)

    for number, kind in enumerate(kinds):
        draw(found.recorded, kind, "-", f"C{number}", f"{kind}, recorded")
        draw(found.tried, kind, "--", f"C{number}", f"{kind}, tried")
    if found.differences and start is not None:
        first = found.differences[0]
        item = first.tried or first.recorded
        assert item is not None
        axes.axvline((item.cause.time - start).total_seconds() / 60, color="#8b8170", lw=0.8, ls=":")
    axes.set_title(f"{found.policy}: decisions on EVENTS/{found.since + 1}..{found.until}, dotted: first divergence", fontsize=10)
    axes.set_xlabel(f"minutes since {start:%Y-%m-%d %H:%M} UTC" if start else "")
    axes.set_ylabel("decisions so far")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    if kinds:
        axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
