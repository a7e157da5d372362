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


def references(commands: Commands) -> None:
    """`ringrift parity check` and `ringrift search check`."""
    for name, module, text in (
        (
            "parity",
            "ringrift.tools.parity_command",
            "compare the rules with recorded games of the reference engine",
        ),
        ("search", "ringrift.tools.search_command", "compare the search with reference cases"),
    ):
        check = group(commands, name, text, "check").add_parser("check", help=text)
        check.add_argument("files", nargs="+", metavar="FILE")
        check.set_defaults(run=later(module, "check"))


def rating(commands: Commands) -> None:
    """`ringrift rating fit|sprt`."""
    items = group(commands, "rating", "ratings and the sequential test", "fit|sprt")
    fit = items.add_parser("fit", help="ratings of the games in a CSV file")
    fit.add_argument("file")
    fit.add_argument("--json", action="store_true")
    fit.set_defaults(run=later("ringrift.tools.rating", "fit_command"))
    sprt = items.add_parser("sprt", help="where a sequential test stands")
    sprt.add_argument("--results", required=True, help="counts, worst first: L,D,W or LL,LD,..,WW")
    for name, default in (("elo0", 0.0), ("elo1", 5.0), ("alpha", 0.05), ("beta", 0.05)):
        sprt.add_argument(f"--{name}", type=float, default=default)
    sprt.add_argument("--model", choices=("logistic", "normalized"), default="logistic")
    sprt.add_argument("--json", action="store_true")
    sprt.set_defaults(run=later("ringrift.tools.rating", "sprt_command"))
