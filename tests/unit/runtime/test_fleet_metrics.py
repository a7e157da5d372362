"""The metrics of the whole fleet, and the addresses of its processes."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.games import recorded_game
from support.loop_facts import exported, finished, promoted
from support.system import System, selfplay_finished

from ringrift.events.facts import (
    EfficiencyMeasured,
    NodeJoined,
    Spent,
    TrainingFailed,
    VelocityChanged,
)
from ringrift.log.errors import LogUnavailable
from ringrift.log.holdings import Copy, Held
from ringrift.log.presence import Heartbeat, Machine
from ringrift.log.topology import EVENTS
from ringrift.runtime import fleet_metrics
from ringrift.runtime.fleet_metrics import Fleet, targets
from ringrift.runtime.fleet_processes import merged
from ringrift.runtime.metrics import Metrics

BEAT = Heartbeat(
    consumer="selfplay", node="n", instance="i", pid=1, doing="", seq=0, errors=2, folds={}
)


@pytest.fixture
def fleet(system: System) -> Fleet:
    return Fleet(system.log, system.clock.wall)


async def later(fleet: Fleet) -> Metrics:
    await asyncio.sleep(fleet_metrics.KEPT_SECONDS + 1)
    return await fleet.metrics()


async def test_the_newest_facts_of_a_config_are_measured(system: System, fleet: Fleet) -> None:
    velocity = VelocityChanged(
        config="hex8_2p",
        model="ab" * 32,
        elo_per_hour=None,
        pace=None,
        elo_above_heuristic=120.5,
        elo_95_half_width=40.5,
        settings_version=1,
    )
    trained = replace(finished(), loss=2.5, validation_loss=None)
    await system.write(promoted(generation=1), promoted(generation=2), velocity, trained)
    await system.write(recorded_game(1), recorded_game(2))
    value = (await fleet.metrics()).value
    assert value("ringrift_games", "hex8_2p") == 2
    assert value("ringrift_generation", "hex8_2p") == 2
    assert value("ringrift_elo_above_heuristic", "hex8_2p") == 120.5
    assert value("ringrift_elo_95_half_width", "hex8_2p") == 40.5
    assert value("ringrift_elo_velocity", "hex8_2p") is None, "unknown before a second network"
    assert value("ringrift_training_loss", "hex8_2p") == 2.5
    assert value("ringrift_validation_loss", "hex8_2p") is None


async def test_costs_and_what_was_gained_for_them_are_measured(
    system: System, fleet: Fleet
) -> None:
    measured = EfficiencyMeasured(
        config="hex8_2p",
        hours=2.0,
        node_hours=4.0,
        cost=8.0,
        elo_gained=40.0,
        elo_per_hour=20.0,
        elo_per_node_hour=10.0,
        elo_per_cost=5.0,
        spent={"training": Spent(units=3, node_seconds=7200.0, cost=1.5)},
        settings_version=1,
    )
    await system.write(measured)
    value = (await fleet.metrics()).value
    assert value("ringrift_elo_per_hour", "hex8_2p") == 20.0
    assert value("ringrift_elo_per_node_hour", "hex8_2p") == 10.0
    assert value("ringrift_elo_per_cost", "hex8_2p") == 5.0
    assert value("ringrift_node_hours", "hex8_2p", "training") == 2.0
    assert value("ringrift_cost", "hex8_2p", "training") == 1.5


async def test_without_a_quorum_the_voters_are_measured_and_blank_ones_counted(
    system: System, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unanswered(subject: str, *_: object, **__: object) -> dict[str, object]:
        raise LogUnavailable(f"no answer to {subject}")

    async def asked(servers: object) -> list[Held]:
        log = {EVENTS: Copy(messages=172, first=1, last=172)}
        return [Held("a", {}, leader="b"), Held("b", {}, leader="b"), Held("c", log)]

    monkeypatch.setattr(system.log, "call", unanswered)
    monkeypatch.setattr(fleet_metrics, "holdings", asked)
    value = (await fleet.metrics()).value
    assert value("ringrift_quorum_health_level") == 0
    assert value("ringrift_voters_blank") == 2


async def test_a_config_without_promotions_has_games_and_no_generation(
    system: System, fleet: Fleet
) -> None:
    await system.write(recorded_game(1), exported())
    value = (await fleet.metrics()).value
    assert value("ringrift_games", "hex8_2p") == 1
    assert value("ringrift_generation", "hex8_2p") is None
    assert value("ringrift_elo_above_heuristic", "hex8_2p") is None


async def test_nodes_are_measured_by_their_heartbeats_and_games(
    system: System, fleet: Fleet
) -> None:
    machine = Machine(roles=("worker",), cores=4, memory_bytes=1, price_per_hour=0.4)
    presence = system.process().presence
    await presence.beat(BEAT)
    await presence.beat(replace(BEAT, instance="j", errors=3, tier="warning"))
    await presence.beat(replace(BEAT, consumer="node", instance="k", machine=machine))
    await system.write(selfplay_finished("t1"), selfplay_finished("t2"))
    found = await fleet.metrics()
    assert found.value("ringrift_node_processes", "selfplay", "n") == 2
    assert found.value("ringrift_node_errors", "selfplay", "n") == 5
    assert found.value("ringrift_node_pressure_tier", "n") == 2
    assert found.value("ringrift_node_price_per_hour", "n") == 0.4
    assert found.value("ringrift_node_games_total", "n") == 2
    await system.write(selfplay_finished("t3"))
    assert (await later(fleet)).value("ringrift_node_games_total", "n") == 3


async def test_the_names_of_nodes_are_bounded(
    system: System, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_metrics, "NODES_MAX", 2)
    for number in range(5):
        beat = replace(BEAT, node=f"n{number}", instance=f"i{number}")
        await system.process().presence.beat(beat)
    text = (await fleet.metrics()).text().decode()
    assert text.count("ringrift_node_processes{") == 2


async def test_nodes_that_rejoined_are_counted(system: System, fleet: Fleet) -> None:
    await system.write(NodeJoined(node="a", rejoined=False), NodeJoined(node="b", rejoined=True))
    assert (await fleet.metrics()).value("ringrift_nodes_reconnected_total") == 1
    await system.write(NodeJoined(node="a", rejoined=True))
    assert (await later(fleet)).value("ringrift_nodes_reconnected_total") == 2


async def test_a_trouble_has_its_severity_and_is_gone_with_it(system: System, fleet: Fleet) -> None:
    failed = TrainingFailed(config="hex8_2p", generation=1, ticket="t", node="n", reason="memory")
    labels = ("training failed", "hex8_2p", "critical")
    await system.write(failed)
    assert (await fleet.metrics()).value("ringrift_trouble", *labels) == 1
    await system.write(finished())
    assert (await fleet.metrics()).value("ringrift_trouble", *labels) == 1, "measured just now"
    assert (await later(fleet)).value("ringrift_trouble", *labels) is None


async def test_only_addresses_that_can_be_reached_are_targets(system: System) -> None:
    presence = system.process().presence
    for node, health in {
        "here": "127.0.0.1:8790",
        "away": "127.0.0.1:8791",
        "open": "0.0.0.0:8792",
        "lan": "10.0.0.7:8793",
        "none": "",
    }.items():
        await presence.beat(replace(BEAT, node=node, instance=node, health=health))
    found = await targets(system.log, "here", system.clock.wall)
    assert {item.labels["__meta_ringrift_node"]: item.targets for item in found} == {
        "here": ("127.0.0.1:8790",),
        "lan": ("10.0.0.7:8793",),
        "open": ("open:8792",),
    }


def test_a_process_answers_for_itself_only() -> None:
    own, lies = Metrics(consumer="planner", node="elsewhere"), Metrics()
    own.set("ringrift_consumer_alive", 1)
    lies.set("ringrift_quorum_margin", 7)
    other = replace(BEAT, instance="j")
    found = Metrics()
    found.set("ringrift_quorum_margin", 1)
    answers = [(BEAT, own.text() + lies.text()), (other, own.text()), (BEAT, b"\xff{")]
    found.registry.register(merged(answers))
    text = found.text().decode()
    assert text.count("ringrift_consumer_alive{") == 2
    assert 'ringrift_consumer_alive{consumer="selfplay",node="n",process="j"} 1.0' in text
    assert [line for line in text.splitlines() if line.startswith("ringrift_quorum_margin")] == [
        "ringrift_quorum_margin 1.0"
    ]
    assert 'process_cpu_seconds_total{consumer="selfplay",node="n",process="i"}' in text
    assert "elsewhere" not in text
