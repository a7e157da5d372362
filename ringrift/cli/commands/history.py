"""What the log can tell: `replay`, `why`, `lineage`, `at`, `diff`, `verify`, `query`, `sql`,
`plot`, `whatif`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_config, add_source, later


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
