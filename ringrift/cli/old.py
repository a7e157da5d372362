"""A bridge to the commands whose parsers are still in `ringrift.cli.commands`; it goes when all are
converted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def run(words: Sequence[str]) -> int:
    """Run an old command as argparse reads it."""
    from ringrift.cli.commands import loop, players

    parser = argparse.ArgumentParser(prog="ringrift")
    commands = parser.add_subparsers(required=True)
    for module in (loop, players):
        for name, add in vars(module).items():
            ours = getattr(add, "__module__", "") == module.__name__ and name != "duration"
            if ours and not name.startswith("_"):
                add(commands)
    options: Any = parser.parse_args(words)
    options.words = list(words)
    return int(options.run(options))


def __getattr__(name: str) -> Any:
    """A stand-in for the function of an old command, for completion."""
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda: 0
