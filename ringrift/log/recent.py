"""Recently acknowledged events of this process, which the server may still lose.

A server that is killed together with its machine may forget the newest messages that it
acknowledged: those it had not synced. Our configuration syncs each message before it is
acknowledged; another configuration, a restored backup or a faulty disk may not. So a process keeps
what it appended until the server must have synced it; `ringrift.log.republish` looks for it after a
reconnect.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from ringrift.events import Draft

KEPT_SECONDS = 150.0
"""the server's default for `sync_interval` is 2 min: older messages are on its disk"""
KEPT_EVENTS_MAX = 20_000
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""limits of memory, beyond which the oldest events are dropped; a worker that appends 20 games per
second stays below"""


class Acknowledged(Struct, frozen=True, gc=False):
    """An event, the sequence it was acknowledged with, the size of its bytes, and the time of the
    acknowledgement in seconds since 1970 by this machine's clock."""

    draft: Draft
    seq: int
    size_bytes: int
    at: float


class Recent:
    """Acknowledged events of the last `KEPT_SECONDS`, oldest first."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: deque[Acknowledged] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, drafts: Sequence[Draft], seqs: Sequence[int], sizes: Sequence[int]) -> None:
        """Keep events that were acknowledged with these sequences; `sizes` are in bytes."""
        now = self._now()
        for draft, seq, size_bytes in zip(drafts, seqs, sizes, strict=True):
            self._kept.append(Acknowledged(draft, seq, size_bytes, now))
            self._bytes += size_bytes
        while self._kept and self._is_too_much(self._kept[0], now):
            self._bytes -= self._kept.popleft().size_bytes

    def _is_too_much(self, oldest: Acknowledged, now: float) -> bool:
        full = len(self._kept) > KEPT_EVENTS_MAX or self._bytes > KEPT_BYTES_MAX
        return full or now - oldest.at > KEPT_SECONDS

    def by_stream(self) -> dict[str, list[Acknowledged]]:
        """The kept events of each stream, each once, in the order of their first acknowledgement
        and with the newest."""
        streams: dict[str, dict[str, Acknowledged]] = {}
        for item in self._kept:
            streams.setdefault(item.draft.kind.stream, {})[item.draft.id] = item
        return {stream: list(kept.values()) for stream, kept in streams.items()}
