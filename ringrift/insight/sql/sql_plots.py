"""Pictures of one config, from the tables of the log. Drawn without a display, written as PNG (or
what the file's name says)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from ringrift.insight.plots import INK, PROMOTED, REJECTED
from ringrift.insight.sql.ready_views import PRICES
from ringrift.insight.sql.tables import Connection, rows_of

BUCKETS = 40
"""steps of a time axis"""
BARS = 10
WORK_COLOURS = {"selfplay": "#0072b2", "training": "#e69f00", "evaluation": "#009e73"}


class NothingToPlot(Exception):
    """The log has nothing of the kind for this config."""


def elo(connection: Connection, config: str, path: Path) -> None:
    """Elo above random play of every network over the self-play games before its training, with 95
    % intervals."""
    rows = _rows(
        connection,
        "ratings",
        config,
        """
        WITH games AS (SELECT t.generation, sum(s.games) AS games FROM training_requested t JOIN selfplay_finished s
                       ON s.config = t.config AND s.seq < t.seq WHERE t.config = $1 GROUP BY ALL),
             verdicts AS (SELECT model, TRUE AS promoted FROM model_promoted UNION ALL SELECT model, FALSE FROM promotion_rejected),
             zero AS (SELECT coalesce(max(elo), 0) AS elo FROM leaderboard
                      WHERE config = $1 AND participant LIKE 'baseline:random:%')
        SELECT m.generation, any_value(g.games) AS games, max(l.elo) - any_value(zero.elo) AS elo, any_value(l.se) AS se,
               coalesce(any_value(v.promoted), FALSE) AS promoted
        FROM model_registered m JOIN leaderboard l ON l.config = m.config AND l.participant LIKE m.model[:12] || ':%'
        JOIN games g USING (generation) LEFT JOIN verdicts v ON v.model = m.model CROSS JOIN zero
        WHERE m.config = $1 GROUP BY m.generation ORDER BY m.generation
    """,
    )
    figure, axes = _figure(
        f"{config}: networks by generation (green promoted, red not)",
        "self-play games before training",
    )
    axes.plot(
        [row["games"] for row in rows], [row["elo"] for row in rows], color=INK, lw=1, zorder=1
    )
    for row in rows:
        colour = PROMOTED if row["promoted"] else REJECTED
        axes.errorbar(
            row["games"],
            row["elo"],
            yerr=1.96 * row["se"],
            fmt="o",
            color=colour,
            capsize=3,
            zorder=2,
        )
        axes.annotate(
            str(row["generation"]),
            (row["games"], row["elo"]),
            textcoords="offset points",
            xytext=(7, 5),
        )
    axes.set_ylabel("Elo above random play, 95 % interval")
    _save(figure, path)


def throughput(connection: Connection, config: str, path: Path) -> None:
    """Games a minute over time, self-play and evaluation."""
    rows = _rows(
        connection,
        "games",
        config,
        f"""
        WITH span AS (SELECT min(time) AS low, greatest(epoch(max(time)) - epoch(min(time)), 60) / {BUCKETS} AS step
                      FROM game_completed WHERE config = $1)
        SELECT origin, (floor((epoch(time) - epoch(low)) / step) * step)::DOUBLE AS second, count(*) / any_value(step) * 60 AS rate,
               any_value(low) AS low, any_value(step) AS step
        FROM game_completed, span WHERE config = $1 GROUP BY origin, second ORDER BY second
    """,
    )
    figure, axes = _figure(f"{config}: games a minute", f"minutes since {_time(rows[0]['low'])}")
    width = rows[0]["step"] / 60
    for number, origin in enumerate(origins := sorted({row["origin"] for row in rows})):
        mine = [row for row in rows if row["origin"] == origin]
        left = [row["second"] / 60 + width * number / len(origins) for row in mine]
        axes.bar(
            left,
            [row["rate"] for row in mine],
            width=width / len(origins),
            align="edge",
            label=origin,
            color=WORK_COLOURS.get(origin, INK),
        )
    axes.set_ylabel("games a minute")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(figure, path)


def loss(connection: Connection, config: str, path: Path) -> None:
    """Training loss (line) and validation loss (dots) over steps, a colour a generation. Curves are
    kept for days only."""
    rows = _rows(
        connection,
        "loss curves (they are kept for seven days)",
        config,
        """
        SELECT generation, step, loss, validation_loss FROM training_progressed WHERE config = $1 ORDER BY generation, step
    """,
    )
    figure, axes = _figure(f"{config}: training loss by generation, dots: validation", "step")
    generations = sorted({row["generation"] for row in rows})
    colours = pyplot.get_cmap("viridis")
    for number, generation in enumerate(generations):
        colour = colours(0.9 * number / max(1, len(generations) - 1))
        mine = [row for row in rows if row["generation"] == generation]
        axes.plot(
            [row["step"] for row in mine],
            [row["loss"] for row in mine],
            color=colour,
            lw=1.2,
            label=str(generation),
        )
        seen = [row for row in mine if row["validation_loss"] is not None]
        axes.plot(
            [row["step"] for row in seen],
            [row["validation_loss"] for row in seen],
            "o",
            ms=3,
            color=colour,
        )
    axes.set_ylabel("loss")
    axes.legend(title="generation", frameon=False, fontsize=8)
    _save(figure, path)


def cost(connection: Connection, config: str, path: Path) -> None:
    """What work has cost so far, by kind, over time; in hours where not every node that did it is
    registered with its price."""
    rows = _rows(
        connection,
        "finished work",
        config,
        f"""
        SELECT time, work, seconds / 3600 AS hours, hours * an_hour AS cost FROM work LEFT JOIN {PRICES} USING (node)
        WHERE config = $1 ORDER BY time
    """,
    )
    unit = "cost" if all(row["cost"] is not None for row in rows) else "hours"
    start = min(row["time"] - timedelta(hours=row["hours"]) for row in rows)
    minutes = [(row["time"] - start).total_seconds() / 60 for row in rows]
    figure, axes = _figure(f"{config}: {unit} of work so far", f"minutes since {_time(start)}")
    for work, colour in WORK_COLOURS.items():
        spent = [row[unit] if row["work"] == work else 0.0 for row in rows]
        axes.step(
            [0.0, *minutes], [0.0, *accumulate(spent)], where="post", color=colour, label=work
        )
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(figure, path)


def allocation(connection: Connection, config: str, path: Path) -> None:
    """How the seconds of work were shared: by kind within the config, and the config's part of all
    configs (dashed)."""
    rows = _rows(
        connection,
        "finished work",
        config,
        f"""
        WITH span AS (SELECT min(time) AS low, greatest(epoch(max(time)) - epoch(min(time)), 60) / {BARS} AS step FROM work),
             cut AS (SELECT floor((epoch(time) - epoch(low)) / step) AS bucket, any_value(step) AS step, any_value(low) AS low,
                            sum(seconds) FILTER (config = $1 AND work = 'selfplay') AS selfplay,
                            sum(seconds) FILTER (config = $1 AND work = 'training') AS training,
                            sum(seconds) FILTER (config = $1 AND work = 'evaluation') AS evaluation, sum(seconds) AS total
                     FROM work, span GROUP BY bucket)
        SELECT bucket * step / 60 AS minutes, low, step / 60 AS width, coalesce(selfplay, 0) AS selfplay,
               coalesce(training, 0) AS training, coalesce(evaluation, 0) AS evaluation, total
        FROM cut WHERE total > 0 AND EXISTS (FROM work WHERE config = $1) ORDER BY bucket
    """,
    )
    figure, axes = _figure(
        f"{config}: share of all work by kind", f"minutes since {_time(rows[0]['low'])}"
    )
    base = [0.0] * len(rows)
    for work, colour in WORK_COLOURS.items():
        share = [row[work] / row["total"] for row in rows]
        minutes, width = [row["minutes"] for row in rows], rows[0]["width"]
        axes.bar(
            minutes, share, width=width * 0.9, bottom=base, align="edge", color=colour, label=work
        )
        base = [low + part for low, part in zip(base, share, strict=True)]
    axes.set_ylabel("share of the seconds of all configs")
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, ncol=3, loc="upper left", bbox_to_anchor=(0.0, -0.14))
    _save(figure, path)


Plot = Callable[[Connection, str, Path], None]
PLOTS: dict[str, Plot] = {
    "elo": elo,
    "throughput": throughput,
    "loss": loss,
    "cost": cost,
    "allocation": allocation,
}


def _rows(connection: Connection, what: str, config: str, sql: str) -> list[dict[str, Any]]:
    rows = list(rows_of(connection, sql, config))
    if not rows:
        known = [
            row["scope"]
            for row in rows_of(
                connection, "SELECT DISTINCT scope FROM log WHERE type = 'SelfplayPlanned'"
            )
        ]
        raise NothingToPlot(
            f"the log has no {what} of {config}; configs that were played: {', '.join(sorted(known)) or 'none'}"
        )
    return rows


def _figure(title: str, along: str) -> tuple[Any, Any]:
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(along)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
