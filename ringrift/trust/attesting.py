"""Attesting promotions: every coordinator derives them again from its own reading of the log and
signs those that it agrees with. A certificate collects what they signed."""

from collections.abc import Iterable, Iterator, Mapping

from ringrift.deciders.loop.promotion import DECIDER
from ringrift.errors import CommandError
from ringrift.events import Draft, EventMeta, Fact
from ringrift.events.facts import (
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    PromotionAttested,
    SettingsChanged,
)
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import DeciderRun, by_cause
from ringrift.runtime.process import Process
from ringrift.trust.certificate import FORMAT, Certificate, Stored
from ringrift.trust.heads import leaves
from ringrift.trust.merkle import Tree

EVIDENCE = (ModelRegistered, EvaluationScored, SettingsChanged)


class Attestor(DeciderRun):
    """Derives every promotion again, and drafts attestations of those that the log has."""

    def __init__(self, process: Process) -> None:
        super().__init__(DECIDER, {})
        self.process = process
        self._said: set[tuple[int, str]] | None = None
        """promotions and roots that this node attested"""
        self._seq = self._settled = self._learned = 0

    async def round(self, roots: Mapping[int, str]) -> list[Draft]:
        """Derive what is new; return the attestations to append. `roots` are those of the tree
        whose last message is a promotion, by its sequence. Raises StreamError."""
        log, node = self.process.log, self.process.node
        tail = await log.tail(EVENTS)
        # one round later, because decisions on the newest events take a moment
        until, self._settled = self._settled, tail
        if self._said is None:
            own = read.facts(log, PromotionAttested)
            self._said = {(it.promotion, it.root) async for it, _ in own if it.node == node}
        written = read.facts(log, *sorted_types(DECIDER.writes), after=self._learned, until=tail)
        for seq, found in by_cause(DECIDER, [item async for item in written]).items():
            self.own.setdefault(seq, []).extend(found)
        self._learned = tail
        drafts = list[Draft]()
        if until > self._seq:
            events = read.facts(log, *sorted_types(self.types), after=self._seq, until=until)
            async for event, meta in events:
                for promotion, its_meta in self._agreed(event, meta):
                    root = roots.get(its_meta.seq)
                    if root is not None and (its_meta.seq, root) not in self._said:
                        self._said.add((its_meta.seq, root))
                        drafts.append(self._attestation(promotion, its_meta, root))
            self._seq = until
        return drafts

    def _agreed(self, event: Fact, meta: EventMeta) -> Iterator[tuple[ModelPromoted, EventMeta]]:
        """Fold an event and yield the promotions that it led to and that it must lead to."""
        if self.is_own(event, meta):
            return
        context, derived = self.fold(event, meta), tuple[Fact, ...]()
        if self.skipped_seq != meta.seq and not self.half_known:
            derived = self.decider.decide(self.state, event, context, self._failed(meta))
        for decision, its_meta in self.own.pop(meta.seq, ()):
            if isinstance(decision, ModelPromoted) and decision in derived:
                yield decision, its_meta
            self.fold(decision, its_meta, meta)

    def _attestation(self, fact: ModelPromoted, meta: EventMeta, root: str) -> Draft:
        node = self.process.node
        attested = PromotionAttested(
            config=fact.config, node=node, model=fact.model, promotion=meta.seq, root=root
        )
        return self.process.draft(attested, cause=meta.position, key=f"{node}.{root}")


def sorted_types(kinds: Iterable[type[Fact]]) -> list[type[Fact]]:
    """Types of facts in an order that does not depend on the process."""
    return sorted(kinds, key=lambda kind: kind.__name__)


async def certify(log: Log, prefix: str) -> Certificate:
    """Return the certificate of the newest promotion of a network, by the first digits of its
    digest. Raises CommandError."""
    promoted = [
        item async for item in read.facts(log, ModelPromoted) if item.event.model.startswith(prefix)
    ]
    models = {item.event.model for item in promoted}
    if len(models) != 1:
        what = f"{len(models) or 'no'} networks that were promoted start with {prefix!r}"
        raise CommandError(f"{what}: `ringrift model list` shows them")
    fact, meta = promoted[-1]
    size = meta.seq
    evidence = read.facts(log, *EVIDENCE, until=size)
    seqs = [its.seq async for event, its in evidence if _is_evidence(event, fact)]
    tree = Tree([leaf async for leaf, _ in leaves(log, 0, size)])
    events = [await _stored(log, seq, tree, size) for seq in [*seqs, size]]
    said = read.facts(log, PromotionAttested, scope=fact.config, after=size)
    after = [its.seq async for event, its in said if event.promotion == size]
    return Certificate(
        format=FORMAT,
        config=fact.config,
        model=fact.model,
        size=size,
        root=tree.root(size).hex(),
        events=tuple(events),
        attestations=tuple([await _stored(log, seq) for seq in after]),
    )


def _is_evidence(event: Fact, promotion: ModelPromoted) -> bool:
    match event:
        case SettingsChanged():
            return event.version == promotion.settings_version
        case ModelRegistered():
            return event.model == promotion.model
        case EvaluationScored():
            return event.candidate_model == promotion.model and event.config == promotion.config
    return False


async def _stored(log: Log, seq: int, tree: Tree | None = None, size: int = 0) -> Stored:
    entry = await log.get(EVENTS, seq)
    if entry is None:
        raise CommandError(f"EVENTS/{seq} is missing: `ringrift verify` says what is lost")
    proof = tree.inclusion(seq - 1, size) if tree else []
    return Stored(
        seq=seq,
        time_ns=str(entry.stamp_ns),
        subject=entry.subject,
        body=entry.body.decode(),
        proof=tuple(item.hex() for item in proof),
    )
