"""The checks of `ringrift doctor`: `machine` checks this machine, `system` a running system."""

from typing import Literal

from msgspec import Struct

Level = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check, with a remedy unless it is ok.

    `fail`: the loop cannot run or data is lost; `warn`: it runs, but should be looked at."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Finding:
    """A check that passed."""
    return Finding(name=name, level="ok", text=text)


def warn(name: str, text: str, remedy: str) -> Finding:
    """A check that found something to look at."""
    return Finding(name=name, level="warn", text=text, remedy=remedy)


def fail(name: str, text: str, remedy: str) -> Finding:
    """A check that failed."""
    return Finding(name=name, level="fail", text=text, remedy=remedy)
