"""What is new in a stream since a backup, without reading the rest of it.

A message never changes, so a part of a backup holds as long as none of its messages was deleted.
The server says which were; a part that lost some is read in the backup and written again without
them. That the stream is still the one that was saved is shown by the newest message that both have:
a stream that was created or restored since has others, stored at other times."""

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import takewhile
from typing import Any, NamedTuple

from ringrift.server.grow import Snapshot, Stream
from ringrift.server.parts import LAST, Cutter, Part, Piece, Record, record_of, records, records_in

DELETED_MAX = 100_000
"""messages within a stream that were deleted, which the server lists one by one"""
ALIVE_MAX = 10_000
"""messages that did not leave a stream when it was trimmed, each of which is asked for"""
State = Mapping[str, Any]
Fetch = Callable[[Part], Awaitable[bytes]]


class Changed(Exception):
    """The stream must be read as a whole."""


class Left(NamedTuple):
    """What a stream has left of the messages of an earlier state: all if `gone` is None; else those
    from its first one on that are not among the deleted ones, and up to `trimmed` only `alive`."""

    state: State
    gone: Sequence[int] | None = ()
    trimmed: int = 0
    alive: Sequence[int] = ()

    def count(self, part: Part) -> int:
        """How many of a part's messages are left."""
        if self.gone is None:
            return part.messages
        first = max(part.first_seq, int(self.state["first_seq"]), self.trimmed + 1)
        deleted = _between(self.gone, first, part.last_seq)
        kept = _between(self.alive, part.first_seq, part.last_seq)
        return kept + max(0, part.last_seq - first + 1 - deleted)

    def of(self, found: Sequence[Record]) -> list[Record]:
        """Those of a part's messages that are left."""
        gone, alive = set(self.gone or ()), set(self.alive)
        first = max(self.state["first_seq"], self.trimmed + 1)
        return [
            record
            for record in found
            if record.seq in alive or (record.seq >= first and record.seq not in gone)
        ]


def _between(seqs: Sequence[int], first: int, last: int) -> int:
    """How many of the sequences, which ascend, are in a range."""
    return max(0, bisect_right(seqs, last) - bisect_left(seqs, first))


async def left_since(
    stream: Stream, config: Mapping[str, Any], saved: Sequence[Part], before: State
) -> Left:
    """Ask the server what is left of the messages of a backup. Raises Changed for one whose
    messages are not counted, as in earlier versions, and for a queue, which cannot be read."""
    counted = sum(part.messages for part in saved)
    if config["retention"] != "limits" or counted != before["messages"]:
        raise Changed
    now = (await stream.info())["state"]
    if now["last_seq"] < before["last_seq"]:
        raise Changed
    if _only_grew(before, now):
        return Left(now, None)
    if now.get("num_deleted", 0) <= DELETED_MAX:
        now = (await stream.info(deleted=True))["state"]
        return Left(now, sorted(now.get("deleted") or ()))
    # what was trimmed left single messages behind, and more gaps than the server can list
    trimmed, alive = await stream.log.archive.trimmed(stream.name), list[int]()
    while (found := await stream.next_after(alive[-1] if alive else 0)) <= trimmed:
        alive.append(found)
        if len(alive) > ALIVE_MAX:
            raise Changed
    return Left(now, (), trimmed, alive)


def _only_grew(before: State, now: State) -> bool:
    """Whether nothing was deleted between two states."""
    grown = now["last_seq"] - before["last_seq"]
    same = now["first_seq"] == before["first_seq"]
    return bool(same and grown == now["messages"] - before["messages"])


async def increment(
    stream: Stream, saved: Sequence[Part], before: State, begun: Snapshot, left: Left, fetch: Fetch
) -> AsyncIterator[Part | Piece]:
    """Yield the parts of a backup that still hold, and what is new up to a snapshot that has begun,
    which says what stream and consumers are at that moment.

    Raises Changed, also at the end, if they do not belong together; StoreError, StreamError."""
    parts = [part for part in saved if left.count(part)]
    if not parts or not _only_grew(left.state, begun.state):
        raise Changed
    cutter, count = Cutter(), 0
    for record in await _head(begun):
        for piece in cutter.add(record):
            yield piece
    last = left.of(list(records_in(await fetch(parts[-1]))))
    newest = await stream.get(last[-1].seq)
    if newest is None or record_of(newest) != last[-1]:
        raise Changed
    for part in parts:
        holds = left.count(part) == part.messages
        if holds and (part.closed or part is not parts[-1]):
            for piece in cutter.end():
                yield piece
            yield part
            count += part.messages
            continue
        kept = last if part is parts[-1] else left.of(list(records_in(await fetch(part))))
        count += len(kept)
        for record in kept:
            for piece in cutter.add(record):
                yield piece
    start, end = before["last_seq"] + 1, begun.state["last_seq"]
    if start <= end:
        new = stream.log.read(stream.name, start_seq=start, until_seq=end, archived=False)
        async with aclosing(new) as batches:
            async for batch in batches:
                count += len(batch)
                for entry in batch:
                    for piece in cutter.add(record_of(entry)):
                        yield piece
    if count != begun.state["messages"]:
        raise Changed  # something was deleted meanwhile
    for piece in (*cutter.end(), Piece(LAST, [])):
        yield piece


async def _head(begun: Snapshot) -> list[Record]:
    """The records of a snapshot before its messages."""
    from ringrift.server import s2  # compiled

    head = list[Record]()
    async with aclosing(begun.chunks):
        async for found in records(s2.decoded(begun.chunks)):
            head += found
            if any(record.seq for record in found):
                break
    return list(takewhile(lambda record: not record.seq, head))
