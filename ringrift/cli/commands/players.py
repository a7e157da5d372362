"""Networks and how strong they are: `harnesses`, `strength`, `gauntlet`, `tiers`, `model`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_source, group, later


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
