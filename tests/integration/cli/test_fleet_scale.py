"""`ringrift fleet scale` and `fleet drain`, and the hook of ops/rent_hook.py."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ringrift.consumers import hook
from ringrift.events import Fact, draft, facts as f
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog

HOOK = Path(__file__).parents[3] / "ops" / "rent_hook.py"
OFFER = "renting.offers=cheap:price=0.25:speed=1:vram=24:max=2"
BUDGET = "renting.budget_per_hour=1"


def write(system: Any, *facts: Fact) -> None:
    async def append() -> None:
        log = await JetStreamLog.open(system.server.url, name="test")
        for number, fact in enumerate(facts):
            await log.append([draft(fact, cause=None, source="test", key=f"scale{number}")])
        await log.close()

    system.call(append())


def drains(system: Any) -> list[f.NodeDrainRequested]:
    async def found() -> list[f.NodeDrainRequested]:
        log = await JetStreamLog.open(system.server.url, name="test")
        facts = [event async for event, _ in read.facts(log, f.NodeDrainRequested)]
        await log.close()
        return facts

    return list(system.call(found()))


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(run: Any) -> None:
    text = run("fleet", "scale", "--dry-run", "--set", OFFER, "--set", BUDGET)
    assert text.count("rent rented-cheap-") == 2
    assert "4.00 speed per unit of cost; 1.00 per hour were left" in text
    assert "4.00 speed per unit of cost; 0.75 per hour were left" in text
    assert run.json("settings")["renting"]["offers"] == []
    plan = run.json("fleet", "scale")
    assert (plan["nodes"], plan["steps"]) == ([], [])
    assert plan["holds"] == "there is no offer (`renting.offers`)"


def test_what_is_rented_is_shown_and_settings_change(run: Any, system: Any) -> None:
    run("fleet", "scale", "--set", OFFER, "--set", BUDGET)
    assert run.json("settings")["renting"]["budget_per_hour"] == 1
    write(
        system,
        f.NodeRentRequested(
            node="cheap-1", offer="cheap", cost_per_hour=0.25, why="w", settings_version=2
        ),
        f.NodeRented(node="cheap-1", offer="cheap", instance="i-1", cost_per_hour=0.2),
        f.OrphanFound(node="orphan-1", instance="i-2", offer="", cost_per_hour=0.3),
    )
    plan = run.json("fleet", "scale")
    assert [(node["node"], node["state"]) for node in plan["nodes"]] == [
        ("cheap-1", "booting"),
        ("orphan-1", "orphan: no rent of it is recorded"),
    ]
    assert plan["cost_per_hour"] == 0.2
    assert [step["do"] for step in plan["steps"]] == ["rent"]
    text = run("fleet", "scale", "--set", "renting.budget_per_hour=0")
    assert "return cheap-1: there is no budget (`renting.budget_per_hour`)" in text
    run("fleet", "scale", "--set", "renting.offers=x", status=1)
    assert "an offer such as" in run.err


def test_a_node_is_drained_by_hand(run: Any, system: Any) -> None:
    run("fleet", "drain", "none", status=1)
    assert "none sends no heartbeats" in run.err
    seen = f.NodePresenceChanged(
        node="n7", present=True, left=False, silent_seconds=0.0, processes=1
    )
    write(system, seen)
    assert "stops within 30 s" in run("fleet", "drain", "n7", "--in", "30s")
    (fact,) = drains(system)
    assert (fact.node, fact.seconds, fact.why) == ("n7", 30.0, "by hand")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RENT_FOLDER", str(tmp_path / "rented"))
    monkeypatch.setenv("RENT_START", "sleep 3600")
    return f"{sys.executable} {HOOK}"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the example looks in /proc")
async def test_the_example_of_a_hook_keeps_the_contract(example: str) -> None:
    rent = {"key": "k", "name": "n", "offer": "x", "cost_per_hour_max": 0.5}
    first = await hook.call(example, {"verb": "rent", **rent}, 20.0)
    again = await hook.call(example, {"verb": "rent", **rent}, 20.0)
    assert (first.id, first.cost_per_hour) == (again.id, again.cost_per_hour) != ("", None)
    os.kill(int(first.id), 0)
    (one,) = (await hook.call(example, {"verb": "list"}, 20.0)).instances or ()
    assert (one.id, one.name, one.offer, one.cost_per_hour) == (first.id, "n", "x", 0.5)
    back = {"verb": "return", "key": "l", "name": "n", "id": first.id}
    for _ in range(2):  # what does not run any more is returned
        assert (await hook.call(example, back, 20.0)).error is None
        async with asyncio.timeout(20):
            while (await hook.call(example, {"verb": "list"}, 20.0)).instances:
                pass
    with pytest.raises(hook.HookRefused, match="restart is not possible here"):
        await hook.call(example, {**back, "verb": "restart"}, 20.0)
