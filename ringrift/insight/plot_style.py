"""The style of all pictures: figures, colours, named lines. And the picture of Elo over games."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ringrift.errors import CommandError
from ringrift.insight.elo import elo_label, elo_text
from ringrift.insight.generations import ConfigView

INK, FAINT, SHADE = "#2b2b2b", "#8b8170", "#d9c9a3"
VERDICTS = {
    True: ("promoted", "o", "#1f6f4a"),
    False: ("rejected", "x", "#b0563a"),
    None: ("not judged yet", "s", FAINT),
}
"""Label, marker and colour of a network by whether it was promoted."""
WORK_COLOURS = {"selfplay": "#0072b2", "training": "#e69f00", "evaluation": "#009e73"}
"""Okabe and Ito (2008): the colour-blind can distinguish these."""
BASELINES = (("random", "random play", ":"), ("heuristic", "heuristic", "--"))
"""Name, label and line style."""
SIZE = (7.2, 4.2)
"""Inches."""


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
    """Draw the Elo of every network of a config above the anchor, and that of both baselines, over
    the self-play games before its training. Bars are 95 % intervals of what they stand on."""
    title = f"{view.config}: networks by generation"
    with figure(path, title, "self-play games before training", elo_label(view.anchor)) as axes:
        drawn = [
            (row.promoted, number, row.games, rating)
            for number, row in sorted(view.generations.items())
            if (rating := view.rating_of(row.model))
        ]
        for promoted, (label, marker, colour) in VERDICTS.items():
            mine = [(games, row) for verdict, _, games, row in drawn if verdict is promoted]
            if mine:
                axes.errorbar(
                    [games for games, _ in mine],
                    [row.elo for _, row in mine],
                    [row.elo_95_half_width for _, row in mine],
                    fmt=f"{marker}-" if promoted else marker,
                    **{"color": colour, "lw": 1, "capsize": 3, "label": label},
                )
        for promoted, number, games, row in drawn:
            look = {"color": VERDICTS[promoted][2], "fontsize": 8}
            axes.annotate(str(number), (games, row.elo), (5, 4), "data", "offset points", **look)
        for name, label, style in BASELINES:
            if baseline := view.rating(f"baseline:{name}:"):
                named_line(axes, f"{label} {elo_text(baseline)}", baseline.elo, style)
        axes.margins(y=0.12)  # room for the name of the lowest line
        if drawn:
            legend(axes)
