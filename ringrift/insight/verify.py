"""Is everything what the log says it is? Live folds, snapshots, every decision, every blob.

One pass over `EVENTS` folds all deciders anew. Where a running consumer's heartbeat or a snapshot
says what its fold was, the digests are compared; at each event that a decider has decided on, it
decides again and the facts are compared. Then every blob is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, Fact, Recorded
from ringrift.events.facts import ModelRegistered, ShardExported, ShardRetired
from ringrift.log import read, snapshots
from ringrift.log.blobs import Blobs, ObjectBlobs
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import MODEL_BUCKET, SHARD_BUCKET, SNAPSHOT_BUCKET
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.runtime.folds import code_version
from ringrift.runtime.processes import deciders

Kind = Literal["fold", "snapshot", "decision", "blob"]


class Problem(Struct, frozen=True, kw_only=True):
    """Something is not what the log says (`fail`), or cannot be told, or mends itself (`warn`)."""

    kind: Kind
    name: str
    level: Literal["warn", "fail"]
    text: str


class Report(Struct, kw_only=True):
    """How much was compared, by kind, and what was found."""

    seq: int
    checked: dict[Kind, int]
    problems: list[Problem]

    @property
    def sound(self) -> bool:
        """Nothing is other than the log says."""
        return all(item.level != "fail" for item in self.problems)


class Claim(NamedTuple):
    """Someone says that the fold of a decider after `seq` has this digest."""

    seq: int
    kind: Literal["fold", "snapshot"]
    who: str
    digest: str


class Audit(DeciderRun):
    """A decider folded anew that compares digests and decisions on its way."""

    def __init__(
        self,
        decider: Decider[Any],
        own: dict[int, list[Recorded]],
        claims: Sequence[Claim],
        live_seq: int,
    ) -> None:
        super().__init__(decider, dict(own))
        self.claims = sorted(claims, reverse=True)
        self.live_seq = live_seq
        """how far a running consumer has folded, 0 if none runs"""
        self.decisions = self.compared = 0
        self.late = False

    def audit(self, event: Fact, meta: EventMeta) -> Iterator[Problem]:
        """Fold an event; what is wrong up to there."""
        yield from self.settle(meta.seq - 1)
        if type(event) not in self.types or self.is_own(event, meta):
            return
        context = self.fold(event, meta)
        derived = self.decider.decide(self.state, event, context)
        found = self.own.pop(meta.seq, [])
        self.decisions += len(found)
        if meta.seq <= self.decided_to:
            if derived != tuple(item.event for item in found):
                yield self._other(meta.position, derived, found)
        elif derived and not self.late:
            self.late = True
            level: Literal["warn", "fail"] = "fail" if self.live_seq > meta.seq else "warn"
            yield self._problem(level, f"has not decided on {meta.position}: {_names(derived)} due")
        for decision, its_meta in found:
            self.fold(decision, its_meta)

    def settle(self, seq: int) -> Iterator[Problem]:
        """Compare the claims about the fold up to `seq`."""
        while self.claims and self.claims[-1].seq <= seq:
            claim = self.claims.pop()
            self.compared += 1
            if claim.digest != self.fold_hash:
                text = f"{claim.who} says {claim.digest} after EVENTS/{claim.seq}, the log gives {self.fold_hash}"
                yield Problem(kind=claim.kind, name=self.decider.name, level="fail", text=text)

    def end(self) -> Iterator[Problem]:
        """What is left when the log ends: decisions on nothing that the decider reads."""
        for seq, found in self.own.items():
            where = ", ".join(item.meta.position for item in found)
            yield self._problem(
                "fail", f"{where} name EVENTS/{seq} as their cause, which it does not decide on"
            )

    def _other(self, position: str, derived: tuple[Fact, ...], found: list[Recorded]) -> Problem:
        where = (
            ", ".join(f"{type(item.event).__name__} {item.meta.position}" for item in found)
            or "nothing"
        )
        return self._problem(
            "fail",
            f"on {position} the log has {where}; derived again: {_difference(derived, found)}",
        )

    def _problem(self, level: Literal["warn", "fail"], text: str) -> Problem:
        return Problem(kind="decision", name=self.decider.name, level=level, text=text)


def _names(facts: Sequence[Fact]) -> str:
    return ", ".join(type(fact).__name__ for fact in facts) or "nothing"


def _difference(derived: tuple[Fact, ...], found: list[Recorded]) -> str:
    """The fields that differ where both are of the same types, else the types."""
    if [type(fact) for fact in derived] != [type(item.event) for item in found]:
        return _names(derived)
    return "; ".join(
        f"{name} {getattr(item.event, name)!r} should be {getattr(fact, name)!r}"
        for fact, item in zip(derived, found, strict=True)
        for name in fact.__struct_fields__
        if getattr(fact, name) != getattr(item.event, name)
    )


async def verify(log: Log, progress: Progress | None = None) -> Report:
    """Compare everything. Consumers may go on while it runs."""
    blobs, beats = ObjectBlobs(log), await Presence(log).all()
    problems: list[Problem] = []
    audits = [
        Audit(
            decider,
            await own_decisions(log, decider),
            await _claims(blobs, decider.name, beats),
            _live_seq(decider.name, beats),
        )
        for decider in deciders().values()
    ]
    unknown = {name for beat in beats for name in beat.folds} - deciders().keys()
    problems += [_unknown(name) for name in sorted(unknown)]
    tail = await log.tail("EVENTS")
    models, shards = dict[str, str](), dict[str, str]()
    async for event, meta in read.facts(log, until=tail, progress=progress):
        for audit in audits:
            problems += audit.audit(event, meta)
        if isinstance(event, ModelRegistered):
            models[event.model] = meta.position
        elif isinstance(event, ShardExported):
            shards.pop(event.supersedes or "", None)
            shards[event.digest] = meta.position
        elif isinstance(event, ShardRetired):
            shards.pop(event.digest, None)
    for audit in audits:
        problems += [*audit.settle(tail), *audit.end()]
    count, found = await _blobs(blobs, models, shards)
    folds = sum(1 for beat in beats for _ in beat.folds)
    checked: dict[Kind, int] = {
        "fold": folds,
        "snapshot": sum(audit.compared for audit in audits) - folds + len(unknown),
        "decision": sum(audit.decisions for audit in audits),
        "blob": count,
    }
    return Report(seq=tail, checked=checked, problems=problems + found)


def _unknown(name: str) -> Problem:
    return Problem(
        kind="fold",
        name=name,
        level="warn",
        text="a consumer folds this, and this build has no such decider",
    )


def _live_seq(name: str, beats: Sequence[Heartbeat]) -> int:
    return max((beat.seq for beat in beats if name in beat.folds), default=0)


async def _claims(blobs: Blobs, name: str, beats: Sequence[Heartbeat]) -> list[Claim]:
    """What heartbeats and readable snapshots of this code say about a decider's fold."""
    claims = [
        Claim(beat.seq, "fold", f"{beat.consumer} {beat.instance} on {beat.node}", beat.folds[name])
        for beat in beats
        if name in beat.folds
    ]
    for stored in await snapshots.stored(blobs, name):
        if stored.code == code_version():
            try:
                snapshot = await snapshots.read(blobs, stored)
            except (BlobCorrupt, BlobMissing):
                continue  # told with the blobs
            claims.append(Claim(snapshot.seq, "snapshot", str(stored), snapshot.fold_hash))
    return claims


