"""Running the loop on this machine and looking at it: `up`, `status`, `events`, `game`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_source, group, later


def game(commands: Commands) -> None:
    """`ringrift game show`."""
    show = group(commands, "game", "look at a game", "show").add_parser(
        "show", help="draw a game's position"
    )
    add_source(show)
    show.add_argument("game", help="id of a game in the log, or a file with a game record")
    show.add_argument("--ply", type=int, help="position after so many plies (default: the end)")
    show.add_argument("--svg", type=Path, help="write the picture to this file")
    show.set_defaults(run=later("ringrift.cli.game", "show"))
