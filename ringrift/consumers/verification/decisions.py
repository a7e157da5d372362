"""Verification of decisions and folds: every decision is derived again at its cause, and folds that
heartbeats and snapshots report are compared with those of the log."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from ringrift.consumers.verification.report import Level, Problem
from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, Fact, Recorded
from ringrift.log import snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.presence import Heartbeat
from ringrift.runtime.decide import DeciderRun, by_cause
from ringrift.runtime.folds import code_version, is_another, read_snapshot


class Claim(NamedTuple):
    """A report that the fold of a decider up to `seq` has this digest."""

    seq: int
    kind: Literal["fold", "snapshot"]
    source: str
    digest: str


class Audit(DeciderRun):
    """A decider whose digests and decisions are compared while it folds the log."""

    def __init__(self, decider: Decider[Any]) -> None:
        super().__init__(decider, {}, skipped=self._note)
        self.raised = ""
        """What the last event that it skipped made it raise."""
        self.claims: list[Claim] = []
        """The next one last."""
        self.live_seq = 0
        """The newest event that a running consumer has folded, 0 if none runs."""
        self.decisions = 0
        self.others: Counter[str] = Counter()
        """Decisions that differ because another program took them, by program."""
        self.last_program = ""
        """Of the newest decision that was folded."""
        self.compared: Counter[str] = Counter()
        """Claims by kind."""
        self.late = False

    def _note(self, meta: EventMeta, decider: str, error: Exception) -> None:
        self.raised = f"{type(error).__name__}: {error}"

    def learn(self, written: Iterable[Recorded]) -> None:
        """Note recorded decisions before their causes are folded."""
        for seq, found in by_cause(self.decider, written).items():
            # what names a later event as its cause is reported with its message
            earlier = [item for item in found if seq < item.meta.seq]
            if earlier:
                self.own.setdefault(seq, []).extend(earlier)
        self.decided_to = max(self.own, default=self.decided_to)

    def expect(self, claims: Iterable[Claim], folded: int) -> None:
        """Compare these claims later, as far as they are about folds after `folded`."""
        new = (one for one in claims if one.seq >= folded)
        self.claims = sorted({*self.claims, *new}, reverse=True)
        live = (one.seq for one in self.claims if one.kind == "fold")
        self.live_seq = max(live, default=self.live_seq)

    def audit(self, event: Fact, meta: EventMeta) -> Iterator[Problem]:
        """Fold an event and yield the problems found with it."""
        yield from self.settle(meta.seq - 1)
        if type(event) not in self.types or self.is_own(event, meta):
            return
        context = self.fold(event, meta)
        # in the state before the recorded decisions are folded, as when they were taken
        derived: tuple[Fact, ...] = ()
        if self.skipped_seq != meta.seq and not self.half_known:
            derived = self.decider.decide(self.state, event, context, self._failed(meta))
        if self.skipped_seq == meta.seq:  # by every process alike
            yield self._problem("warn", f"skips {meta.position}: {self.raised}")
        found = self.own.pop(meta.seq, [])
        self.decisions += len(found)
        if meta.seq <= self.decided_to:
            if derived != tuple(item.event for item in found) and not self._by_another(found):
                named = (f"{type(item.event).__name__} {item.meta.position}" for item in found)
                recorded = f"on {meta.position} the log has {', '.join(named) or 'nothing'}"
                text = f"{recorded}; derived again: {_difference(derived, found)}"
                yield self._problem("fail", text)
        elif derived and not self.late:
            self.late = True  # reported once: all later decisions are missing too
            level: Level = "fail" if self.live_seq > meta.seq else "warn"
            yield self._problem(level, f"has not decided on {meta.position}: {_names(derived)} due")
        for decision, its_meta in found:
            self.fold(decision, its_meta, meta)
            self.last_program = its_meta.program

    def _by_another(self, found: Sequence[Recorded]) -> bool:
        """Whether another program took these decisions, or took none where this one would have;
        they are counted."""
        programs = {item.meta.program for item in found}
        if not found:  # its author is that of the decision before or after
            following = self.own[min(self.own)][0].meta.program if self.own else ""
            programs = {next(filter(is_another, (self.last_program, following)), "")}
        if len(programs) > 1 or not all(map(is_another, programs)):
            return False
        self.others.update({programs.pop(): max(1, len(found))})
        self.decisions -= len(found)
        return True

    def settle(self, seq: int) -> Iterator[Problem]:
        """Compare the claims about the fold up to `seq`."""
        while self.claims and self.claims[-1].seq <= seq:
            claim = self.claims.pop()
            self.compared[claim.kind] += 1
            if claim.digest != self.fold_hash:
                reported = f"{claim.source} reports {claim.digest} after EVENTS/{claim.seq}"
                text = f"{reported}, the log gives {self.fold_hash}"
                yield Problem(claim.kind, self.decider.name, "fail", text)

    def end(self, seq: int) -> Iterator[Problem]:
        """Yield what is left after the fold up to `seq`: claims, and decisions whose causes the
        decider does not decide on."""
        yield from self.settle(seq)
        for cause in [cause for cause in self.own if cause <= seq]:
            found = self.own.pop(cause)
            where = ", ".join(item.meta.position for item in found)
            if self._by_another(found):
                continue
            text = f"{where} name EVENTS/{cause} as their cause, which it does not decide on"
            yield self._problem("fail", text)

    def _problem(self, level: Level, text: str) -> Problem:
        return Problem("decision", self.decider.name, level, text)


async def claims_of(blobs: Blobs, name: str, beats: Sequence[Heartbeat]) -> list[Claim]:
    """Return the digests of a decider's folds in heartbeats and snapshots."""
    claims = [
        Claim(beat.seq, "fold", f"{beat.consumer} {beat.instance} on {beat.node}", beat.folds[name])
        for beat in beats
        if name in beat.folds and beat.code in ("", code_version())
    ]
    for stored in await snapshots.stored(blobs, name):
        if stored.code == code_version():
            try:
                snapshot = await read_snapshot(blobs, stored)
            except (BlobCorrupt, BlobMissing):
                continue  # reported with the blobs
            claims.append(Claim(snapshot.seq, "snapshot", str(stored), snapshot.fold_hash))
    return claims


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
