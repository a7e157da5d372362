"""Running the loop on this machine and looking at it: `up`, `status`, `events`, `game`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ringrift.cli.commands.options import DATA, Commands, add_set, add_source, group, later


def up(commands: Commands) -> None:
    """`ringrift up`."""
    item = commands.add_parser("up", help="run the loop: server, consumers and a live screen")
    item.add_argument(
        "--config",
        action="append",
        help="board and seats, such as hex8_2p; may be given more than once",
    )
    length = item.add_mutually_exclusive_group()
    length.add_argument(
        "--generations", type=int, help="stop when so many networks have been judged"
    )
    length.add_argument(
        "--for", dest="duration", type=duration, help="stop after a time such as 90s, 30m, 2h"
    )
    item.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="where the log, blobs and logs lie (default .ringrift)",
    )
    item.add_argument(
        "--server",
        help="use this NATS server, such as nats://host:4222, in place of an embedded one",
    )
    item.add_argument("--settings", type=Path, help="JSON file with settings")
    add_set(item, "one setting, such as training.batch=128")
    item.add_argument("--plain", action="store_true", help="plain lines, also on a terminal")
    item.set_defaults(run=later("ringrift.cluster.up", "run"))


def duration(text: str) -> float:
    """Seconds of a time such as 90s, 30m, 2h, 1d."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write a number with s, m, h or d, such as 30m"
        )
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def status(commands: Commands) -> None:
    """`ringrift status`."""
    item = commands.add_parser("status", help="what the system is doing")
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.status", "status"))


def events(commands: Commands) -> None:
    """`ringrift events tail|show`."""
    items = group(commands, "events", "look at the log", "tail|show")
    tail = items.add_parser("tail", help="the newest events, then those to come")
    add_source(tail)
    tail.add_argument(
        "--subject", default="ringrift.>", help="subject filter, such as 'ringrift.promotion.>'"
    )
    tail.add_argument(
        "--since",
        help="sequence, time such as 2026-11-21T04:00, or age such as 10m (default: the last 20)",
    )
    tail.add_argument(
        "--no-follow", action="store_true", help="end when all that is stored has been shown"
    )
    tail.set_defaults(run=later("ringrift.cli.events", "tail"))
    show = items.add_parser("show", help="one event, whole, with its cause")
    add_source(show)
    show.add_argument("seq", type=int)
    show.add_argument("--stream", default="EVENTS", choices=("EVENTS", "GAMES"))
    show.set_defaults(run=later("ringrift.cli.events", "show"))


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
