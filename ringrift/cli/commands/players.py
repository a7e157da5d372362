"""Networks and how strong they are: `harnesses`, `strength`, `gauntlet`, `tiers`, `model`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringrift.cli.commands.options import (
    Commands,
    add_config,
    add_json,
    add_source,
    group,
    later,
    numbers,
    words,
)


def harnesses(commands: Commands) -> None:
    """`ringrift harnesses`."""
    item = commands.add_parser(
        "harnesses", help="which player goes with which model and how many seats"
    )
    form = item.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--guide", action="store_true", help="the page docs/harnesses.md")
    item.set_defaults(run=later("ringrift.cli.harnesses", "harnesses"))


def strength(commands: Commands) -> None:
    """`ringrift strength`."""
    item = commands.add_parser(
        "strength", help="how strong a network is: matches with intervals, a report and a plot"
    )
    _add_match(item)
    against = "opponents (default: random,heuristic,self2); self2 is the network itself with twice the budget"
    item.add_argument("--against", type=words, help=against)
    item.add_argument(
        "--pairs",
        type=int,
        help="starts of a match, each from every seat (default 200; a rung: 100 games)",
    )
    item.add_argument(
        "--ladder",
        action="store_true",
        help="every searching harness, each budget against the one below",
    )
    item.add_argument(
        "--budgets", type=numbers, help="budgets of the ladder (default: each harness has its own)"
    )
    item.add_argument(
        "--report", action="store_true", help="play nothing: the same report from the log again"
    )
    item.set_defaults(run=later("ringrift.cli.strength", "strength"))


def gauntlet(commands: Commands) -> None:
    """`ringrift gauntlet`."""
    item = commands.add_parser(
        "gauntlet", help="a network under every harness, or against the tiers, or several of them"
    )
    _add_match(item)
    kind = item.add_mutually_exclusive_group()
    kind.add_argument(
        "--models",
        type=words,
        help="round robin of these networks: digests or their beginnings, with commas",
    )
    kind.add_argument("--tiers", action="store_true", help="from D1 up: the highest tier it beats")
    item.add_argument(
        "--pairs",
        type=int,
        default=50,
        help="starts of a match, each played from every seat (default 50)",
    )
    item.set_defaults(run=later("ringrift.cli.gauntlet", "gauntlet"))


def tiers(commands: Commands) -> None:
    """`ringrift tiers`."""
    item = commands.add_parser("tiers", help="who plays the tiers D1 to D10")
    add_json(item)
    item.set_defaults(run=later("ringrift.cli.gauntlet", "tiers"))


def _add_match(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_config(parser)
    parser.add_argument(
        "--model", help="digest of a network, or its beginning, or current (default)"
    )
    parser.add_argument(
        "--simulations", type=int, default=64, help="search budget a decision (default 64)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="another number gives fresh games (default 1)"
    )


def model(commands: Commands) -> None:
    """`ringrift model list|show|transfer|export|architectures`."""
    names = "list|show|transfer|export|architectures"
    items = group(commands, "model", "look at networks, make new ones from them", names)
    item = items.add_parser("list", help="every network in the log")
    item.add_argument("--config", help="only those for this board and number of seats")
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.model", "list_models"))
    item = items.add_parser("show", help="what is known of a network: its card")
    item.add_argument("model", metavar="DIGEST|FILE", help="digest (six digits or more), or a file")
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.model", "show"))
    item = items.add_parser(
        "transfer", help="a start for more seats or another board from a network"
    )
    item.add_argument("--model", required=True, metavar="DIGEST|FILE")
    item.add_argument("--to", required=True, metavar="CONFIG", help="such as square8_4p")
    item.add_argument("--output", type=Path, help="write the new network to this file")
    item.add_argument(
        "--publish", action="store_true", help="put it into the store and tell the log"
    )
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.model", "transfer_command"))
    item = items.add_parser("export", help="a network as an ONNX graph that was compared with it")
    item.add_argument("--model", required=True, metavar="DIGEST|FILE")
    item.add_argument("--output", required=True, type=Path)
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.model", "export_command"))
    item = items.add_parser("architectures", help="parameters of every architecture by board")
    item.add_argument("--json", action="store_true")
    item.set_defaults(run=later("ringrift.cli.model", "architectures"))
