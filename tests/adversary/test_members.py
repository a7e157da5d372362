"""Members of a cluster that lie, against a real server: what the rights of their role stop, and the
table of docs/promises.md, which names a test for every behaviour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from support.secured import secured

from ringrift.events import Fact, draft, facts as f
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, Forbidden
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, GAMES, MODEL_BUCKET

ROOT = Path(__file__).parents[2]
ROLES = ("worker", "evaluator", "trainer", "coordinator", "edge", "server")
BEHAVIOURS_MIN = 6

PROMOTION = f.ModelPromoted(
    config="hex8_2p",
    settings_version=1,
    generation=1,
    model="a" * 64,
    previous=None,
    evidence=None,
    why="I say so",
)
QUARANTINE = f.NodeQuarantined(node="honest", clean_seq=0, evidence=0, games=0, why="I say so")
RELEASE = f.NodeReleased(node="liar", why="I say so")
RETRACTION = f.GamesRetracted(
    config="hex8_2p", first_seq=1, last_seq=9, count=9, why="I do not like them"
)
AUDIT = f.AuditFinished(
    node="liar",
    head="EVENTS/1",
    first_seq=1,
    last_seq=1,
    found=(f.NodeAudit(node="honest", first_seq=1, games=1, decisions=0, broken=("g",)),),
    skipped=0,
    search_seconds=0.0,
)
RECOUNT = f.EvaluationRecounted(
    config="hex8_2p",
    generation=1,
    ticket="evaluation-events-1",
    node="liar",
    candidate="c",
    candidate_model="a" * 64,
    opponent="o",
    purpose="promotion",
    round=0,
    games=2,
    wins=2.0,
    scores=((1.0, 1),),
    rankings=(),
    play_seconds=1.0,
)
HEAD = f.TreeHeadRecorded(node="liar", size=1, root="a" * 64, after=0, marks="AAAA")
PLAN = f.SelfplayPlanned(
    config="hex8_2p",
    settings_version=1,
    generation=1,
    games=1,
    games_per_ticket=1,
    simulations=1,
    model=None,
    seed=1,
)
FORBIDDEN: dict[str, tuple[Fact, ...]] = {
    "worker": (PROMOTION, QUARANTINE, RELEASE, RETRACTION, AUDIT, RECOUNT, HEAD, PLAN),
    "evaluator": (PROMOTION, QUARANTINE, RELEASE, RETRACTION, AUDIT, RECOUNT, HEAD, PLAN),
    "trainer": (PROMOTION, QUARANTINE, RELEASE, RETRACTION, AUDIT, RECOUNT, HEAD, PLAN),
    "auditor": (PROMOTION, QUARANTINE, RELEASE, RETRACTION, RECOUNT, HEAD, PLAN),
    "coordinator": (RELEASE, AUDIT),
}
"""facts that a member of each role may not write"""
CALLS = (f"STREAM.PURGE.{GAMES}", f"STREAM.DELETE.{EVENTS}", f"STREAM.MSG.DELETE.{EVENTS}")
"""what no role of a process may ask of the server"""


@pytest.mark.real_time
async def test_the_server_refuses_what_is_not_a_members_to_write(tmp_path: Path) -> None:
    async with secured(tmp_path) as place:
        for role, kinds in FORBIDDEN.items():
            log = await place.log(role)
            for fact in kinds:
                await _refused(log, fact)
            await _smuggled(log, role, kinds[0])
            for call in CALLS:
                with pytest.raises(Forbidden):
                    await log.call(call, {"seq": 1})
            await log.close()
        auditor = await place.log("auditor")
        await _refused(auditor, AUDIT)  # under the name of another node
        own = replace(AUDIT, node="the-auditor")
        await auditor.append([draft(own, cause=None, source="auditor@the-auditor", key="1")])
        await auditor.close()
        await _overwritten_network(await place.log("trainer"))


async def _refused(log: JetStreamLog, fact: Fact) -> None:
    with pytest.raises(Forbidden):
        await log.append([draft(fact, cause=None, source="liar", key="1")])


async def _smuggled(log: JetStreamLog, role: str, forbidden: Fact) -> None:
    """An atomic batch of an own fact and a forbidden one: neither is stored."""
    own = f.ConsumerStarted(node=f"the-{role}", consumer=role, instance="smuggler", version="1")
    drafts = [
        draft(one, cause=None, source=f"{role}@the-{role}", key="2") for one in (own, forbidden)
    ]
    before = await log.tail(EVENTS)
    with pytest.raises(Forbidden):
        await log.append(drafts)
    assert await log.tail(EVENTS) == before
    await log.append(drafts[:1])


async def _overwritten_network(log: JetStreamLog) -> None:
    """A trainer may write blobs, and so other bytes under the digest of a network."""
    digest = await Blobs(log).put(MODEL_BUCKET, b"a network that was measured")
    subject = f"$O.{MODEL_BUCKET}.C.>"
    entry = await log.last(f"OBJ_{MODEL_BUCKET}", subject)
    assert entry is not None
    await log.publish(f"OBJ_{MODEL_BUCKET}", entry.subject, b"another network")
    with pytest.raises(BlobCorrupt):
        await Blobs(log).get(MODEL_BUCKET, digest)
    await log.close()


class Row(NamedTuple):
    role: str
    behaviour: str
    tests: tuple[str, ...]


def table() -> Iterator[Row]:
    """The rows of the table of adversaries."""
    text = (ROOT / "docs" / "promises.md").read_text()
    section = text[text.index("## Adversaries") :].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0] in ROLES:
            yield Row(cells[0], cells[1], tuple(re.findall(r"`(tests/[\w/.:]+)`", cells[5])))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_behaviours(role: str) -> None:
    assert len([row for row in table() if row.role == role]) >= BEHAVIOURS_MIN


def test_every_behaviour_names_tests_that_exist() -> None:
    wrong = []
    for row in table():
        for name in row.tests:
            path, _, test = name.partition("::")
            file = ROOT / path
            if not file.is_file() or (test and f"def {test}(" not in file.read_text()):
                wrong.append(f"{row.role}, {row.behaviour}: {name}")
        if not row.tests:
            wrong.append(f"{row.role}, {row.behaviour}: no test")
    assert wrong == []
