"""What `ringrift doctor` finds: one line a check, with the remedy where something is not as it
should be."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Level = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True, kw_only=True):
    """`level` fail means that the loop cannot run or that something is lost, warn that someone
    should look."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name=name, level="ok", text=text)


def warn(name: str, text: str, remedy: str) -> Finding:
    """It works, but someone should look."""
    return Finding(name=name, level="warn", text=text, remedy=remedy)


def fail(name: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name=name, level="fail", text=text, remedy=remedy)
