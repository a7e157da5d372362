"""Comparing and measuring: `metrics`, `contract`, `doctor`, `parity`, `search`, `rating`,
`bench`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_source, group, later


def metrics(commands: Commands) -> None:
    """`ringrift metrics list|export|check`."""
    items = group(
        commands,
        "metrics",
        "what is measured; alert rules and the Grafana board as files",
        "list|export|check",
    )
    for name, text, function in (
        ("list", "every metric", "list_metrics"),
        ("export", "write the files", "export"),
        ("check", "compare the files with the list", "check"),
    ):
        item = items.add_parser(name, help=text)
        item.add_argument("--root", type=Path, default=Path("."), help="root of the repository")
        item.set_defaults(run=later("ringrift.cli.monitoring", function))


def contract(commands: Commands) -> None:
    """`ringrift contract export|check|apply`."""
    items = group(
        commands, "contract", "streams, consumers and schemas as files", "export|check|apply"
    )
    for name, text in (
        ("export", "write the files"),
        ("check", "compare the files with the declarations"),
        ("apply", "create on a server what is missing"),
    ):
        item = items.add_parser(name, help=text)
        if name == "apply":
            add_source(item)
            item.add_argument(
                "--replicas",
                type=int,
                help="give every stream so many copies (default: leave as they are)",
            )
        else:
            item.add_argument("--root", type=Path, default=Path("."), help="root of the repository")
        item.set_defaults(run=later("ringrift.cli.contract", name))


def doctor(commands: Commands) -> None:
    """`ringrift doctor`."""
    item = commands.add_parser(
        "doctor", help="check this machine and the data directory, say what to do"
    )
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.doctor", "doctor"))
