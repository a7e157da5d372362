"""Tree heads: facts that say which messages `EVENTS` had, and the search for those that changed.

A coordinator hashes every message in order and records the root of the tree now and then. A
later reader computes the same roots, unless a message was changed, removed or moved since, even if
the whole store was rewritten. Messages after the newest head are not covered yet."""

import contextlib
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import get_args

from ringrift.events import Draft, UndecodableEvent
from ringrift.events.facts import (
    HEAD_EVENTS_MAX,
    LEAF_MARK_CHARS,
    IncumbentChanged,
    TreeHeadRecorded,
)
from ringrift.events.merkle import Frontier, leaf_hash
from ringrift.events.registry import type_of
from ringrift.log.entry import Entry, matches
from ringrift.log.errors import LogRewound
from ringrift.log.keyring import Keyring
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.process import Process

HEAD_SECONDS = 30.0
"""between two heads, if there was another event meanwhile"""
KEPT_LEAVES_MAX = 4 * HEAD_EVENTS_MAX
"""behind the newest message, which the head of a slow coordinator can still be compared with"""
KNOWN_MAX = 16
"""trees that later heads are computed from: coordinators record heads in no particular order"""
NAMED_MAX = 20
"""messages that the text about one head names"""
SHIFT_MAX = 100
"""messages that are missing or additional in one place"""
ABSENT = leaf_hash(b"")
"""the leaf of a sequence without a message"""
_HEADS = type_of(TreeHeadRecorded).subject_filter
_PROMOTIONS = [type_of(kind).subject_filter for kind in get_args(IncumbentChanged)]


def leaf_of(entry: Entry) -> bytes:
    """The leaf of a message of `EVENTS`."""
    return leaf_hash(f"{entry.stamp_ns} {entry.subject}\n".encode() + entry.body)


def mark_of(leaf: bytes) -> str:
    """What a head says of a leaf."""
    return urlsafe_b64encode(leaf[:3]).decode()


async def leaves(
    log: Log, after: int = 0, until: int | None = None
) -> AsyncIterator[tuple[bytes, Entry | None]]:
    """Yield the leaf of every sequence of `EVENTS` after one, with the message if there is one."""
    async for batch in log.read(EVENTS, start_seq=after + 1, until_seq=until):
        for entry in batch:
            for _ in range(entry.seq - after - 1):
                yield ABSENT, None
            after = entry.seq
            yield leaf_of(entry), entry


