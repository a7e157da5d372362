"""Pictures of one config, drawn from the tables of the log."""

from collections.abc import Callable
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from ringrift.errors import CommandError
from ringrift.insight import plot_style as plots
from ringrift.insight.sql.log_tables import Connection, rows_of
from ringrift.insight.sql.ready_views import PRICES

BUCKETS, BARS = 40, 10
"""Steps of a time axis: of throughput, and of allocation."""
ELO = """
    WITH games AS (
        SELECT t.generation, sum(s.games) AS games
        FROM training_requested t
        JOIN selfplay_finished s ON s.config = t.config AND s.seq < t.seq
        WHERE t.config = $1 GROUP BY ALL
    ), verdicts AS (
        SELECT model, TRUE AS promoted FROM model_promoted
        UNION ALL SELECT model, FALSE FROM promotion_rejected
    )
    SELECT m.generation, any_value(g.games)::BIGINT AS games,
           max(l.elo) AS elo, any_value(l.se) AS se,
           coalesce(any_value(v.promoted), FALSE) AS promoted
    FROM model_registered m
    JOIN leaderboard l ON l.config = m.config AND l.participant LIKE m.model[:12] || ':%'
    JOIN games g USING (generation) LEFT JOIN verdicts v ON v.model = m.model
    WHERE m.config = $1 GROUP BY m.generation ORDER BY m.generation
"""
BASELINES = """
    SELECT split_part(participant, ':', 2) AS name, elo FROM leaderboard
    WHERE config = $1 AND participant IN ('baseline:random:s0', 'baseline:heuristic:s0')
"""
THROUGHPUT = f"""
    WITH span AS (
        SELECT min(time) AS low,
               greatest(epoch(max(time)) - epoch(min(time)), 60) / {BUCKETS} AS step
        FROM game_completed WHERE config = $1
    )
    SELECT origin, (floor((epoch(time) - epoch(low)) / step) * step)::DOUBLE AS second,
           count(*) / any_value(step) * 60 AS rate, any_value(low) AS low, any_value(step) AS step
    FROM game_completed, span WHERE config = $1 GROUP BY origin, second ORDER BY second
"""
LOSS = """
    SELECT generation, step, loss, validation_loss FROM training_progressed
    WHERE config = $1 ORDER BY generation, step
"""
COST = f"""
    SELECT time, work, seconds / 3600 AS hours, hours * per_hour AS cost
    FROM work LEFT JOIN {PRICES} USING (node) WHERE config = $1 ORDER BY time
"""
ALLOCATION = f"""
    WITH span AS (
        SELECT min(time) AS low, greatest(epoch(max(time)) - epoch(min(time)), 60) / {BARS} AS step
        FROM work
    ), cut AS (
        SELECT floor((epoch(time) - epoch(low)) / step) AS bucket, any_value(step) AS step,
               any_value(low) AS low, sum(seconds) AS total,
               sum(seconds) FILTER (config = $1 AND work = 'selfplay') AS selfplay,
               sum(seconds) FILTER (config = $1 AND work = 'training') AS training,
               sum(seconds) FILTER (config = $1 AND work = 'evaluation') AS evaluation
        FROM work, span GROUP BY bucket
    )
    SELECT bucket * step / 60 AS minutes, low, step / 60 AS width, total,
           coalesce(selfplay, 0) AS selfplay, coalesce(training, 0) AS training,
           coalesce(evaluation, 0) AS evaluation
    FROM cut WHERE total > 0 AND EXISTS (FROM work WHERE config = $1) ORDER BY bucket
"""


def elo(connection: Connection, config: str, path: Path) -> None:
    """Draw the Elo above random play of every network over the self-play games before its
    training."""
    rows = _rows(connection, "ratings", config, ELO)
    baselines = {row["name"]: row["elo"] for row in rows_of(connection, BASELINES, config)}
    plots.elo_over_games(config, (plots.EloPoint(**row) for row in rows), baselines, path)


