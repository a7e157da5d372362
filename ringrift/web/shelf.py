"""A dictionary that is cheap to copy however long it is: copies share what does not change."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableMapping
from itertools import chain
from typing import Any, TypeVar

PIECE_ITEMS = 64

K = TypeVar("K")
V = TypeVar("V")


class Shelf(MutableMapping[K, V]):
    """A dictionary in pieces of `PIECE_ITEMS` items, in the order in which keys were first added.

    A copy shares the pieces; the first change of a piece after that copies it. A value that can
    change in place is changed through `setdefault` only, which copies a shared one. All copies
    share the number of the piece of each key, so those of one log, whose keys come in one order,
    are read together."""

    def __init__(self) -> None:
        self._number: dict[K, int] = {}
        self._pieces: list[dict[K, V]] = []
        self._own: set[int] = set()
        """numbers of the pieces that no copy has"""
        self._fresh: set[K] = set()
        """keys of the values that no copy has"""
        self._items = 0

    def __len__(self) -> int:
        return self._items

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._pieces)

    def __reversed__(self) -> Iterator[K]:
        return chain.from_iterable(map(reversed, reversed(self._pieces)))

    def __getitem__(self, key: K) -> V:
        number = self._number[key]
        if number >= len(self._pieces):
            raise KeyError(key)
        return self._pieces[number][key]

    def __setitem__(self, key: K, value: V) -> None:
        piece = self._piece(key)
        self._items += key not in piece
        piece[key] = value
        self._fresh.add(key)

    def __delitem__(self, key: K) -> None:
        del self._piece(key)[key]
        self._items -= 1

    def setdefault(self, key: K, default: V) -> V:
        """Return the value of a key, added if missing; it may be changed in place."""
        if key not in self:
            self[key] = default
        elif key not in self._fresh:
            self[key] = copied(self[key])
        return self[key]

    def newest(self) -> Iterator[V]:
        """Yield the values from the last one on."""
        for piece in reversed(self._pieces):
            yield from reversed(piece.values())

    def copy(self) -> Shelf[K, V]:
        """Return a shelf that changes independently of this one."""
        twin: Shelf[K, V] = Shelf()
        twin._number, twin._pieces, twin._items = self._number, self._pieces.copy(), self._items
        self._own.clear()
        self._fresh.clear()
        return twin

    def _piece(self, key: K) -> dict[K, V]:
        """The piece of a key, which may be changed."""
        number = self._number.setdefault(key, len(self._number) // PIECE_ITEMS)
        while number >= len(self._pieces):
            self._own.add(len(self._pieces))
            self._pieces.append({})
        if number not in self._own:
            self._pieces[number] = self._pieces[number].copy()
            self._own.add(number)
        return self._pieces[number]


def copied(value: Any) -> Any:
    """Return a copy that shares what cannot change: facts, states of deciders, texts, numbers.

    The items of a container are of one kind, so the first one shows whether they can change."""
    if isinstance(value, dict):
        first = next(iter(value.values()), None)
        if copied(first) is first:
            return value.copy()
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, Shelf | list | set | deque):
        return value.copy()
    if hasattr(value, "__dict__") and type(value).__module__.startswith("ringrift."):
        twin = object.__new__(type(value))
        twin.__dict__.update((name, copied(item)) for name, item in vars(value).items())
        return twin
    return value