class HeadWriter:
    """Reads the log from its beginning and drafts heads of what was not covered before."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._covered = Frontier()
        """under the newest head of any node"""
        self._leaves: deque[bytes] = deque()
        """of the messages after that"""
        self.roots: dict[int, str] = {}
        """of the trees whose last message is a promotion or rollback, by its sequence"""
        self.proofs: dict[int, tuple[str, ...]] = {}
        """that the last message is in that tree"""
        self._last: Entry | None = None
        self._own = 0
        """size of the newest head of this node"""
        self._other = 0
        """sequence of the newest message other than a head; only after one is a head recorded"""

    async def round(self) -> list[Draft]:
        """Read what is new; return the heads to append. Raises StreamError, LogRewound."""
        log, found, size = self.process.log, [], self._covered.size + len(self._leaves)
        if self._last is not None:
            there = await log.get(EVENTS, self._last.seq)
            if there is None or leaf_of(there) != leaf_of(self._last):
                raise LogRewound(EVENTS, self._last.seq)
        end = await log.tail(EVENTS)
        await log.know(EVENTS, end)
        async for leaf, entry in leaves(log, size, end):
            if entry is not None:
                self._take(entry)
            decides = entry and any(matches(one, entry.subject) for one in _PROMOTIONS)
            if entry and decides:
                self.proofs[entry.seq] = tuple(item.hex() for item in self._now().next_proof())
            self._leaves.append(leaf)
            if entry and decides:
                self.roots[entry.seq] = self._now().root().hex()
            # not sooner: an earlier head of the first half would follow it
            if len(self._leaves) == 2 * HEAD_EVENTS_MAX:
                found.append(self._head())
        while len(self._leaves) > HEAD_EVENTS_MAX:
            found.append(self._head())
        return [*found, self._head()] if self._own < self._other else found

    def _take(self, entry: Entry) -> None:
        self._last = entry
        if not matches(_HEADS, entry.subject):
            self._other = entry.seq
            return
        head = head_in(entry, self.process.log.ring)
        if head is None or head.size > self._covered.size + len(self._leaves):
            return
        while self._covered.size < head.size:
            self._covered.append(self._leaves.popleft())
        if head.node == self.process.node:
            self._own = head.size

    def _now(self) -> Frontier:
        """The frontier of all messages so far."""
        found = self._covered.copy()
        for leaf in self._leaves:
            found.append(leaf)
        return found

    def _head(self) -> Draft:
        """A head of the next leaves."""
        after, marks = self._covered.size, list[str]()
        while self._leaves and len(marks) < HEAD_EVENTS_MAX:
            marks.append(mark_of(self._leaves[0]))
            self._covered.append(self._leaves.popleft())
        size = self._own = self._covered.size
        root, node = self._covered.root().hex(), self.process.node
        head = TreeHeadRecorded(node=node, size=size, root=root, after=after, marks="".join(marks))
        return self.process.draft(head, cause=None, key=f"{node}.{size}.{root}")


def head_in(entry: Entry, ring: Keyring) -> TreeHeadRecorded | None:
    """The head in a message, if it is one that counts."""
    with contextlib.suppress(UndecodableEvent):
        event = ring.event(EVENTS, entry).event
        return event if isinstance(event, TreeHeadRecorded) else None
    return None


class HeadCheck:
    """Compares the heads in the log with the messages before them, in one pass."""

    def __init__(self) -> None:
        self.covered = 0
        """messages under the largest head that agrees with the log"""
        self.heads = 0
        self._known = [Frontier()]
        """at recent heads, the smallest first"""
        self._leaves: deque[bytes] = deque()
        """of the messages after the first of those"""
        self._shift = 0
        """additional messages (negative: missing ones) before the newest head"""
        self._named: set[str] = set()

    def take(self, leaf: bytes) -> None:
        """Add the leaf of the next message. A head is compared before it is taken."""
        self._leaves.append(leaf)
        self._trim()

    def _trim(self) -> None:
        while len(self._known) > KNOWN_MAX or len(self._leaves) > KEPT_LEAVES_MAX:
            if len(self._known) == 1:
                self._known.append(self._grown(self._known[0].size + KEPT_LEAVES_MAX // 2))
            for _ in range(self._known[1].size - self._known[0].size):
                self._leaves.popleft()
            self._known.pop(0)

    def _grown(self, size: int) -> Frontier:
        """The frontier at a size, from the nearest known one."""
        start = self._known[0].size
        nearest = next(item for item in reversed(self._known) if item.size <= size)
        found = nearest.copy()
        for leaf in islice(self._leaves, nearest.size - start, size - start):
            found.append(leaf)
        return found

    def compare(self, head: TreeHeadRecorded, position: str) -> Iterator[str]:
        """Yield what differs between the log and a head, in words."""
        self.heads += 1
        start, end = self._known[0].size, self._known[0].size + len(self._leaves)
        whose = f"the tree head of {head.node} at {position}"
        if head.size < start:
            return  # its author was slow: other heads cover the same messages
        if head.size > end + SHIFT_MAX:
            yield f"{whose} is of {head.size:,} messages, more than there were"
            return
        if head.size <= end:
            frontier = self._grown(head.size)
            if frontier.root().hex() == head.root:
                self.covered = max(self.covered, head.size)
                if frontier.size > self._known[-1].size:
                    self._known.append(frontier)
                    self._trim()
                return
        where = [item for item in self._differences(head) if item not in self._named]
        if where or not self._named:
            self._named.update(where)
            text = ", ".join(where[:NAMED_MAX]) or f"EVENTS/1..{head.size}"
            yield f"{whose} is of other messages: {text}"

    def _differences(self, head: TreeHeadRecorded) -> list[str]:
        """Where the messages that a head marks differ, such as `EVENTS/17 was changed`."""
        start, width = self._known[0].size, LEAF_MARK_CHARS
        first = max(head.after, start - self._shift)
        marked = head.marks[(first - head.after) * width :]
        wanted = [marked[at : at + width] for at in range(0, len(marked), width)]
        at = first + self._shift - start
        found = [mark_of(leaf) for leaf in islice(self._leaves, at, at + len(wanted))]
        texts, shift = differences(wanted, found)
        self._shift += shift
        return [f"{EVENTS}/{first + index + 1} {what}" for index, what in texts]


def differences(wanted: Sequence[str], found: Sequence[str]) -> tuple[list[tuple[int, str]], int]:
    """What happened to marks that were `wanted`, with their indices, and by how much the following
    ones moved."""
    pairs = zip(wanted, found, strict=False)
    unequal = [index for index, (one, other) in enumerate(pairs) if one != other]
    if not unequal:
        lost = len(wanted) - len(found)
        return [(len(found) + index, "is missing") for index in range(lost)], -lost
    first = unequal[0]
    if len(unequal) == 2:
        last = unequal[1]
        if (wanted[first], wanted[last]) == (found[last], found[first]):
            return [(first, "was swapped with another"), (last, "was swapped with another")], 0
    for count in range(1, min(SHIFT_MAX, len(wanted) - first - 1) + 1):
        if _equal(wanted[first + count :], found[first:]):
            return [(first + index, "was removed") for index in range(count)], -count
        if _equal(wanted[first:], found[first + count :]):
            return [(first + index, "was inserted") for index in range(count)], count
    gone = mark_of(ABSENT)
    return [(at, "is missing" if found[at] == gone else "was changed") for at in unequal], 0


def _equal(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two series agree as far as both go, which is some way."""
    common = min(len(one), len(other))
    return common > 0 and one[:common] == other[:common]
