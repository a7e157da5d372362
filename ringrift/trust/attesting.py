"""Attesting promotions and rollbacks: every coordinator derives them again from its own reading of
the log and signs those that it agrees with; it names who decided one that does not follow. A
certificate collects what they signed."""

from collections.abc import Iterable, Iterator
from typing import Any

from ringrift.deciders.loop.promotion import DECIDER
from ringrift.errors import CommandError
from ringrift.events import Draft, EventMeta, Fact, Recorded, UndecodableEvent
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    IncumbentChanged,
    ModelAdopted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    PromotionAttested,
    PromotionDisputed,
    RegressionDetected,
    SettingsChanged,
    TreeHeadRecorded,
)
from ringrift.events.merkle import Tree, includes
from ringrift.events.sealing import seal_of
from ringrift.log import read
from ringrift.log.keyring import holds
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import DeciderRun, by_cause
from ringrift.runtime.folds import is_another
from ringrift.runtime.process import Process
from ringrift.trust.admission import standing
from ringrift.trust.certificate import (
    COORDINATORS_MIN,
    FORMAT,
    Certificate,
    Stored,
    signatures_needed,
)
from ringrift.trust.heads import HeadWriter, leaf_of, leaves
from ringrift.trust.proof import FORMAT as PROOF_FORMAT, STATEMENTS, Proof

EVIDENCE = (
    *(ModelRegistered, ModelAdopted, EvaluationRequested, EvaluationScored),
    *(RegressionDetected, SettingsChanged),
)
DISPUTED = "disputed"
"""stands for the root in what a node said about a promotion"""


class Attestor(DeciderRun):
    """Derives every promotion and rollback again, and drafts attestations of those that the log
    has, and disputes of the others."""

    def __init__(self, process: Process) -> None:
        super().__init__(DECIDER, {})
        self.process = process
        self._said: set[tuple[int, str]] | None = None
        """promotions and roots that this node attested"""
        self._seq = self._settled = self._learned = 0

    async def round(self, heads: HeadWriter) -> list[Draft]:
        """Derive what is new; return the attestations to append, with the roots and proofs of what
        was hashed. Raises StreamError."""
        log, node = self.process.log, self.process.node
        tail = await log.tail(EVENTS)
        # one round later, because decisions on the newest events take a moment
        until, self._settled = self._settled, tail
        if self._said is None:
            own = read.facts(log, PromotionAttested)
            self._said = {
                (it.promotion, it.root)
                async for it, _ in own
                if it.node == node and (it.proof or it.promotion == 1)
            }
            disputed = read.facts(log, PromotionDisputed)
            self._said |= {(it.promotion, DISPUTED) async for it, _ in disputed if it.node == node}
        written = read.facts(log, *sorted_types(DECIDER.writes), after=self._learned, until=tail)
        for seq, found in by_cause(DECIDER, [item async for item in written]).items():
            self.own.setdefault(seq, []).extend(found)
        self._learned = tail
        drafts = list[Draft]()
        if until > self._seq:
            events = read.facts(log, *sorted_types(self.types), after=self._seq, until=until)
            async for event, meta in events:
                for promotion, its_meta, agreed in self._judged(event, meta):
                    root = heads.roots.get(its_meta.seq) if agreed else DISPUTED
                    if root is not None and (its_meta.seq, root) not in self._said:
                        self._said.add((its_meta.seq, root))
                        proof = heads.proofs.get(its_meta.seq, ())
                        drafts.append(self._draft(promotion, its_meta, root, proof))
            self._seq = until
        return drafts

    def _judged(
        self, event: Fact, meta: EventMeta
    ) -> Iterator[tuple[IncumbentChanged, EventMeta, bool]]:
        """Fold an event and yield the promotions and rollbacks that it led to, and whether it must
        lead to them; not those of another program, which may decide otherwise."""
        if self.is_own(event, meta):
            return
        context, derived = self.fold(event, meta), tuple[Fact, ...]()
        known = self.skipped_seq != meta.seq and not self.half_known
        if known:
            derived = self.decider.decide(self.state, event, context, self._failed(meta))
        for decision, its_meta in self.own.pop(meta.seq, ()):
            agreed = decision in derived
            if isinstance(decision, IncumbentChanged) and (
                agreed or (known and not is_another(its_meta.program))
            ):
                yield decision, its_meta, agreed
            self.fold(decision, its_meta, meta)

    def _draft(
        self, fact: IncumbentChanged, meta: EventMeta, root: str, proof: tuple[str, ...]
    ) -> Draft:
        node = self.process.node
        about: dict[str, Any] = {
            "config": fact.config,
            "node": node,
            "model": fact.current,
            "promotion": meta.seq,
        }
        said: Fact = PromotionAttested(**about, root=root, proof=proof)
        if root == DISPUTED:
            said = PromotionDisputed(**about, proposer=meta.source)
        return self.process.draft(said, cause=meta.position, key=f"{node}.{root}.proven")


