"""Clients that contend for logs, leases, keys and blobs, and write down each call and its outcome.

`docs/histories.md` describes the format of a history; `tests/faults/porcupine` judges it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.events import Draft, Fact, draft, type_of
from ringrift.events.facts import ConsumerStarted, LeaseAcquired
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobMissing, ConcurrencyError, StreamError
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import BREAKER_BUCKET, EVENTS, MODEL_BUCKET

LOG, LEASE, KEY = "contended", "contended", f"$KV.{BREAKER_BUCKET}.contended"
BLOBS = tuple(bytes([number]) * 1000 for number in range(4))
PAUSE_SECONDS = 0.05
NANOSECONDS = 1e9
_LEASES = type_of(LeaseAcquired).filter(LEASE)
_EVENTS = type_of(ConsumerStarted).filter(LOG)


class Operation(Struct, kw_only=True, rename={"returned": "return"}):
    """One call: `ok` is None without an answer."""

    client: str
    op: str
    on: str
    call: int
    returned: int | None = None
    ok: bool | None = None
    id: str = ""
    expect: int | None = None
    seq: int = 0
    before: str = msgspec.field(default="", name="from")
    to: str = ""
    value: str = ""
    entries: Sequence[dict[str, Any]] = ()


class History:
    """The calls of all clients, by the clock of the event loop."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    @contextlib.contextmanager
    def call(self, client: str, op: str, on: str, **inputs: Any) -> Iterator[Operation]:
        """Note a call, which may be refused, or end without an answer."""
        made = Operation(client=client, op=op, on=on, call=_now(), **inputs)
        self.operations.append(made)
        with contextlib.suppress(StreamError):
            try:
                yield made
                made.ok = True
            except (ConcurrencyError, BlobMissing):
                made.ok = False
            made.returned = _now()

    def write(self, path: Path) -> Path:
        """Write one line for each call."""
        lines = map(msgspec.json.encode, self.operations)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    async def read_ends(self, log: Log, *, blobs: bool = True) -> None:
        """Note what everything is in the end, once no client writes any more."""
        for name, subject in ((f"log {LOG}", _EVENTS), (f"lease {LEASE}", _LEASES)):
            with self.call("end", "read", name) as made:
                batches = log.read(EVENTS, filters=[subject])
                stored = [entry async for batch in batches for entry in batch]
                made.entries = [{"id": entry.id, "seq": entry.seq} for entry in stored]
        with self.call("end", "get", f"key {KEY}") as made:
            made.value = await _value(log)
        for number in range(len(BLOBS) if blobs else 0):
            await _get(self, log, "end", number)


async def contend(
    history: History, log: Log, client: str, chance: random.Random, *, blobs: bool = True
) -> None:
    """Contend as one client until cancelled."""
    acts: list[Callable[..., Awaitable[None]]] = [_append, _lead, _swap]
    acts += [_put, _look] if blobs else []
    number = 0
    while True:
        number += 1
        with contextlib.suppress(StreamError):  # of what precedes the call
            await chance.choice(acts)(history, log, client, number, chance)
        await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))


async def _append(
    history: History, log: Log, client: str, number: int, chance: random.Random
) -> None:
    """Append under the expectation that nobody else has."""
    newest = await log.last(EVENTS, _EVENTS)
    expect = newest.seq if newest else 0
    item = _drafted(_started(client, LOG), client, number)
    with history.call(client, "append", f"log {LOG}", id=item.id, expect=expect) as made:
        (made.seq,) = await log.append([item], Expect(_EVENTS, expect))


async def _lead(
    history: History, log: Log, client: str, number: int, chance: random.Random
) -> None:
    """Take a lease from its holder, and write as its holder."""
    newest = await log.last(EVENTS, _LEASES)
    before = newest.seq if newest else 0
    item = _drafted(LeaseAcquired(role=LEASE, holder=client), client, number)
    on = f"lease {LEASE}"
    with history.call(client, "append", on, id=item.id, expect=before) as made:
        (made.seq,) = await log.append([item], Expect(_LEASES, before))
    if not made.ok:
        return
    for part in range(3):
        await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))
        write = _drafted(_started(client, client), client, f"{number}-{part}")
        with history.call(client, "fenced", on, expect=made.seq):
            await log.append([write], Expect(_LEASES, made.seq))


async def _swap(
    history: History, log: Log, client: str, number: int, chance: random.Random
) -> None:
    """Change a key if it is as it was read."""
    entry = await log.last(f"KV_{BREAKER_BUCKET}", KEY)
    before, to = entry.body.decode() if entry else "", f"{client}-{number}"
    with history.call(client, "cas", f"key {KEY}", before=before, to=to):
        await log.publish(
            *(f"KV_{BREAKER_BUCKET}", KEY, to.encode()),
            id=to,
            expect_last=entry.seq if entry else 0,
        )


async def _put(history: History, log: Log, client: str, number: int, chance: random.Random) -> None:
    which = chance.randrange(len(BLOBS))
    with history.call(client, "put", f"blob {which}", to=_shown(BLOBS[which])):
        await Blobs(log).put(MODEL_BUCKET, BLOBS[which])


async def _look(
    history: History, log: Log, client: str, number: int, chance: random.Random
) -> None:
    await _get(history, log, client, chance.randrange(len(BLOBS)))


async def _get(history: History, log: Log, client: str, which: int) -> None:
    with history.call(client, "get", f"blob {which}") as made:
        digest = sha256(BLOBS[which]).hexdigest()
        try:
            made.value = _shown(await Blobs(log).get(MODEL_BUCKET, digest))
        except BlobMissing:
            made.value = ""


async def _value(log: Log) -> str:
    entry = await log.last(f"KV_{BREAKER_BUCKET}", KEY)
    return entry.body.decode() if entry else ""


def _drafted(fact: Fact, client: str, number: int | str) -> Draft:
    return draft(fact, cause=None, source=client, key=f"{client}-{number}")


def _started(client: str, node: str) -> ConsumerStarted:
    return ConsumerStarted(node=node, consumer="contender", instance=client, version="1")


def _shown(data: bytes) -> str:
    return f"{len(data)} times {data[:1].hex()}"


def _now() -> int:
    return int(asyncio.get_running_loop().time() * NANOSECONDS)
