"""Bounded memory, and a number that grows with every change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """The `most` values that were used last, by key."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the value of a key, None if it is not kept."""
        if key in self._values:
            self._values[key] = self._values.pop(key)
        return self._values.get(key)

    def put(self, key: K, value: V) -> V | None:
        """Keep a value; return the one that is kept no longer, None if there is none."""
        self._values.pop(key, None)
        self._values[key] = value
        return self._values.pop(next(iter(self._values))) if len(self._values) > self.most else None

    def values(self) -> Iterable[V]:
        """Return all values."""
        return self._values.values()


class Changing:
    """What has a `version` that grows with every change of what is shown of it."""

    def __init__(self) -> None:
        self.version, self.closed = 1, False
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Note a change, and wake those who wait for one."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, since: int) -> int:
        """Return the version once it is another than `since`."""
        while self.version == since and not self.closed:
            await self._changed.wait()
        return self.version

    def close(self) -> None:
        """End every wait for a change."""
        self.closed = True
        self.touch()
