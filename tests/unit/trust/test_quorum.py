"""Of 3f + 1 coordinators, no f liars make a forged promotion attested, and no f silent ones keep an
honest one from it: the real deciders, attestors and counting, on a log of invented results."""

from __future__ import annotations

from functools import cache
from itertools import combinations, islice

import pytest
from msgspec.structs import replace
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.identity import NodeKey
from ringrift.runtime.process import Process
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust.admission import admit
from ringrift.trust.attesting import Attestor, missing_attestations
from ringrift.trust.heads import HeadWriter

CONFIG, FORGED = "hex8_2p", "ef" * 32
SETS_MAX = 6
"""of liars that are tried for each number of coordinators"""


def nodes(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


@cache
def key(node: str) -> NodeKey:
    return NodeKey.new()


def process(loop: TurningLoop, node: str) -> Process:
    log = MemoryLog(loop.log.broker)
    log.signer = key(node)
    return Process("verifier", node, log)


async def forged_loop(count: int) -> tuple[TurningLoop, int]:
    """A loop in which one coordinator promoted a network that nothing speaks for, and where."""
    loop = TurningLoop()
    await loop.put(f.SettingsChanged(version=1, settings=SETTINGS, why="test"))
    await loop.turn()
    operator = process(loop, "operator").log
    for node in nodes(count):
        await admit(operator, node, key(node).key, ["coordinator"], "test")
    *_, (promotion, meta) = [item async for item in read.facts(loop.log, f.ModelPromoted)]
    forged = replace(promotion, model=FORGED)
    position = await loop.put(forged, meta.cause, "forged", f"promoter@{nodes(count)[0]}")
    return loop, int(position.partition("/")[2])


async def attest(loop: TurningLoop, node: str) -> int:
    """Let an honest coordinator say what it derives; return how many facts it wrote."""
    own = process(loop, node)
    heads, attestor = HeadWriter(own), Attestor(own)
    for _ in range(2):  # newer decisions wait for a round
        await heads.round()
        drafts = await attestor.round(heads)
    return len(await own.log.append_each(drafts))


async def lie(loop: TurningLoop, liar: str, forged: int, count: int) -> None:
    """Attest the forgery under every name, with the root and with another one."""
    own = process(loop, liar)
    writer = HeadWriter(own)
    await writer.round()
    for root in (writer.roots[forged], "0" * 64):
        for name in nodes(count):
            fact = f.PromotionAttested(
                config=CONFIG,
                node=name,
                model=FORGED,
                promotion=forged,
                root=root,
                proof=writer.proofs[forged],
            )
            draft = own.draft(fact, cause=f"EVENTS/{forged}", key=f"{liar}.{name}.{root}")
            await own.log.append([draft])


@pytest.mark.parametrize("faults", [1, 2])
@pytest.mark.parametrize("silent", [False, True])
async def test_no_f_liars_or_silent_coordinators_decide(faults: int, silent: bool) -> None:
    count = 3 * faults + 1
    for bad in islice(combinations(nodes(count), faults), SETS_MAX):
        loop, forged = await forged_loop(count)
        promoted = {it.model async for it, _ in read.facts(loop.log, f.ModelPromoted)} - {FORGED}
        for liar in () if silent else bad:
            await lie(loop, liar, forged, count)
        honest = [node for node in nodes(count) if node not in bad]
        written = [await attest(loop, node) for node in honest]
        assert "unattested" in await missing_attestations(loop.log, CONFIG, FORGED)
        assert [await missing_attestations(loop.log, CONFIG, it) for it in promoted] == [""] * len(
            promoted
        )
        disputes = [it async for it, _ in read.facts(loop.log, f.PromotionDisputed)]
        assert {(it.node, it.promotion, it.proposer) for it in disputes} == {
            (node, forged, "promoter@c0") for node in honest
        }
        # one message of each coordinator for each decision
        assert written == [len(promoted) + 1] * len(honest)


async def test_more_than_f_silent_ones_leave_it_unattested() -> None:
    loop, _ = await forged_loop(4)
    promoted = {it.model async for it, _ in read.facts(loop.log, f.ModelPromoted)}
    for node in nodes(4)[:2]:
        await attest(loop, node)
    for model in promoted:
        assert "unattested" in await missing_attestations(loop.log, CONFIG, model)
