"""Pictures of one config, drawn from the tables of the log; only that of Elo, which `ringrift up`
draws as well, from a fold of the log."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ringrift.errors import CommandError
from ringrift.insight import plot_style as plots
from ringrift.insight.generations import LoopView
from ringrift.insight.sql.log_tables import Connection, rows_of
from ringrift.insight.sql.ready_views import PRICES
from ringrift.log.protocol import Log, Progress

BUCKETS, BARS = 40, 10
"""Steps of a time axis: of throughput, and of allocation."""
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
USED = """
    SELECT (epoch(time) - epoch($1::TIMESTAMP)) / 60 AS minute,
           100 * coalesce(sum(core_seconds) FILTER (used), 0) / sum(core_seconds) AS used
    FROM utilisation WHERE time >= $1::TIMESTAMP GROUP BY time ORDER BY time
"""
LOSS = """
    SELECT generation, step, loss, validation_loss FROM training_progressed
    WHERE config = $1 ORDER BY generation, step
"""
COST = f"""
    SELECT time, work, seconds / 3600 AS hours, hours * per_hour AS cost,
           time - to_microseconds((seconds * 1e6)::BIGINT) AS begun
    FROM work LEFT JOIN {PRICES} USING (node) WHERE config = $1 ORDER BY time
"""
EFFICIENCY = """
    SELECT time, elo_per_hour AS "Elo per hour", elo_per_node_hour AS "Elo per hour of a node",
           coalesce(elo_per_cost, 'nan'::DOUBLE) AS "Elo per unit of currency"
    FROM efficiency_measured WHERE config = $1 ORDER BY time
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


async def elo(log: Log, config: str, path: Path, progress: Progress | None = None) -> None:
    """Draw the Elo of every network above the anchor. Raises CommandError without ratings."""
    loop = await LoopView.read(log, progress)
    view = loop.configs.get(config)
    if view is None or not view.ratings:
        raise _nothing(
            "ratings", config, (view.config for view in loop.configs.values() if view.plies)
        )
    plots.elo_over_games(view, path)


def throughput(connection: Connection, config: str, path: Path) -> None:
    """Draw games per minute over time, by origin, and the share of all cores that was used."""
    found = _columns(connection, "games", config, THROUGHPUT)
    origins = sorted(set(found["origin"]))
    width = found["step"][0] / 60 / len(origins)
    title, along = f"{config}: games per minute", plots.since(found["low"][0].item())
    with plots.figure(path, title, along, "games per minute") as axes:
        for number, origin in enumerate(origins):
            mine = found["origin"] == origin
            left = found["second"][mine] / 60 + width * number
            colour = plots.WORK_COLOURS.get(origin, plots.INK)
            axes.bar(left, found["rate"][mine], width, align="edge", label=origin, color=colour)
        axes.set_ylim(bottom=0)
        used = connection.execute(USED, [found["low"][0].item()]).fetchnumpy()
        if len(used["minute"]):
            line = axes.twinx()
            axes.plot([], [], color=plots.INK, lw=1, label="cores used")
            line.plot(used["minute"], used["used"], color=plots.INK, lw=1)
            line.set_ylim(0, 100)
            line.set_ylabel("cores used, %")
        plots.legend(axes)


def loss(connection: Connection, config: str, path: Path) -> None:
    """Draw training loss (line) and validation loss (dots) over steps, a colour per generation."""
    found = _columns(connection, "loss curves (they are kept for seven days)", config, LOSS)
    generations = sorted(set(found["generation"]))
    title = f"{config}: training loss by generation, dots: validation"
    with plots.figure(path, title, "step", "loss") as axes:
        for number, generation in enumerate(generations):
            colour = plots.shade(number / max(1, len(generations) - 1))
            mine = found["generation"] == generation
            steps, losses = found["step"][mine], found["loss"][mine]
            axes.plot(steps, losses, color=colour, lw=1.2, label=str(generation))
            axes.plot(steps, found["validation_loss"][mine], "o", ms=3, color=colour)
        plots.legend(axes, title="generation")


def cost(connection: Connection, config: str, path: Path) -> None:
    """Draw the accumulated cost of work over time, by kind; its hours if a node that did some
    has no price."""
    found = _columns(connection, "finished work", config, COST)
    unit = "hours" if np.ma.is_masked(found["cost"]) else "cost"
    begun = found["begun"].min()
    minutes = [0.0, *(found["time"] - begun) / np.timedelta64(1, "m")]
    title, along = f"{config}: {unit} of work so far", plots.since(begun.item())
    with plots.figure(path, title, along, unit) as axes:
        for work, colour in plots.WORK_COLOURS.items():
            sums = [0.0, *np.where(found["work"] == work, found[unit], 0.0).cumsum()]
            axes.step(minutes, sums, where="post", color=colour, label=work)
        axes.set_ylim(bottom=0)
        plots.legend(axes)


def efficiency(connection: Connection, config: str, path: Path) -> None:
    """Draw the Elo gained per hour, per hour of a node, and per unit of currency, over time."""
    found = _columns(connection, "Elo gained for its cost", config, EFFICIENCY)
    time = found.pop("time")
    minutes, begun = (time - time[0]) / np.timedelta64(1, "m"), time[0].item()
    with plots.figure(path, f"{config}: Elo gained", plots.since(begun), "Elo") as axes:
        for colour, (name, gains) in zip(plots.WORK_COLOURS.values(), found.items(), strict=True):
            if not np.isnan(gains).all():  # nodes that cost nothing
                axes.plot(minutes, gains, "o-", ms=3, color=colour, label=name)
        plots.legend(axes)


def allocation(connection: Connection, config: str, path: Path) -> None:
    """Draw the share of each kind of work of the config in the seconds of all configs."""
    found = _columns(connection, "finished work", config, ALLOCATION)
    title, along = f"{config}: share of all work by kind", plots.since(found["low"][0].item())
    with plots.figure(path, title, along, "share of the seconds of all configs") as axes:
        base, width = np.zeros(len(found["total"])), found["width"][0] * 0.9
        for work, colour in plots.WORK_COLOURS.items():
            share = found[work] / found["total"]
            axes.bar(found["minutes"], share, width, base, align="edge", color=colour, label=work)
            base = base + share
        axes.set_ylim(0, 1)
        plots.legend(axes, ncol=3, loc="upper left", bbox_to_anchor=(0.0, -0.14))


PLOTS = {
    **{"throughput": throughput, "loss": loss, "cost": cost, "allocation": allocation},
    "efficiency": efficiency,
}


def _columns(connection: Connection, what: str, config: str, sql: str) -> dict[str, Any]:
    """Return the columns of a query for one config. Raises CommandError if they are empty."""
    found: dict[str, Any] = connection.execute(sql, [config]).fetchnumpy()
    if not all(map(len, found.values())):
        played = "SELECT DISTINCT scope FROM log WHERE type = 'SelfplayPlanned'"
        raise _nothing(what, config, (row["scope"] for row in rows_of(connection, played)))
    return found


def _nothing(what: str, config: str, played: Iterable[str]) -> CommandError:
    known = ", ".join(sorted(played)) or "none"
    return CommandError(f"the log has no {what} of {config}; configs with self-play: {known}")
