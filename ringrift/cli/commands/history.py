"""What the log can tell: `replay`, `why`, `lineage`, `at`, `diff`, `verify`, `query`, `sql`,
`plot`, `whatif`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_config, add_set, add_source, later


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
