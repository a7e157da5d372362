"""Games as they are played: how many of each ticket in hand, and how many a minute by config and
node."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime

import msgspec
from msgspec import Struct

from ringrift.events import Fact
from ringrift.events.tickets import OUTCOMES
from ringrift.insight import running
from ringrift.log.entry import Entry

MINUTES_KEPT = 60
TICKETS_KEPT_MAX = 4096
"""tickets in hand, and finished ones whose games may still come"""


class _Head(running.Played, frozen=True):
    node: str = ""


class _Envelope(Struct, frozen=True):
    data: _Head


_DECODER = msgspec.json.Decoder(_Envelope)


def head_of(entry: Entry) -> _Head | None:
    """Return who played a game, and its ranks; None for what is no game."""
    try:
        return _DECODER.decode(entry.body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class Played:
    """Counts of games; bounded by the tickets, configs and nodes that play."""

    def __init__(self) -> None:
        self.of_ticket: OrderedDict[str, int] = OrderedDict()
        """games of self-play in the log, by ticket without an outcome"""
        self._configs: dict[str, str] = {}
        self._over: OrderedDict[str, None] = OrderedDict()
        self._minutes: dict[tuple[str, str, bool], deque[list[int]]] = {}

    def take(self, event: Fact) -> None:
        """Fold a fact of `EVENTS`: a ticket with an outcome is no longer in hand."""
        if isinstance(event, OUTCOMES):
            self.of_ticket.pop(event.ticket, None)
            self._configs.pop(event.ticket, None)
            self._over[event.ticket] = None
            if len(self._over) > TICKETS_KEPT_MAX:
                self._over.popitem(last=False)

    def count(self, head: _Head, time: datetime) -> None:
        """Count a game that was stored at a time."""
        minute = int(time.timestamp()) // 60
        key = head.config, head.node, head.origin == "selfplay"
        kept = self._minutes.setdefault(key, deque(maxlen=MINUTES_KEPT))
        if kept and kept[-1][0] == minute:
            kept[-1][1] += 1
        else:
            kept.append([minute, 1])
        if head.origin == "selfplay" and head.ticket not in self._over:
            self.of_ticket[head.ticket] = self.of_ticket.get(head.ticket, 0) + 1
            self._configs[head.ticket] = head.config
            if len(self.of_ticket) > TICKETS_KEPT_MAX:
                self._configs.pop(self.of_ticket.popitem(last=False)[0], None)

    def in_hand(self, config: str) -> int:
        """Return the games of self-play of a config in tickets without an outcome."""
        return sum(
            count for ticket, count in self.of_ticket.items() if self._configs[ticket] == config
        )

    def an_hour(self, now: datetime, *, config: str = "", node: str = "") -> float:
        """Return the games an hour in the last hour: of self-play of a config, or all on a node.
        Who began to play within it counts from the first minute."""
        oldest, games, first = int(now.timestamp()) // 60 - MINUTES_KEPT, 0, 0
        for (of, on, selfplay), minutes in self._minutes.items():
            if config in ("", of) and node in ("", on) and (selfplay or not config):
                for minute, count in minutes:
                    if minute > oldest:
                        games, first = games + count, min(first or minute, minute)
        minutes_played = now.timestamp() / 60 - first if first else MINUTES_KEPT
        return games * 60 / min(max(minutes_played, 1.0), MINUTES_KEPT)
