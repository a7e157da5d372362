"""Verification: compares live folds, snapshots, every decision and every blob with the log.

One pass over `EVENTS` folds all deciders. Digests are compared where the heartbeat of a running
consumer or a snapshot reports one. Each decision is derived again at its cause and compared with
the recorded one. Then every blob is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, Fact, Recorded, facts
from ringrift.log import read, snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import CHECKPOINT_BUCKET, EVENTS, FOLD_BUCKET, MODEL_BUCKET, SHARD_BUCKET
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.runtime.folds import code_version
from ringrift.runtime.processes import deciders

Kind = Literal["fold", "snapshot", "decision", "blob"]
Level = Literal["warn", "fail"]
KINDS = {"fold": "live folds", "snapshot": "snapshots", "decision": "decisions", "blob": "blobs"}


class Problem(Struct, frozen=True):
    """Something that differs from the log (`fail`), or that is unknown or will be repaired
    (`warn`)."""

    kind: Kind
    name: str
    level: Level
    text: str


class VerifyReport(Struct, kw_only=True):
    """How much was compared, by kind, and the problems found."""

    sound: bool
    """Whether no problem is a failure."""
    seq: int
    checked: dict[str, int]
    problems: list[Problem]

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        for item in self.problems:
            yield f"{item.level:<4} {item.kind:<9} {item.name}  {item.text}"
        compared = ", ".join(f"{self.checked[kind]:,} {name}" for kind, name in KINDS.items())
        failed = sum(item.level == "fail" for item in self.problems)
        outcome = "all agree with the log" if self.sound else f"{failed} differ from the log"
        yield f"EVENTS/1..{self.seq}: {compared}; {outcome}"


class Claim(NamedTuple):
    """A report that the fold of a decider up to `seq` has this digest."""

    seq: int
    kind: Literal["fold", "snapshot"]
    source: str
    digest: str


class Audit(DeciderRun):
    """A decider whose digests and decisions are compared while it folds the log."""

    def __init__(
        self, decider: Decider[Any], own: dict[int, list[Recorded]], claims: Iterable[Claim]
    ) -> None:
        super().__init__(decider, own)
        self.claims = sorted(claims, reverse=True)  # popped in the order of the log
        self.live_seq = max((one.seq for one in self.claims if one.kind == "fold"), default=0)
        """The newest event that a running consumer has folded, 0 if none runs."""
        self.decisions = self.compared = 0
        self.late = False

    @classmethod
    async def open(cls, log: Log, decider: Decider[Any], beats: Sequence[Heartbeat]) -> Audit:
        """Read the decisions of a decider, and its state in heartbeats and snapshots."""
        name, claims = decider.name, []
        for beat in beats:
            if name in beat.folds:
                source = f"{beat.consumer} {beat.instance} on {beat.node}"
                claims.append(Claim(beat.seq, "fold", source, beat.folds[name]))
        blobs = Blobs(log)
        for stored in await snapshots.stored(blobs, name):
            if stored.code == code_version():
                try:
                    snapshot = await snapshots.read(blobs, stored)
                except (BlobCorrupt, BlobMissing):
                    continue  # reported with the blobs
                claims.append(Claim(snapshot.seq, "snapshot", str(stored), snapshot.fold_hash))
        return cls(decider, await own_decisions(log, decider), claims)

    def audit(self, event: Fact, meta: EventMeta) -> Iterator[Problem]:
        """Fold an event and yield the problems found with it."""
        yield from self.settle(meta.seq - 1)
        if type(event) not in self.types or self.is_own(event, meta):
            return
        context = self.fold(event, meta)
        # in the state before the recorded decisions are folded, as when they were taken
        derived = self.decider.decide(self.state, event, context)
        found = self.own.pop(meta.seq, [])
        self.decisions += len(found)
        if meta.seq <= self.decided_to:
            if derived != tuple(item.event for item in found):
                named = (f"{type(item.event).__name__} {item.meta.position}" for item in found)
                recorded = f"on {meta.position} the log has {', '.join(named) or 'nothing'}"
                yield self._problem(
                    "fail", f"{recorded}; derived again: {_difference(derived, found)}"
                )
        elif derived and not self.late:
            self.late = True  # reported once: all later decisions are missing too
            level: Level = "fail" if self.live_seq > meta.seq else "warn"
            yield self._problem(level, f"has not decided on {meta.position}: {_names(derived)} due")
        for decision, its_meta in found:
            self.fold(decision, its_meta, meta)

    def settle(self, seq: int) -> Iterator[Problem]:
        """Compare the claims about the fold up to `seq`."""
        while self.claims and self.claims[-1].seq <= seq:
            claim = self.claims.pop()
            self.compared += 1
            if claim.digest != self.fold_hash:
                reported = f"{claim.source} reports {claim.digest} after EVENTS/{claim.seq}"
                text = f"{reported}, the log gives {self.fold_hash}"
                yield Problem(claim.kind, self.decider.name, "fail", text)

    def end(self) -> Iterator[Problem]:
        """Yield the decisions whose causes the decider does not decide on."""
        for seq, found in self.own.items():
            where = ", ".join(item.meta.position for item in found)
            text = f"{where} name EVENTS/{seq} as their cause, which it does not decide on"
            yield self._problem("fail", text)

    def _problem(self, level: Level, text: str) -> Problem:
        return Problem("decision", self.decider.name, level, text)


def _names(found: Iterable[Fact]) -> str:
    return ", ".join(type(fact).__name__ for fact in found) or "nothing"


def _difference(derived: Sequence[Fact], found: Sequence[Recorded]) -> str:
    """Return the fields that differ if both have the same types, else the derived types."""
    if [type(fact) for fact in derived] != [type(item.event) for item in found]:
        return _names(derived)
    fields = []
    for fact, (recorded, _) in zip(derived, found, strict=True):
        for name in fact.__struct_fields__:
            stored, expected = getattr(recorded, name), getattr(fact, name)
            if stored != expected:
                fields.append(f"{name} {stored!r} should be {expected!r}")
    return "; ".join(fields)


async def verify(log: Log, progress: Progress | None = None) -> VerifyReport:
    """Compare everything. Consumers may continue while it runs."""
    blobs, beats = Blobs(log), await Presence(log).all()
    audits = [await Audit.open(log, decider, beats) for decider in deciders().values()]
    unknown = {name for beat in beats for name in beat.folds} - deciders().keys()
    text = "a consumer folds this decider, which this build does not have"
    problems = [Problem("fold", name, "warn", text) for name in sorted(unknown)]
    models: dict[str, str] = {}
    shards: dict[str, str] = {}
    tail = await log.tail(EVENTS)
    async for event, meta in read.facts(log, until=tail, progress=progress):
        for audit in audits:
            problems += audit.audit(event, meta)
        match event:
            case facts.ModelRegistered():
                models[event.model] = meta.position
            case facts.ShardExported():
                shards.pop(event.supersedes or "", None)
                shards[event.digest] = meta.position
            case facts.ShardRetired():
                shards.pop(event.digest, None)
    for audit in audits:
        problems += [*audit.settle(tail), *audit.end()]
    count = 0
    buckets = {MODEL_BUCKET: models, SHARD_BUCKET: shards, FOLD_BUCKET: {}, CHECKPOINT_BUCKET: {}}
    for bucket, named in buckets.items():
        stored = dict.fromkeys(await blobs.names(bucket))
        count += len(stored)
        for name in stored:
            problems += await _damage(blobs, bucket, name)
        missing = [name for name in named if name not in stored]
        problems += [_missing(bucket, name, named[name]) for name in missing]
    folds = sum(len(beat.folds) for beat in beats)
    compared = sum(audit.compared for audit in audits) + len(unknown)
    decisions = sum(audit.decisions for audit in audits)
    return VerifyReport(
        sound=all(item.level != "fail" for item in problems),
        seq=tail,
        checked={"fold": folds, "snapshot": compared - folds, "decision": decisions, "blob": count},
        problems=problems,
    )


async def _damage(blobs: Blobs, bucket: str, name: str) -> Iterable[Problem]:
    """Read a blob and return the problem if it is damaged."""
    try:
        if bucket in (MODEL_BUCKET, SHARD_BUCKET):
            await blobs.get(bucket, name)
        elif (fold := snapshots.parse(name)) is not None:
            await snapshots.read(blobs, fold)
        else:
            await blobs.get_named(bucket, name)
    except BlobCorrupt as error:
        return (Problem("blob", f"{bucket}/{name}", "fail", str(error)),)
    except BlobMissing:
        pass  # deleted in the meantime
    return ()


def _missing(bucket: str, name: str, position: str) -> Problem:
    level: Level = "fail"
    remedy = ": restore it from a backup"
    if bucket == SHARD_BUCKET:
        level, remedy = "warn", "; the exporter recreates it from its games when it starts"
    text = f"named by {position} and not stored{remedy}"
    return Problem("blob", f"{bucket}/{name}", level, text)
