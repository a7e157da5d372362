"""A promotion is attested by the coordinators that derive it too; its certificate proves what it
says to people who have nothing but the file and the keys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.loop_facts import described, joined
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.errors import CommandError
from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationScored,
    ModelPromoted,
    ModelRolledBack,
    PromotionDisputed,
    RegressionDetected,
    SettingsChanged,
)
from ringrift.events.merkle import Tree
from ringrift.log import read
from ringrift.log.identity import NodeKey
from ringrift.runtime.process import Process
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust import certificate
from ringrift.trust.attesting import Attestor, certify
from ringrift.trust.certificate import Certificate, Finding, Key, Keys, Stored
from ringrift.trust.heads import HeadWriter

ROOT = Path(__file__).parents[3]
SECOND = ROOT / "docs" / "scripts" / "verify_certificate.mjs"
NODES = ("c1", "c2", "c3", "c4")


@cache
def key(node: str) -> NodeKey:
    return NodeKey.new()


def keys(*nodes: str) -> Keys:
    return Keys(tuple(Key(node, key(node).key, ("coordinator",)) for node in nodes))


async def looped() -> tuple[TurningLoop, ModelPromoted]:
    """A loop of three generations, and its newest promotion."""
    loop = TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    await loop.turn()
    *_, (promotion, _) = [item async for item in read.facts(loop.log, ModelPromoted)]
    return loop, promotion


async def attest(loop: TurningLoop, *nodes: str) -> int:
    """Let the coordinators on some nodes attest what they derive; return how many facts they
    wrote."""
    written = 0
    for node in nodes:
        log = MemoryLog(loop.log.broker)
        log.signer = key(node)
        process = Process("verifier", node, log)
        heads, attestor = HeadWriter(process), Attestor(process)
        for _ in range(2):  # newer decisions wait for a round
            await heads.round()
            drafts = await attestor.round(heads)
        written += len(await log.append_each(drafts))
    return written


async def certified(*nodes: str) -> Certificate:
    loop, promotion = await looped()
    await attest(loop, *nodes)
    return await certify(loop.log, promotion.model)


def last_line(finding: Finding) -> str:
    return finding.lines[-1]


async def test_three_of_four_coordinators_attest_a_promotion() -> None:
    found = await certified("c1", "c2", "c4")
    finding = certificate.verify(found, keys(*NODES))
    assert finding.valid
    assert finding.attested
    assert "attested: 3 of 4 coordinators (c1, c2, c4) derived" in last_line(finding)
    assert f"promotes network {found.model[:12]} in hex8_2p" in finding.lines[0]
    assert any("recorded: " in line and " won " in line for line in finding.lines)
    assert certificate.read(certificate.encoded(found)) == found


def signer_of(node: str) -> NodeKey:
    return key(node)


class SplitLoop(TurningLoop):
    """A loop with four evaluators, each of which signs its scores."""

    async def put(
        self, fact: Fact, cause: str | None = None, key: str | int = 0, source: str = ""
    ) -> str:
        node = fact.node if isinstance(fact, EvaluationScored) else None
        self.log.signer = signer_of(node) if node else None
        return await super().put(fact, cause, key, source)


async def test_a_certificate_says_how_many_evaluators_could_not_decide_it() -> None:
    loop, evaluators = SplitLoop(), ("n2", "n3", "n4", "n5")
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    for node in evaluators:
        await loop.put(joined(node))
        await loop.put(described(node))
    await loop.turn()
    *_, (promotion, _) = await loop.all(ModelPromoted)
    found = await certify(loop.log, promotion.model)
    others = Keys((*keys(*NODES).nodes, *(Key(n, key(n).key, ("evaluator",)) for n in evaluators)))
    finding = certificate.verify(found, others)
    line = next(it for it in finding.lines if it.startswith("evaluation "))
    assert line == (
        "evaluation split: the decision is the same without the scores of any 1 of "
        "4 evaluators, 4 of whom signed as themselves"
    )
    without = [it for it in found.events if it.event["data"].get("node") != "n3"]
    finding = certificate.verify(replace(found, events=tuple(without)), others)
    assert not finding.valid
    assert any("scores of n3" in line for line in finding.lines)
    alone = certificate.verify(await certified("c1"), keys(*NODES))
    assert "evaluation unattested: a single evaluator could decide it" in alone.lines


@pytest.mark.parametrize(
    ("signers", "trusted"), [(("c1", "c2"), NODES), (NODES, ("c1", "c2", "c3"))]
)
async def test_fewer_leave_it_unattested(
    signers: tuple[str, ...], trusted: tuple[str, ...]
) -> None:
    finding = certificate.verify(await certified(*signers), keys(*trusted))
    assert finding.valid
    assert not finding.attested
    assert last_line(finding).startswith("unattested: ")


@pytest.mark.parametrize(("signers", "trusted"), [((), NODES), (NODES, ("x",)), (NODES, ())])
async def test_what_no_trusted_key_signed_is_unproven(
    signers: tuple[str, ...], trusted: tuple[str, ...]
) -> None:
    finding = certificate.verify(await certified(*signers), keys(*trusted))
    assert finding.valid
    assert not finding.vouched
    assert last_line(finding).startswith("unproven: ")


async def test_a_key_that_is_not_trusted_or_no_coordinator_does_not_count() -> None:
    found = await certified(*NODES)
    worker = replace(keys("c4").nodes[0], roles=("worker",))
    finding = certificate.verify(found, Keys((*keys("c1", "c2", "c3").nodes, worker)))
    assert "3 of 3 coordinators (c1, c2, c3)" in last_line(finding)


async def test_a_promotion_that_does_not_follow_is_not_attested() -> None:
    loop, promotion = await looped()
    recorded = [item async for item in read.facts(loop.log, ModelPromoted)]
    forged = replace(promotion, model="ef" * 32)
    await loop.put(forged, recorded[-1].meta.cause, "forged", "promoter@c1")
    count = await attest(loop, "c1")
    assert count == len(recorded) + 1
    found = await certify(loop.log, forged.model)
    assert found.attestations == ()
    ((dispute, _),) = [item async for item in read.facts(loop.log, PromotionDisputed)]
    assert (dispute.node, dispute.model, dispute.promotion) == ("c1", forged.model, found.size)
    assert dispute.proposer == "promoter@c1"


async def test_a_rollback_is_certified_like_a_promotion(tmp_path: Path) -> None:
    loop, _ = await looped()
    first, *_, (promotion, _) = [item async for item in read.facts(loop.log, ModelPromoted)]
    regression = RegressionDetected(
        config=promotion.config,
        severity="critical",
        model=promotion.model,
        best=first.event.model,
        rollback_to=first.event.model,
        elo_drop=200.0,
        standard_error=20.0,
        settings_version=1,
    )
    await loop.put(regression)
    (rollback,) = [event async for event, _ in read.facts(loop.log, ModelRolledBack)]
    await attest(loop, "c1", "c2", "c3")
    found = await certify(loop.log, rollback.current)
    finding = certificate.verify(found, keys(*NODES))
    assert finding.attested
    assert f"rolls back to network {first.event.model[:12]}" in finding.lines[0]
    paths = [tmp_path / "certificate.json", tmp_path / "keys.json"]
    paths[0].write_bytes(certificate.encoded(found))
    paths[1].write_bytes(msgspec.json.encode(keys(*NODES)))
    assert (
        shutil.which("node") is None or ran(["node", str(SECOND), *map(str, paths)]).returncode == 0
    )
    other = certificate.verify(replace(found, model=promotion.model), keys(*NODES))
    assert not other.valid


async def test_attestations_are_not_repeated_after_a_restart() -> None:
    loop, _ = await looped()
    assert await attest(loop, "c1") > 0
    assert await attest(loop, "c1") == 0


async def test_whatever_is_changed_is_found() -> None:
    found = await certified(*NODES)
    trusted = keys(*NODES)
    for index, item in enumerate(found.events):
        for changed in (
            replace(item, body=item.body.replace('"data":{', '"data": {')),
            replace(item, time_ns=item.time_ns + "1"),
            replace(item, seq=item.seq + 1),
            replace(item, proof=item.proof[1:]),
        ):
            events = (*found.events[:index], changed, *found.events[index + 1 :])
            finding = certificate.verify(replace(found, events=events), trusted)
            assert not finding.valid
            assert f"EVENTS/{changed.seq} is not in the tree" in " ".join(finding.lines)
    for other in (
        replace(found, model="ab" * 32),
        replace(found, config="hex8_3p"),
        replace(found, size=found.size - 1),
        replace(found, root="00" * 32),
        replace(found, root="zz"),
        replace(found, events=found.events[:-1]),
        replace(found, events=found.events[-1:]),
    ):
        assert not certificate.verify(other, trusted).valid


async def test_an_attestation_of_something_else_does_not_count() -> None:
    found = await certified(*NODES)
    one, two, *rest = found.attestations
    assert '"root":"' in one.body
    changed = replace(one, body=one.body.replace(found.root, "0" * 64))
    unsigned = replace(two, body=two.body.partition(',"author"')[0] + "}")
    attestations = (changed, unsigned, *rest)
    finding = certificate.verify(replace(found, attestations=attestations), keys(*NODES))
    assert "unattested: 2 of 4" in last_line(finding)


async def test_a_network_that_was_never_promoted_has_no_certificate() -> None:
    loop, _ = await looped()
    with pytest.raises(CommandError, match="no networks that were promoted start with 'zz'"):
        await certify(loop.log, "zz")


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"format":"x"}', b"\xff"])
def test_other_files_are_refused_in_a_line(data: bytes) -> None:
    with pytest.raises(CommandError, match="certificate"):
        certificate.read(data)
    with pytest.raises(CommandError, match="no file of keys"):
        certificate.read_keys(data)


OFFLINE = """
import sys, time
from ringrift.cli.main import main
status = main(["certificate", "verify", sys.argv[1], "--keys", sys.argv[2], "--attested"])
loaded = {"torch", "numba", "nats", "numpy"} & sys.modules.keys()
assert time.process_time() < 1.0, "a second of processor time, the start included"
sys.exit(f"imported {loaded}" if loaded else status)
"""


async def test_it_is_verified_offline_without_numerics(tmp_path: Path) -> None:
    found = await certified(*NODES)
    paths = [tmp_path / "certificate.json", tmp_path / "keys.json"]
    paths[0].write_bytes(certificate.encoded(found))
    listed: dict[str, Any] = {"nodes": msgspec.to_builtins(keys(*NODES).nodes), "required": True}
    paths[1].write_text(json.dumps(listed))
    command = [sys.executable, "-c", OFFLINE, *map(str, paths)]
    done = ran(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "attested: 4 of 4 coordinators" in done.stdout
    listed["nodes"] = listed["nodes"][:3]
    paths[1].write_text(json.dumps(listed))
    assert ran(command).returncode == 1


def ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
async def test_a_second_implementation_finds_the_same(tmp_path: Path) -> None:
    found = await certified("c1", "c2", "c3")
    forged = replace(found, events=(replace(found.events[0], time_ns="1"), *found.events[1:]))
    cases = [(found, NODES, 0), (found, NODES[:3], 3), (found, ("c1", "c4", "x", "y"), 3)]
    for made, trusted, status in [*cases, (forged, NODES, 1)]:
        paths = [tmp_path / "certificate.json", tmp_path / "keys.json"]
        paths[0].write_bytes(certificate.encoded(made))
        paths[1].write_bytes(msgspec.json.encode(keys(*trusted)))
        done = ran(["node", str(SECOND), *map(str, paths)])
        assert (done.returncode, done.stderr) == (status, ""), done.stdout
        finding = certificate.verify(made, keys(*trusted))
        assert (finding.valid, finding.attested) == (status != 1, status == 0)


def test_the_example_of_the_page_is_right() -> None:
    text = (ROOT / "docs" / "certificates.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    assert ran([sys.executable, "-c", code]).stdout == printed
    leaves = [
        Stored(seq=0, time_ns=f"{time}000000000", subject="ringrift.a.all.b", body='{"data":{}}')
        for time in (1, 2)
    ]
    assert Tree([item.leaf for item in leaves]).root(2).hex() == printed.strip()
    assert f"`{leaves[0].leaf.hex()}`" in text
