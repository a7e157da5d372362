"""Strength on a page: tables of results and ladders, the report in Markdown and its picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from ringrift.events.facts import seats_of
from ringrift.insight import plot_style as plots
from ringrift.insight.describe import short, table
from ringrift.insight.strength.measurements import MatchResult, Rung, Share, StrengthReport

BASELINES = {"random": ("random play", "#0072b2"), "heuristic": ("heuristic", "#e69f00")}
"""Label and colour by purpose."""


def write_report(report: StrengthReport, page: Path) -> Path:
    """Write the report to `page` and its picture next to it; return the path of the picture."""
    picture = page.with_suffix(".png")
    score_over_games(report, picture)
    page.write_text(markdown(report, picture.name), encoding="utf-8")
    return picture


def markdown(report: StrengthReport, picture: str) -> str:
    """Return the report as a page; `picture` is the file name of the picture."""
    generated = f"trained after {report.games_generated:,} self-play games"
    command = f"ringrift strength --config {report.config} --model {short(report.model)} --report"
    lines = [
        f"# Strength of {report.config}, generation {report.generation}",
        "",
        f"Network `{report.model}`, {generated}. Every start is played once per seat;",
        "intervals are Wilson's at 95 %. Derived from the log alone by",
        f"`{command}`.",
        "",
        "| player | against | games | won | 95 % interval | fair share | verdict |",
        "|---|---|--:|--:|--:|--:|---|",
        *(f"| {' | '.join(map(str, _cells(row)))} |" for row in report.results),
        "",
        f"![share of games won over games generated]({picture})",
        "",
        "| generation | games before | against random | against the heuristic | promoted |",
        "|--:|--:|--:|--:|---|",
    ]
    for point in report.curve:
        promoted = {None: "", True: "yes", False: "no"}[point.promoted]
        shares = f"{_share_text(point.random)} | {_share_text(point.heuristic)}"
        lines.append(f"| {point.generation} | {point.games:,} | {shares} | {promoted} |")
    return "\n".join(lines) + "\n"


def score_over_games(report: StrengthReport, path: Path) -> None:
    """Draw the scores of every network of the config against both baselines, over the self-play
    games before its training. Squares are the matches of `ringrift strength`."""
    title = f"{report.config}: score over games generated"
    along, up = "self-play games before training", "share of games won, 95 % interval"
    with plots.figure(path, title, along, up) as axes:
        for name, (label, colour) in BASELINES.items():
            points = [
                (point.games, share) for point in report.curve if (share := getattr(point, name))
            ]
            style = {"fmt": "o-", "color": colour, "lw": 1, "capsize": 3}
            _draw(axes, points, label=f"against {label}, each generation", **style)
            for result in report.results:
                searched = ":policy:" not in result.candidate
                if searched and result.opponent.startswith(f"baseline:{name}:"):
                    budget = result.candidate.rpartition(":")[2]
                    text = f"{budget} against {label}, {result.games} games"
                    share = (result.score, result.low, result.high)
                    style = {"fmt": "s", "ms": 9, "mfc": "none", "color": colour, "capsize": 5}
                    _draw(axes, [(report.games_generated, share)], label=text, **style)
        plots.named_line(axes, "equal strength", 1 / seats_of(report.config), ":")
        axes.set_ylim(-0.02, 1.02)
        plots.legend(axes, fontsize=7, loc="lower right")


def _draw(axes: Any, points: list[tuple[int, Share]], **style: Any) -> None:
    shares = [share for _, share in points]
    bars = [[share - low for share, low, _ in shares], [high - share for share, _, high in shares]]
    axes.errorbar([games for games, _ in points], [share for share, *_ in shares], bars, **style)


def results_table(title: str, results: Iterable[MatchResult]) -> Table:
    """Return a table with one row per match."""
    columns = ("player", "against", ">games", ">won", ">95 % interval", ">fair share", "verdict")
    return table(columns, map(_cells, results), title)


def ladder_table(config: str, rungs: Iterable[Rung]) -> Table:
    """Return a table with one row per rung."""
    columns = ("player", ">simulations", ">against", ">games", ">won", ">95 % interval", "verdict")
    rows = []
    for rung in rungs:
        _, _, games, won, interval, _, verdict = _cells(rung.result)
        rows.append((rung.player, rung.budget, rung.below, games, won, interval, verdict))
    return table(columns, rows, f"{config}: strength by budget")


def _cells(row: MatchResult) -> tuple[Any, ...]:
    interval = f"{row.low:.1%} to {row.high:.1%}"
    score, fair = f"{row.score:.1%}", f"{row.fair:.1%}"
    return row.candidate, row.opponent, row.games, score, interval, fair, row.verdict


def _share_text(share: Share | None) -> str:
    return f"{share[0]:.1%} ({share[1]:.1%} to {share[2]:.1%})" if share else ""
