"""The style of all pictures: figures, colours, named lines. And the picture of Elo over games."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ringrift.errors import CommandError
from ringrift.insight.generations import ConfigView

INK, FAINT, SHADE = "#2b2b2b", "#8b8170", "#d9c9a3"
PROMOTED, REJECTED = "#1f6f4a", "#b0563a"
WORK_COLOURS = {"selfplay": "#0072b2", "training": "#e69f00", "evaluation": "#009e73"}
"""Okabe and Ito (2008): the colour-blind can distinguish these."""
BASELINES = (("random", "random play", ":"), ("heuristic", "heuristic", "--"))
"""Name, label and line style."""
SIZE = (7.2, 4.2)
"""Inches."""
Z_95 = 1.96
"""Standard errors on each side of a 95 % interval."""


@contextlib.contextmanager
def page(path: Path, rows: int, columns: int, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a grid of axes with one common horizontal axis; save it to `path` afterwards.

    The suffix of `path` selects the format, such as PNG or SVG. Raises CommandError if matplotlib
    cannot write it."""
    import matplotlib  # takes half a second to import

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise CommandError(f"{path}: the suffix must be one of {', '.join(sorted(known))}")
    drawing, axes = pyplot.subplots(rows, columns, figsize=size, dpi=120, sharex=True)
    try:
        for one in drawing.axes:
            one.spines[["top", "right"]].set_visible(False)
        yield axes
        drawing.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path)
    finally:
        pyplot.close(drawing)


@contextlib.contextmanager
def figure(path: Path, title: str, along: str, up: str) -> Iterator[Any]:
    """Yield the axes of a single picture with its title and the names of both axes."""
    with page(path, 1, 1, SIZE) as axes:
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(along)
        axes.set_ylabel(up)
        yield axes


def legend(axes: Any, **options: Any) -> None:
    """Add a legend without a frame."""
    axes.legend(**{"frameon": False, "fontsize": 8, **options})


def shade(share: float) -> Any:
    """Return a colour for a place 0..1 in a sequence."""
    import matplotlib

    return matplotlib.colormaps["viridis"](0.9 * share)


def distinct(number: int) -> Any:
    """Return one of 20 colours that are easy to distinguish."""
    import matplotlib

    return matplotlib.colormaps["tab20"](number % 20)


def since(start: datetime) -> str:
    """Return the name of a time axis in minutes."""
    return f"minutes since {start:%Y-%m-%d %H:%M} UTC"


def named_line(axes: Any, label: str, height: float, style: str) -> None:
    """Draw a horizontal line with its name below the right end, where few points are."""
    axes.axhline(height, color=INK, lw=0.8, ls=style)
    place = ("axes fraction", "data")
    axes.annotate(
        label, (0.99, height), (0, -3), place, "offset points", ha="right", va="top", fontsize=8
    )


def elo_over_games(view: ConfigView, path: Path) -> None:
    """Draw the Elo of every network of a config above random play, and that of both baselines, over
    the self-play games before its training."""
    rated = {name: view.rating(f"baseline:{name}:") for name, _, _ in BASELINES}
    baselines = {name: rating.elo for name, rating in rated.items() if rating}
    zero = baselines.get("random", 0.0)
    title = f"{view.config}: networks by generation (green: promoted, red: not)"
    up = "Elo above random play, 95 % interval"
    with figure(path, title, "self-play games before training", up) as axes:
        line = []
        for number, row in sorted(view.generations.items()):
            if rating := view.rating_of(row.model):
                at = (row.games, rating.elo - zero)
                look = {"color": PROMOTED if row.promoted else REJECTED}
                axes.errorbar(*at, yerr=Z_95 * rating.se, fmt="o", capsize=3, zorder=2, **look)
                axes.annotate(str(number), at, (7, 5), "data", "offset points", **look)
                line.append(at)
        axes.plot(*zip(*line, strict=True), color=INK, lw=1, zorder=1)
        for name, label, style in BASELINES:
            if name in baselines:
                named_line(axes, label, baselines[name] - zero, style)
