"""Games an hour by node, counted as they are stored."""

from __future__ import annotations

from collections import deque
from datetime import datetime

import msgspec
from msgspec import Struct

from ringrift.log.entry import Entry

MINUTES_KEPT = 60


class _Head(Struct, frozen=True):
    node: str


class _Envelope(Struct, frozen=True):
    data: _Head


_DECODER = msgspec.json.Decoder(_Envelope)


class Played:
    """Counts of games of the last hour; bounded by the number of nodes."""

    def __init__(self) -> None:
        self._minutes: dict[str, deque[list[int]]] = {}

    def count(self, entry: Entry) -> None:
        """Count a game; what is no game is ignored."""
        try:
            node = _DECODER.decode(entry.body).data.node
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        minute = int(entry.time.timestamp()) // 60
        kept = self._minutes.setdefault(node, deque(maxlen=MINUTES_KEPT))
        if kept and kept[-1][0] == minute:
            kept[-1][1] += 1
        else:
            kept.append([minute, 1])

    def an_hour(self, now: datetime, *, node: str) -> float:
        """Return the games an hour on a node, in the last hour or since its first game in it."""
        oldest = int(now.timestamp()) // 60 - MINUTES_KEPT
        recent = [
            (minute, count) for minute, count in self._minutes.get(node, ()) if minute > oldest
        ]
        if not recent:
            return 0.0
        minutes = min(max(now.timestamp() / 60 - recent[0][0], 1.0), MINUTES_KEPT)
        return sum(count for _, count in recent) * 60 / minutes
