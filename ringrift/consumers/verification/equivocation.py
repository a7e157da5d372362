"""Finds authors that contradict themselves: two facts under one signature that cannot both be true.

These are two tree heads of one size, two attestations of one promotion, two decisions by one
decider on one cause, and two scores of one ticket that count other games. An evaluator looks for
the score of its ticket before it writes one, after a crash too. It has no exclusive place for a
game: its ticket may be queued again and its unfinished games be played again, and a search on a GPU
may then choose another move. Audits judge each game by itself."""

from typing import Any, NamedTuple

import msgspec

from ringrift.consumers.verification.games import COUNTED
from ringrift.events import Fact, Recorded, UndecodableEvent, facts as f
from ringrift.events.sealing import seal_of
from ringrift.log import read
from ringrift.log.keyring import is_signed
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.authorship import deciders
from ringrift.runtime.process import Process

STATEMENTS_MAX = 50_000
"""that are remembered; a contradiction of an older one is not found"""


class _Said(NamedTuple):
    position: str
    content: Any
    body: bytes


class Statements:
    """What each key has said in each place, as far as it is remembered."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], _Said] = {}
        self._decided = {kind for decider in deciders().values() for kind in decider.writes}

    def take(self, recorded: Recorded, body: bytes) -> f.EquivocationProven | None:
        """Note a fact; the proof if its author said something else in its place."""
        place = self._place(recorded)
        seal = seal_of(body) if place else None
        if seal is None or not is_signed(seal):
            return None
        said = _Said(recorded.meta.position, _content(recorded.event, body), body)
        key = seal.author, *place
        before = self._said.setdefault(key, said)
        while len(self._said) > STATEMENTS_MAX:
            del self._said[next(iter(self._said))]
        if before.content == said.content:
            return None
        return f.EquivocationProven(
            node=recorded.meta.source.rpartition("@")[2],
            first=before.position,
            second=said.position,
            why=f"two facts {' '.join(place)} with other content, both signed by {seal.author}",
            bodies=tuple(one.body.decode()[: f.TEXT_CHARS_MAX] for one in (before, said)),
        )

    def _place(self, recorded: Recorded) -> tuple[str, ...]:
        fact, meta = recorded
        match fact:
            case f.TreeHeadRecorded():
                return "TreeHeadRecorded", f"of {fact.size} messages"
            case f.PromotionAttested():
                return "PromotionAttested", f"of EVENTS/{fact.promotion}"
            case f.EvaluationScored():
                return "EvaluationScored", f"of {fact.ticket} for {meta.cause}"
        # another program may decide otherwise
        return (meta.id, f"by {meta.program}") if type(fact) in self._decided else ()


def _content(fact: Fact, body: bytes) -> Any:
    """What its author says; an attestation may be repeated with a proof, and a match played again
    takes other seconds."""
    if isinstance(fact, f.EvaluationScored):
        return [getattr(fact, name) for name in COUNTED]
    data = msgspec.json.decode(body).get("data")
    return {name: value for name, value in data.items() if name != "proof"}


async def keep_watching(process: Process, fence: Expect) -> None:
    """Record every contradiction once, until cancelled."""
    log, said = process.log, Statements()
    tail = await log.tail(EVENTS)
    proofs = read.facts(log, f.EquivocationProven, until=tail)
    proven = {fact.second async for fact, _ in proofs}
    start = max(1, tail - STATEMENTS_MAX)
    async for entry in log.follow_events(EVENTS, start_seq=start):
        try:
            proof = said.take(log.ring.event(EVENTS, entry), bytes(entry.body))
        except UndecodableEvent:
            continue  # it counts for nothing
        if proof is not None and proof.second not in proven:
            await process.append(proof, cause=proof.second, expect=fence)