async def _blobs(
    blobs: Blobs, models: dict[str, str], shards: dict[str, str]
) -> tuple[int, list[Problem]]:
    """Read every blob, and look for those that facts name."""
    problems: list[Problem] = []
    count = 0
    for bucket, named in (
        (MODEL_BUCKET, models),
        (SHARD_BUCKET, shards),
        (SNAPSHOT_BUCKET, dict[str, str]()),
    ):
        names = await blobs.names(bucket)
        count += len(names)
        for name in names:
            try:
                await _read(blobs, bucket, name)
            except BlobMissing:
                continue  # deleted while we looked
            except BlobCorrupt as error:
                problems.append(
                    Problem(kind="blob", name=f"{bucket}/{name}", level="fail", text=str(error))
                )
        for name in named.keys() - set(names):
            problems.append(_missing(bucket, name, named[name]))
    return count, problems


async def _read(blobs: Blobs, bucket: str, name: str) -> None:
    """Raises BlobMissing, BlobCorrupt."""
    if bucket != SNAPSHOT_BUCKET:
        await blobs.get(bucket, name)
    elif (fold := snapshots.parse(name)) is not None:
        await snapshots.read(blobs, fold)
    else:
        await blobs.get_named(bucket, name)


def _missing(bucket: str, name: str, position: str) -> Problem:
    if bucket == SHARD_BUCKET:
        text = f"named by {position} and not stored; the exporter makes it again from its games when it starts"
        return Problem(kind="blob", name=f"{bucket}/{name}", level="warn", text=text)
    text = f"named by {position} and not stored: bring it back from a backup, or train it again"
    return Problem(kind="blob", name=f"{bucket}/{name}", level="fail", text=text)
