"""Who signs two facts that cannot both be true is quarantined, with both as the proof."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.loop_facts import scored
from support.system import System, running

from ringrift.consumers import feedback, verifier
from ringrift.consumers.verification.report import Problem
from ringrift.consumers.verification.whole import verify
from ringrift.events.facts import (
    EquivocationProven,
    NodeQuarantined,
    PipelinePaused,
    PipelineResumed,
    PromotionAttested,
    TreeHeadRecorded,
)
from ringrift.events.sealing import seal_of
from ringrift.log.identity import NodeKey
from ringrift.log.keyring import is_signed
from ringrift.runtime.process import Process
from ringrift.trust.heads import HeadWriter


def signing(system: System, node: str) -> Process:
    process = system.process("verifier", node)
    process.log.signer = NodeKey.new()
    return process


async def head(process: Process, root: str = "") -> TreeHeadRecorded:
    """Append the next head of a node, with another root if one is given."""
    (item, *_) = await HeadWriter(process).round()
    fact = item.event
    assert isinstance(fact, TreeHeadRecorded)
    if root:
        fact = replace(fact, root=root)
    await process.append(fact, key=f"{process.node}.{fact.size}.{fact.root}")
    return fact


async def test_two_heads_of_one_size_under_one_key_are_a_proof(system: System) -> None:
    liar = signing(system, "n7")
    await system.write(PipelinePaused(scope="all", kind="all", why="a first event"))
    fact = await head(liar)
    await liar.append(replace(fact, root="f" * 64), key="another")
    jobs = (verifier.main(signing(system, "n1")), feedback.main(signing(system, "n1")))
    async with running(*jobs):
        proof, _ = await system.first(EquivocationProven)
        quarantine, _ = await system.first(NodeQuarantined)
    assert (proof.node, proof.first, proof.second) == ("n7", "EVENTS/2", "EVENTS/3")
    seals = [seal_of(body.encode()) for body in proof.bodies]
    assert all(seal and is_signed(seal) for seal in seals)
    assert {seal.author for seal in seals if seal} == {getattr(liar.log.signer, "key", "")}
    assert quarantine.node == "n7"
    async with running(verifier.main(signing(system, "n2"))):
        await system.write(PipelineResumed(scope="all", kind="all", why="a later event"))
    assert len(await system.facts(EquivocationProven)) == 1


async def test_two_attestations_of_one_promotion_are_a_proof(system: System) -> None:
    liar = signing(system, "n7")
    said = PromotionAttested(
        config="hex8_2p", node="n7", model="a" * 64, promotion=1, root="a" * 64
    )
    await liar.append(said, key="1")
    await liar.append(replace(said, root="b" * 64), key="2")
    async with running(verifier.main(signing(system, "n1"))):
        proof, _ = await system.first(EquivocationProven)
    assert proof.node == "n7"


LOST = {"scores": ((0.0, 2),), "wins": 0.0, "rankings": ()}


async def score(process: Process, key: str, **changes: Any) -> None:
    """Append a score of the ticket of `EVENTS/1`."""
    said = replace(scored("random", 2, 0), **{"ticket": "t", "node": process.node} | changes)
    await process.append(said, cause="EVENTS/1", key=key)


async def test_two_scores_of_one_ticket_that_count_other_games_are_a_proof(system: System) -> None:
    liar = signing(system, "n7")
    await system.write(PipelinePaused(scope="all", kind="all", why="a first event"))
    await score(liar, "t")
    await score(liar, "another", **LOST)
    jobs = (verifier.main(signing(system, "n1")), feedback.main(signing(system, "n1")))
    async with running(*jobs):
        proof, _ = await system.first(EquivocationProven)
        quarantine, _ = await system.first(NodeQuarantined)
    assert (proof.node, proof.first, proof.second) == ("n7", "EVENTS/2", "EVENTS/3")
    assert [seal_of(body.encode()) is not None for body in proof.bodies] == [True, True]
    assert quarantine.node == "n7"


async def test_a_match_played_again_or_by_another_node_is_no_proof(system: System) -> None:
    """A worker was frozen while another process of its node played the match again."""
    one, other = signing(system, "n7"), signing(system, "n8")
    await system.write(PipelinePaused(scope="all", kind="all", why="a first event"))
    await score(one, "t")
    await score(one, "again", play_seconds=9.0)
    await score(other, "other", **LOST)
    await score(one, "t2", ticket="t2", **LOST)
    await score(one, "a lie", ticket="t2")
    async with running(verifier.main(signing(system, "n1"))):
        proof, _ = await system.first(EquivocationProven)
    assert (proof.first, proof.second) == ("EVENTS/5", "EVENTS/6")


async def test_heads_of_two_nodes_prove_nothing_about_either(system: System) -> None:
    """They sign with different keys. If they agree both hold; `verify` names the one that does not
    agree with the log."""
    one, other = signing(system, "n1"), signing(system, "n2")
    await system.write(PipelinePaused(scope="all", kind="all", why="a first event"))
    first = await head(one)
    await system.write(PipelineResumed(scope="all", kind="all", why="a second event"))
    second = await head(other)
    report = await verify(system.log)
    assert first.size < second.size
    assert _heads(report.problems) == []
    await other.append(replace(first, node="n2", root="f" * 64), key="a lie")
    (lie,) = _heads((await verify(system.log)).problems)
    assert "n2" in lie.text
    async with running(verifier.main(one)):
        await system.write(PipelinePaused(scope="all", kind="all", why="a third event"))
    assert await system.facts(EquivocationProven) == []


async def test_a_fact_that_is_not_signed_proves_nothing(system: System) -> None:
    process = system.process("verifier", "n7")
    await system.write(PipelinePaused(scope="all", kind="all", why="a first event"))
    fact = await head(process)
    await process.append(replace(fact, root="f" * 64), key="another")
    async with running(verifier.main(signing(system, "n1"))):
        await system.write(PipelineResumed(scope="all", kind="all", why="a later event"))
    assert await system.facts(EquivocationProven) == []


def _heads(problems: list[Problem]) -> list[Problem]:
    return [item for item in problems if "tree head" in item.text]
