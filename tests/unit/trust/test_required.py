"""With `trust.required` a network is used only once enough coordinators attest it; who decides what
does not follow from the log is outvoted and named."""

from __future__ import annotations

import asyncio
import contextlib
from functools import cache

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, promoted
from support.system import PLAN, System

from ringrift.consumers.networks.fetching import Uncertified, wanted_or_older
from ringrift.events import Settings, draft, encode, facts as f
from ringrift.events.settings import TrustSettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.log.identity import NodeKey
from ringrift.log.topology import EVENTS
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust.admission import admit
from ringrift.trust.attesting import missing_attestations
from ringrift.trust.heads import HeadWriter

NODES = ("c1", "c2", "c3", "c4")
REQUIRED = Settings(trust=TrustSettings(required=True))


@cache
def key(node: str) -> NodeKey:
    return NodeKey.new()


async def admitted(system: System, *nodes: str) -> None:
    """Admit coordinators, by an operator."""
    system.log.signer = key("operator")
    for node in nodes:
        await admit(system.log, node, key(node).key, ["coordinator"], "test")
    system.log.signer = None


async def attest(system: System, promotion: int, model: str, *nodes: str, by: str = "") -> None:
    """Write attestations of a promotion, signed by each node or by another one."""
    heads = HeadWriter(system.process("verifier"))
    await heads.round()
    root, proof = heads.roots.get(promotion, "0" * 64), heads.proofs.get(promotion, ())
    for node in nodes:
        log = MemoryLog(system.broker)
        log.signer = key(by or node)
        fact = f.PromotionAttested(
            config=CONFIG, node=node, model=model, promotion=promotion, root=root, proof=proof
        )
        process = system.process("verifier", node)
        await log.append([process.draft(fact, cause=f"EVENTS/{promotion}", key=f"{node}{by}")])


async def used(system: System, wanted: str) -> str:
    """The network that a worker uses for a ticket of one."""
    plan = replace(PLAN, model=wanted)
    (ticket,) = tickets_of(replace(plan, games=1), f"EVENTS/{await system.write(plan)}")
    assert isinstance(ticket, SelfplayTicket)

    async def fetch(model: str) -> str:
        return model

    return (await wanted_or_older(system.process(), ticket, wanted, fetch))[0]


async def required(system: System) -> None:
    await system.write(f.SettingsChanged(version=1, settings=REQUIRED, why="test"))


async def test_a_worker_uses_what_three_of_four_attest(system: System) -> None:
    await admitted(system, *NODES)
    await required(system)
    await attest(system, await system.write(promoted(A)), A, "c1", "c2", "c3")
    assert await used(system, A) == A
    assert await missing_attestations(system.log, CONFIG, A) == ""


@pytest.mark.parametrize(
    ("signers", "by"), [(("c1", "c2"), ""), (NODES, "c4"), (("x1", "x2", "x3"), "")]
)
async def test_fewer_forged_and_foreign_signatures_do_not_suffice(
    system: System, signers: tuple[str, ...], by: str
) -> None:
    await admitted(system, *NODES)
    await required(system)
    await attest(system, await system.write(promoted(A)), A, *NODES)
    await attest(system, await system.write(promoted(B)), B, *signers, by=by)
    assert await used(system, B) == A
    (fact,) = await system.facts(f.FallbackModelUsed)
    assert "Uncertified" in fact.reason
    assert "attest it, 3 must" in fact.reason


async def test_an_attestation_counts_for_the_very_decision_that_was_read(system: System) -> None:
    await admitted(system, *NODES)
    promotion = await system.write(promoted(A))
    await attest(system, promotion, A, *NODES)
    assert await missing_attestations(system.log, CONFIG, A) == ""
    entries = system.broker.stream(EVENTS).entries
    forged = replace(promoted(A), why="another reason")
    body = encode(draft(forged, cause=None, source="promoter@c1", key="k"))
    entries[promotion] = replace(entries[promotion], body=body)
    assert "0 of 4" in await missing_attestations(system.log, CONFIG, A)
    del entries[promotion]
    assert "0 of 4" in await missing_attestations(system.log, CONFIG, A)


async def test_an_attestation_counts_for_a_decision_only(system: System) -> None:
    """A signature of 2f + 1 coordinators about another message, or one of another network."""
    await admitted(system, *NODES)
    other = await system.write(f.TickRecorded(minute=1))
    await attest(system, other, A, *NODES)
    await attest(system, await system.write(promoted(B)), A, *NODES)
    assert "0 of 4" in await missing_attestations(system.log, CONFIG, A)


async def test_attestations_of_two_promotions_do_not_add_up(system: System) -> None:
    await admitted(system, *NODES)
    first, second = await system.write(promoted(A)), await system.write(promoted(A))
    await attest(system, first, A, "c1", "c2")
    await attest(system, second, A, "c3", "c4")
    assert "2 of 4" in await missing_attestations(system.log, CONFIG, A)


async def test_with_three_coordinators_nothing_is_attested(system: System) -> None:
    await admitted(system, "c1", "c2", "c3")
    await required(system)
    await attest(system, await system.write(promoted(A)), A, "c1", "c2", "c3")
    with pytest.raises(Uncertified, match="3 coordinators are admitted, of at least 4"):
        await used(system, A)


async def test_a_network_that_was_never_promoted_is_refused_at_once(system: System) -> None:
    await admitted(system, *NODES)
    await required(system)
    began = system.loop.time()
    with pytest.raises(Uncertified):
        await used(system, C)
    assert system.loop.time() - began < 60.0


async def test_a_worker_waits_for_the_attestations_of_a_new_promotion(system: System) -> None:
    await admitted(system, *NODES)
    await required(system)
    promotion = await system.write(promoted(A))
    task = asyncio.create_task(used(system, A))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 60.0)
    await attest(system, promotion, A, "c1", "c2", "c3")
    assert await task == A


async def test_without_the_setting_nothing_is_required(system: System) -> None:
    await system.write(promoted(A))
    assert await used(system, A) == A
