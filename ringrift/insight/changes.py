"""What differs between two values of the same shape, by path:
`configs.hex8_2p.progress.games_played 12 → 16`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import Struct

Path = tuple[str, ...]


class Missing:
    """Stands for what is not there on one side."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


class Change(NamedTuple):
    """One place that differs; `MISSING` on the side where it does not exist."""

    path: Path
    before: Any
    after: Any


def changes(before: Any, after: Any, path: Path = ()) -> Iterator[Change]:
    """The smallest places that differ. Parts that are the same object are not looked into, which
    makes this cheap for folds."""
    if before is after:
        return
    if isinstance(before, Struct) and type(before) is type(after):
        for name in before.__struct_fields__:
            yield from changes(getattr(before, name), getattr(after, name), (*path, name))
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from changes(before.get(key, MISSING), after.get(key, MISSING), (*path, str(key)))
    elif isinstance(before, tuple) and isinstance(after, tuple):
        yield from _of_tuples(before, after, path)
    elif before != after:
        yield Change(path, before, after)


def _of_tuples(before: tuple[Any, ...], after: tuple[Any, ...], path: Path) -> Iterator[Change]:
    """Elements by number; those of a longer one are new or gone."""
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else MISSING
        new = after[number] if number < len(after) else MISSING
        yield from changes(old, new, (*path, str(number)))


def related(path: Path, other: Path) -> bool:
    """Whether one place is in the other."""
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]
