"""What an operator does to a running system: `pause`, `resume`, `retract`, `reanalyse`, `tune`,
`settings`, `dlq`, `breakers`."""

from __future__ import annotations

from pathlib import Path

from ringrift.cli.commands.options import Commands, add_config, add_set, add_source, group, later


def pause(commands: Commands) -> None:
    """`ringrift pause` and `ringrift resume`."""
    for name, text in (
        ("pause", "stop new work; what is in hand is finished"),
        ("resume", "end a pause"),
    ):
        item = commands.add_parser(name, help=text)
        add_source(item)
        item.add_argument("--config", help="only this config, such as hex8_2p (default: all)")
        item.add_argument(
            "--kind", default="all", choices=("all", "selfplay", "training", "evaluation")
        )
        item.add_argument(
            "--why",
            required=name == "pause",
            default="",
            help="the reason, for whoever finds it paused",
        )
        if name == "resume":
            item.add_argument("--all", action="store_true", help="every pause there is")
        item.set_defaults(run=later("ringrift.cli.control", name))


def tune(commands: Commands) -> None:
    """`ringrift tune`."""
    item = commands.add_parser(
        "tune", help="hyperparameters of one config, from its next training on"
    )
    add_source(item)
    add_config(item)
    add_set(item, "such as training.learning_rate=0.001")
    item.add_argument(
        "--reset", action="store_true", help="as the settings say, but for what --set names"
    )
    item.add_argument("--why", default="by hand", help="the reason, which is recorded")
    item.set_defaults(run=later("ringrift.cli.tune", "tune"))


def settings(commands: Commands) -> None:
    """`ringrift settings`."""
    item = commands.add_parser(
        "settings", help="the settings in force; with --set or --settings, others from now on"
    )
    add_source(item)
    add_set(item, "one, such as training.batch=128")
    item.add_argument("--settings", type=Path, help="JSON file with settings")
    item.add_argument("--why", default="ringrift settings", help="the reason, which is recorded")
    item.set_defaults(run=later("ringrift.cli.settings", "settings"))


def dlq(commands: Commands) -> None:
    """`ringrift dlq list|show|retry|drop`."""
    letters = group(commands, "dlq", "dead letters", "list|show|retry|drop")
    for name, text in (
        ("list", "those nobody has resolved"),
        ("show", "one letter, whole"),
        ("retry", "try letters again with this build"),
        ("drop", "give letters up; their bytes stay"),
    ):
        item = letters.add_parser(name, help=text)
        add_source(item)
        if name == "show":
            item.add_argument("number", type=int, help="the number in front of `ringrift dlq list`")
        elif name in ("retry", "drop"):
            item.add_argument(
                "numbers",
                type=int,
                nargs="*",
                metavar="NUMBER",
                help="numbers in front of `ringrift dlq list`",
            )
            item.add_argument("--all", action="store_true")
        if name == "drop":
            item.add_argument("--why", required=True, help="the reason, which is recorded")
        item.set_defaults(
            run=later("ringrift.cli.dlq", f"{name}_letter{'' if name == 'show' else 's'}")
        )


def breakers(commands: Commands) -> None:
    """`ringrift breakers list|reset`."""
    items = group(commands, "breakers", "nodes and targets that are left alone", "list|reset")
    item = items.add_parser("list", help="what is left alone, and why")
    add_source(item)
    item.set_defaults(run=later("ringrift.cli.control", "list_breakers"))
    item = items.add_parser("reset", help="use a target again at once")
    add_source(item)
    item.add_argument("target", help="such as node-gpu1")
    item.add_argument("--why", default="reset by hand", help="the reason, which is recorded")
    item.set_defaults(run=later("ringrift.cli.control", "reset_breaker"))
