"""Servers and machines: `cluster`, `node`, `update`, `fleet`, `simulate`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_json, add_set, later


def simulate(commands: Commands) -> None:
    """`ringrift simulate`."""
    item = commands.add_parser(
        "simulate",
        help="a fleet under a virtual clock: what the deciders make of it, and what holds",
    )
    item.add_argument(
        "--nodes", type=Path, required=True, help="TOML file with the fleet, such as ops/fleet.toml"
    )
    item.add_argument("--hours", type=float, default=48.0, help="virtual hours (default 48)")
    item.add_argument(
        "--seed", type=int, default=1, help="another number gives another course (default 1)"
    )
    item.add_argument(
        "--seeds", type=int, default=1, help="so many seeds, from --seed on (default 1)"
    )
    item.add_argument(
        "--faults", type=Path, help="TOML file with what goes wrong, such as ops/faults.toml"
    )
    item.add_argument(
        "--compare", action="store_true", help="also without cost awareness, to tell what it saves"
    )
    add_set(item, "a setting, as in `up`")
    item.add_argument(
        "--report", type=Path, metavar="DIR", help="write the findings as JSON and a page of plots"
    )
    item.add_argument(
        "--log",
        type=Path,
        metavar="DIR",
        help="write the log there, for `ringrift why --data DIR` and its like",
    )
    add_json(item)
    item.set_defaults(run=later("ringrift.tools.simulate", "simulate"))
