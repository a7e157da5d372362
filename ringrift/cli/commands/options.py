"""What the parsers of several commands share. Imports nothing that takes time, as `ringrift --help`
imports it."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

Command: TypeAlias = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""where parsers of commands are added"""
DATA = Path(os.environ.get("RINGRIFT_DATA", ".ringrift"))
SERVER = os.environ.get("RINGRIFT_SERVER")


def group(commands: Commands, name: str, text: str, metavar: str) -> Commands:
    """The command `name` that only holds others: `metavar` lists them."""
    return commands.add_parser(name, help=text).add_subparsers(required=True, metavar=metavar)


def later(module: str, name: str) -> Command:
    """The function `name` of `module`, imported when it is called; coroutines are run."""
    return partial(_call, module, name)


def _call(module: str, name: str, options: argparse.Namespace) -> int:
    outcome: int | Coroutine[Any, Any, int] = getattr(import_module(module), name)(options)
    return outcome if isinstance(outcome, int) else asyncio.run(outcome)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Which log a command reads or writes, and `--json`."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="data directory of `ringrift up` (default .ringrift)",
    )
    parser.add_argument("--server", default=SERVER, help="URL of a NATS server")
    add_json(parser)


def add_json(parser: argparse._ActionsContainer) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="JSON for scripts")


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`, which must be given, once."""
    parser.add_argument("--config", required=True, help="board and seats, such as hex8_2p")


def add_set(parser: argparse.ArgumentParser, text: str) -> None:
    """`--set`, as often as one likes."""
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=text)


def words(text: str) -> list[str]:
    """Words with commas between them."""
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    """Whole numbers above 0 with commas between them."""
    found = words(text)
    if not all(word.isdecimal() and int(word) for word in found):
        raise argparse.ArgumentTypeError(
            f"{text!r}: give whole numbers above 0 with commas between them, such as 8,16,32"
        )
    return [int(word) for word in found]