def throughput(connection: Connection, config: str, path: Path) -> None:
    """Draw games per minute over time, by origin."""
    rows = _rows(connection, "games", config, THROUGHPUT)
    origins = sorted({row["origin"] for row in rows})
    width = rows[0]["step"] / 60 / len(origins)
    title, along = f"{config}: games per minute", plots.since(rows[0]["low"])
    with plots.figure(path, title, along, "games per minute") as axes:
        for number, origin in enumerate(origins):
            mine = [row for row in rows if row["origin"] == origin]
            left = [row["second"] / 60 + width * number for row in mine]
            colour = plots.WORK_COLOURS.get(origin, plots.INK)
            heights = [row["rate"] for row in mine]
            axes.bar(left, heights, width, align="edge", label=origin, color=colour)
        axes.set_ylim(bottom=0)
        plots.legend(axes)


def loss(connection: Connection, config: str, path: Path) -> None:
    """Draw training loss (line) and validation loss (dots) over steps, a colour per generation."""
    rows = _rows(connection, "loss curves (they are kept for seven days)", config, LOSS)
    generations = sorted({row["generation"] for row in rows})
    title = f"{config}: training loss by generation, dots: validation"
    with plots.figure(path, title, "step", "loss") as axes:
        for number, generation in enumerate(generations):
            colour = plots.shade(number / max(1, len(generations) - 1))
            mine = [row for row in rows if row["generation"] == generation]
            steps, losses = [row["step"] for row in mine], [row["loss"] for row in mine]
            axes.plot(steps, losses, color=colour, lw=1.2, label=str(generation))
            seen = [row for row in mine if row["validation_loss"] is not None]
            steps, losses = [row["step"] for row in seen], [row["validation_loss"] for row in seen]
            axes.plot(steps, losses, "o", ms=3, color=colour)
        plots.legend(axes, title="generation")


def cost(connection: Connection, config: str, path: Path) -> None:
    """Draw the accumulated cost of work over time, by kind; its hours if a node that did some is
    not registered with its price."""
    rows = _rows(connection, "finished work", config, COST)
    unit = "cost" if all(row["cost"] is not None for row in rows) else "hours"
    start = min(row["time"] - timedelta(hours=row["hours"]) for row in rows)
    minutes = [(row["time"] - start).total_seconds() / 60 for row in rows]
    with plots.figure(path, f"{config}: {unit} of work so far", plots.since(start), unit) as axes:
        for work, colour in plots.WORK_COLOURS.items():
            spent = [row[unit] if row["work"] == work else 0.0 for row in rows]
            sums = [0.0, *accumulate(spent)]
            axes.step([0.0, *minutes], sums, where="post", color=colour, label=work)
        axes.set_ylim(bottom=0)
        plots.legend(axes)


def allocation(connection: Connection, config: str, path: Path) -> None:
    """Draw the share of each kind of work of the config in the seconds of all configs."""
    rows = _rows(connection, "finished work", config, ALLOCATION)
    minutes, width = [row["minutes"] for row in rows], rows[0]["width"] * 0.9
    title, along = f"{config}: share of all work by kind", plots.since(rows[0]["low"])
    with plots.figure(path, title, along, "share of the seconds of all configs") as axes:
        base = [0.0] * len(rows)
        for work, colour in plots.WORK_COLOURS.items():
            share = [row[work] / row["total"] for row in rows]
            axes.bar(minutes, share, width, base, align="edge", color=colour, label=work)
            base = [low + part for low, part in zip(base, share, strict=True)]
        axes.set_ylim(0, 1)
        plots.legend(axes, ncol=3, loc="upper left", bbox_to_anchor=(0.0, -0.14))


Plot = Callable[[Connection, str, Path], None]
PLOTS: dict[str, Plot] = {
    "elo": elo,
    "throughput": throughput,
    "loss": loss,
    "cost": cost,
    "allocation": allocation,
}


def _rows(connection: Connection, what: str, config: str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query for one config. Raises CommandError if there are none."""
    rows = list(rows_of(connection, sql, config))
    if not rows:
        played = "SELECT DISTINCT scope FROM log WHERE type = 'SelfplayPlanned' ORDER BY scope"
        known = ", ".join(row["scope"] for row in rows_of(connection, played)) or "none"
        raise CommandError(f"the log has no {what} of {config}; configs with self-play: {known}")
    return rows