def sorted_types(kinds: Iterable[type[Fact]]) -> list[type[Fact]]:
    """Types of facts in an order that does not depend on the process."""
    return sorted(kinds, key=lambda kind: kind.__name__)


async def certify(log: Log, prefix: str) -> Certificate:
    """Return the certificate of the newest promotion of a network, by the first digits of its
    digest. Raises CommandError."""
    promoted = [
        Recorded(event, meta)
        async for event, meta in read.facts(log, ModelPromoted, ModelRolledBack)
        if isinstance(event, IncumbentChanged) and event.current.startswith(prefix)
    ]
    models = {item.event.current for item in promoted}
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
        model=fact.current,
        size=size,
        root=tree.root(size).hex(),
        events=tuple(events),
        attestations=tuple([await _stored(log, seq) for seq in after]),
    )


async def prove(log: Log, *, seq: int = 0, old: int = 0, size: int | None = None) -> Proof:
    """Prove that message `seq` is among the first `size`, or that the first `old` are, by default
    those under the newest tree head. Raises CommandError."""
    if size is None:
        head = await read.latest(log, TreeHeadRecorded)
        size = head.event.size if head else 0
    tail = await log.tail(EVENTS)
    if not 0 < (seq or old) <= size <= tail:
        why = f"EVENTS has {tail:,}, and the tree {size:,}; heads follow within a minute"
        raise CommandError(f"no proof about message {seq or old}: {why}")
    tree = Tree([leaf async for leaf, _ in leaves(log, 0, size)])
    said = read.facts(log, TreeHeadRecorded, PromotionAttested, after=old or size)
    sizes, fields = {old, size} - {0}, STATEMENTS.values()
    about = [
        its.seq
        async for fact, its in said
        if sizes.intersection(getattr(fact, field, 0) for field in fields)
    ]
    path = tree.consistency(old, size) if old else []
    return Proof(
        format=PROOF_FORMAT,
        size=size,
        root=tree.root(size).hex(),
        event=await _stored(log, seq, tree, size) if seq else None,
        old=old,
        old_root=tree.root(old).hex() if old else "",
        path=tuple(item.hex() for item in path),
        statements=tuple([await _stored(log, seq) for seq in about]),
    )


def _is_evidence(event: Fact, promotion: IncumbentChanged) -> bool:
    match event:
        case SettingsChanged():
            return event.version == promotion.settings_version
        case ModelRegistered():
            return event.model == promotion.model
        case ModelAdopted():
            return event.model == promotion.model and event.config == promotion.config
        case EvaluationRequested():
            named = event.candidate.model == promotion.current
            return named and event.config == promotion.config
        case EvaluationScored():
            named = event.candidate_model == promotion.current
            return named and event.config == promotion.config
        case RegressionDetected():
            named = event.rollback_to == promotion.current and event.model == promotion.model
            return named and event.config == promotion.config
    return False


async def missing_attestations(log: Log, config: str, model: str) -> str:
    """Why no promotion of a network, or rollback to it, is attested by enough of the admitted
    coordinators; empty if one is.

    An attestation counts if it proves that this log has the same promotion in the same place of
    the tree whose root the coordinator signed."""
    admitted = (await standing(log)).admitted
    coordinators = {key: one.node for key, one in admitted.items() if "coordinator" in one.roles}
    nodes = set(coordinators.values())
    if len(nodes) < COORDINATORS_MIN:
        return f"unattested: {len(nodes)} coordinators are admitted, of at least {COORDINATORS_MIN}"
    signed: dict[tuple[int, str], set[str]] = {}
    async for fact, meta in read.facts(log, PromotionAttested, scope=config):
        if fact.model == model:
            seal = seal_of((await _stored(log, meta.seq)).body.encode())
            honest = seal is not None and holds(seal) and coordinators.get(seal.author) == fact.node
            if honest and await _is_proven(log, fact):
                signed.setdefault((fact.promotion, fact.root), set()).add(fact.node)
    most, needed = max(map(len, signed.values()), default=0), signatures_needed(len(nodes))
    found = f"{most} of {len(nodes)} coordinators attest it, {needed} must"
    return "" if most >= needed else f"unattested: {found}"


async def _is_proven(log: Log, said: PromotionAttested) -> bool:
    """Whether this log has the decision that a coordinator signed, where it was read."""
    entry, seq = await log.get(EVENTS, said.promotion), said.promotion
    if entry is None:
        return False
    try:
        fact, _ = entry.recorded(EVENTS)
    except UndecodableEvent:
        return False
    same = isinstance(fact, IncumbentChanged) and (fact.config, fact.current) == (
        said.config,
        said.model,
    )
    path = [bytes.fromhex(item) for item in said.proof]
    return same and includes(leaf_of(entry), seq - 1, seq, path, bytes.fromhex(said.root))


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
