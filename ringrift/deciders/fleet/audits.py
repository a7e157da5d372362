"""Which nodes lie about their games? A sequential test over the audits of each node decides.

Each audited game passes, differs (repeated searches gave something else), or is broken (it
contradicts the rules or its request, which no noise explains). The statistic is Page's cumulative
sum (Biometrika 1954) of log-likelihood ratios of a node that forges a twentieth of its games to an
honest one; it starts again at 0 when a series of games speaks for the node. By Lorden's bound (Ann.
Math. Statist. 1971) an honest node is convicted once in at least e^25 audited games, 72 thousand
million: at two games a second, half of them audited, once in 2,000 years, even if thirty times as
many of its games differed as was measured. `tests/adversary/test_audits.py` simulates both sides.

A second auditor must confirm that, where there is one: without the findings of any one auditor,
what two differing games give, or a broken one, must remain, each by a sum of its own. A lying
auditor alone thus convicts nobody whose games pass elsewhere.

A proof, such as two contradicting facts under one signature, convicts at once. So do f + 1 of at
least 3f + 1 coordinators that dispute a promotion of another one: one of them is honest."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ringrift.deciders.kit import Context, Decider, Struct, changed, replace
from ringrift.events import facts as f

PASSED, DIFFERED, BROKEN = -20, 4_382, 9_903
"""log-likelihood ratios in thousandths, so that sums are exact on every machine: ln(.98 / .99975),
ln(.02 / .00025), ln(.02 / 1e-6). Of the games of an honest node one in 4,000 may differ, and one in
a million be broken by a fault of its memory; of a forger a twentieth is forged, and two fifths of
those are found"""
CONVICTING, CONFIRMING = 25_000, 7_000
AUDITOR_LASTS = timedelta(days=1)
"""since its newest audit, an auditor is one that could confirm what another finds"""
AUDITORS_MAX = 64
EVIDENCE_MAX = 1_000_000_000
DISPUTES_MAX = 64
"""promotions whose disputes are remembered"""


class Record(Struct, frozen=True, kw_only=True):
    """A node: its audited games, the test's statistic in thousandths, of all audits and of those by
    each auditor, the sequences of `GAMES` up to which it was audited and up to which it was clean,
    and whether it is quarantined."""

    games: int = 0
    evidence: int = 0
    by: dict[str, int] = {}
    audited_seq: int = 0
    clean_seq: int = 0
    quarantined: bool = False

    def after(self, found: f.NodeAudit, last_seq: int, auditor: str = "") -> "Record":
        """The record after one more audit, of a sample that ended at `last_seq`."""
        differing, broken = len(found.differing), len(found.broken)
        passed = found.games - differing - broken
        change = passed * PASSED + differing * DIFFERED + broken * BROKEN
        evidence = _sum(self.evidence, change)
        by = {**self.by, auditor: _sum(self.by.get(auditor, 0), change)}
        clean = not (evidence or differing or broken)
        return Record(
            games=min(self.games + found.games, f.COUNT_MAX),
            evidence=evidence,
            by={name: value for name, value in by.items() if value},
            audited_seq=last_seq,
            clean_seq=last_seq if clean else self.clean_seq,
            quarantined=self.quarantined,
        )

    @property
    def confirmed(self) -> bool:
        """Whether enough remains without the findings of any one auditor."""
        return sum(self.by.values()) - max(self.by.values(), default=0) >= CONFIRMING


def _sum(evidence: int, change: int) -> int:
    return min(max(0, evidence + change), EVIDENCE_MAX)


class Audits(Struct, frozen=True, kw_only=True):
    """The record of every audited node, by name; the nodes of the admitted coordinators by their
    keys, and those that dispute a promotion, by its sequence."""

    nodes: dict[str, Record] = {}
    coordinators: dict[str, str] = {}
    disputes: dict[int, tuple[str, ...]] = {}
    auditors: dict[str, datetime] = {}
    """when each finished its newest audit"""

    def may_confirm(self, auditor: str, node: str, now: datetime) -> bool:
        """Whether another auditor looks at games of the node too."""
        others = [at for name, at in self.auditors.items() if name not in (auditor, node)]
        return any(now - at <= AUDITOR_LASTS for at in others)


DECIDER = Decider("audits", Audits)
Quarantines = Iterator[f.NodeQuarantined]


@DECIDER.evolves
def audited(state: Audits, fact: f.AuditFinished, context: Context) -> Audits:
    if _record(state, fact.node).quarantined:
        return state
    auditors = {name: at for name, at in state.auditors.items() if name != fact.node}
    newest = [*auditors.items(), (fact.node, context.time)][-AUDITORS_MAX:]
    state = replace(state, auditors=dict(newest))
    nodes = {
        one.node: _record(state, one.node).after(one, fact.last_seq, fact.node)
        for one in fact.found
        if one.node != fact.node
    }
    return replace(state, nodes=state.nodes | nodes)


@DECIDER.evolves
def quarantined(state: Audits, fact: f.NodeQuarantined) -> Audits:
    record = replace(_record(state, fact.node), quarantined=True)
    auditors = {name: at for name, at in state.auditors.items() if name != fact.node}
    return replace(state, nodes={**state.nodes, fact.node: record}, auditors=auditors)


@DECIDER.evolves
def released(state: Audits, fact: f.NodeReleased) -> Audits:
    seq = _record(state, fact.node).audited_seq
    fresh = {"evidence": 0, "by": {}, "clean_seq": seq, "quarantined": False}
    return replace(state, nodes=changed(state.nodes, fact.node, **fresh))


@DECIDER.evolves
def admitted(state: Audits, fact: f.NodeAdmitted | f.NodeRevoked) -> Audits:
    others = {key: node for key, node in state.coordinators.items() if key != fact.key}
    if isinstance(fact, f.NodeAdmitted) and "coordinator" in fact.roles:
        others[fact.key] = fact.node
    return replace(state, coordinators=others)


@DECIDER.evolves
def disputed(state: Audits, fact: f.PromotionDisputed, context: Context) -> Audits:
    node, known = fact.node, state.disputes.get(fact.promotion, ())
    # a coordinator may write about other nodes, so its own name is that of the author
    forged = context.author.rpartition("@")[2] != node
    if forged or node in known or node not in state.coordinators.values():
        return state
    newest = [*state.disputes.items(), (fact.promotion, (*known, node))][-DISPUTES_MAX:]
    return replace(state, disputes=dict(newest))


@DECIDER.decides
def outvote(state: Audits, fact: f.PromotionDisputed) -> Quarantines:
    """Quarantine the author of a promotion that an honest coordinator disputes."""
    nodes, author = len({*state.coordinators.values()}), fact.proposer.rpartition("@")[2]
    liars, against = (nodes - 1) // 3, state.disputes.get(fact.promotion, ())
    record = _record(state, author)
    suspect = author in state.coordinators.values() and author not in against
    if liars and len(against) > liars and suspect and not record.quarantined:
        who = ", ".join(against)
        why = f"EVENTS/{fact.promotion} does not follow from the log, as {who} derive it"
        yield _quarantine(author, replace(record, evidence=0), why)


@DECIDER.decides
def convict(state: Audits, fact: f.AuditFinished, context: Context) -> Quarantines:
    """Quarantine the nodes of whose games enough failed, in the audits of two auditors if there are
    two."""
    for one in fact.found:
        record = _record(state, one.node)
        alone = not state.may_confirm(fact.node, one.node, context.time)
        enough = record.evidence >= CONVICTING and (alone or record.confirmed)
        if one.node != fact.node and enough and not record.quarantined:
            failed = ", ".join((*one.broken, *one.differing)[:3])
            why = f"games fail their audits, the newest {failed}: `ringrift game replay` shows it"
            yield _quarantine(one.node, record, why)


@DECIDER.decides
def prove(state: Audits, fact: f.EquivocationProven | f.EvaluationRefuted) -> Quarantines:
    """Quarantine a node that contradicts itself."""
    record, forged = _record(state, fact.node), True
    if isinstance(fact, f.EquivocationProven):
        why = f"{fact.first} and {fact.second}: {fact.why}"
    else:
        forged, why = fact.forged, f"the score at {fact.score}: {fact.reason}"
    if forged and not record.quarantined:
        yield _quarantine(fact.node, replace(record, evidence=0), why[: f.TEXT_CHARS_MAX])


def _record(state: Audits, node: str) -> Record:
    return state.nodes.get(node, Record())


def _quarantine(node: str, record: Record, why: str) -> f.NodeQuarantined:
    return f.NodeQuarantined(
        node=node,
        clean_seq=record.clean_seq,
        evidence=record.evidence / 1000.0,
        games=record.games,
        why=why,
    )
