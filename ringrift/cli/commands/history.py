"""What the log can tell: `replay`, `why`, `lineage`, `at`, `diff`, `verify`, `query`, `sql`,
`plot`, `whatif`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_config, add_set, add_source, group, later


def replay(commands: Commands) -> None:
    """`ringrift replay elo`."""
    items = group(commands, "replay", "rebuild a projection from the log alone", "elo")
    elo = items.add_parser("elo", help="the rating table from the evaluations in the log")
    add_source(elo)
    elo.add_argument("--until", help="as it was at a sequence or time")
    elo.set_defaults(run=later("ringrift.cli.replay", "elo"))


def at(commands: Commands) -> None:
    """`ringrift at`."""
    item = commands.add_parser("at", help="the system, or one part of it, as it was")
    add_source(item)
    item.add_argument(
        "point",
        metavar="SEQ|TIME",
        help="sequence, time such as 2026-11-21T04:00, or age such as 10m",
    )
    item.add_argument(
        "projection",
        nargs="?",
        help="ratings, generations, settings, pauses, or a decider (default: all)",
    )
    item.set_defaults(run=later("ringrift.cli.past", "at"))


def diff(commands: Commands) -> None:
    """`ringrift diff`."""
    item = commands.add_parser(
        "diff", help="what changed between two points, and which events changed it"
    )
    add_source(item)
    for name in ("first", "second"):
        item.add_argument(name, metavar="SEQ|TIME")
    item.add_argument("projection", nargs="?", help="as in `ringrift at`")
    item.set_defaults(run=later("ringrift.cli.past", "diff"))


def verify(commands: Commands) -> None:
    """`ringrift verify`."""
    item = commands.add_parser(
        "verify", help="compare folds, snapshots, decisions and blobs with the log"
    )
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.verify", "verify"))


def query(commands: Commands) -> None:
    """`ringrift query` and `ringrift sql`."""
    item = commands.add_parser(
        "query", help="SQL over the log: a view for every event type, and ready ones"
    )
    add_source(item)
    item.add_argument(
        "sql",
        help="such as 'FROM leaderboard' or 'SELECT config, count(*) FROM game_completed GROUP BY 1'",
    )
    item.set_defaults(run=later("ringrift.cli.sql", "query"))
    item = commands.add_parser("sql", help="a prompt for such queries")
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.sql", "sql"))


def plot(commands: Commands) -> None:
    """`ringrift plot`."""
    item = commands.add_parser("plot", help="a picture of one config")
    add_source(item)
    item.add_argument("what", choices=("elo", "throughput", "loss", "cost", "allocation"))
    add_config(item)
    item.add_argument("--output", type=Path, required=True, metavar="F.png")
    item.set_defaults(run=later("ringrift.cli.sql", "plot"))


def whatif(commands: Commands) -> None:
    """`ringrift whatif`."""
    item = commands.add_parser(
        "whatif", help="what another policy would have decided on recorded history"
    )
    add_source(item)
    item.add_argument(
        "policy", help="a decider, such as promotion, or a Python file with a DECIDER"
    )
    add_set(item, "a setting that is another")
    item.add_argument("--since", help="from this sequence or time on (default: the beginning)")
    item.add_argument("--until", help="up to this sequence or time (default: the end)")
    item.add_argument("--plot", type=Path, metavar="F.png", help="draw the decisions over time")
    item.set_defaults(run=later("ringrift.cli.whatif", "whatif"))
