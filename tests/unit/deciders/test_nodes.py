"""Which nodes are present: joined, suspected, degraded, lost."""

from __future__ import annotations

from hypothesis import given, strategies as st
from msgspec.structs import replace
from support.timed_story import TICK, Life

from ringrift.deciders.fleet import dead_letters as dead_letters, nodes
from ringrift.events import Settings
from ringrift.events.facts import (
    NodeAssigned,
    NodeDegraded,
    NodeDescribed,
    NodeForgotten,
    NodeJoined,
    NodeLost,
    NodePresenceChanged,
    NodeReturned,
    NodeSuspected,
    NodeUpdated,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings


def seen(present: bool, *, left: bool = False, silent: float = 0.0) -> NodePresenceChanged:
    return NodePresenceChanged(
        node="gpu1", present=present, left=left, silent_seconds=silent, processes=1
    )


def test_a_silent_node_is_suspected_degraded_lost_and_joins_again() -> None:
    life = Life(nodes.DECIDER)
    assert life.at(0, seen(True)) == [NodeJoined(node="gpu1", rejoined=False)]
    assert life.at(1, TICK) == []
    assert life.at(110, seen(False, silent=10)) == []
    assert life.at(399, TICK) == []
    assert life.at(400, TICK) == [NodeSuspected(node="gpu1", silent_seconds=300)]
    assert life.at(401, TICK) == []
    assert life.at(700, TICK) == [NodeDegraded(node="gpu1", silent_seconds=600)]
    assert life.at(9000, TICK) == [NodeLost(node="gpu1", silent_seconds=8900)]
    assert life.at(9001, TICK) == []
    assert life.at(9002, seen(True)) == [NodeJoined(node="gpu1", rejoined=True)]


def test_a_short_silence_or_a_goodbye_is_no_loss() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(20, seen(False, silent=10))
    assert life.at(60, seen(True)) == []
    life.at(70, seen(False, left=True))
    assert life.at(9000, TICK) == []
    assert life.state.nodes == {}


def test_every_standing_is_recorded_once() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, silent=0))
    facts = [type(fact) for second in range(20, 4000, 20) for fact in life.at(second, TICK)]
    assert facts == [NodeSuspected, NodeDegraded, NodeLost]


def test_a_node_does_not_join_again_after_a_short_silence() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, silent=0))
    life.at(320, TICK)  # suspected
    assert life.at(330, seen(True)) == [NodeJoined(node="gpu1", rejoined=True)]
    life.at(340, seen(False, silent=0))
    assert life.at(350, seen(True)) == []


def test_nodes_are_judged_independently() -> None:
    life, other = Life(nodes.DECIDER), replace(seen(True), node="gpu2")
    life.at(0, seen(True))
    assert life.at(1, other) == [NodeJoined(node="gpu2", rejoined=False)]
    life.at(2, seen(False))
    assert [fact.node for fact in life.at(400, TICK)] == ["gpu1"]


def test_a_node_joins_again_after_a_goodbye() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, left=True))
    assert life.at(9000, seen(True)) == [NodeJoined(node="gpu1", rejoined=False)]


def test_the_thresholds_are_settings() -> None:
    life = Life(nodes.DECIDER)
    short = OperationSettings(
        node_suspected_seconds=10.0, node_degraded_seconds=20.0, node_lost_seconds=30.0
    )
    life.at(0, SettingsChanged(version=1, settings=Settings(operation=short), why="test"))
    life.at(0, seen(True))
    life.at(1, seen(False))
    assert [type(fact) for second in (12, 22, 32) for fact in life.at(second, TICK)] == [
        NodeSuspected,
        NodeDegraded,
        NodeLost,
    ]


def test_an_unknown_node_is_not_missed() -> None:
    life = Life(nodes.DECIDER)
    assert life.at(0, seen(False, silent=1e6)) == []
    assert life.state.nodes == {}


def test_a_node_that_was_given_back_or_forgotten_is_not_missed() -> None:
    life = Life(nodes.DECIDER)
    stands_by = NodeAssigned(node="gpu1", kinds=(), ticket_seconds=1.0, why="w", settings_version=1)
    life.at(0, seen(True))
    life.at(1, stands_by)
    life.at(2, seen(False))
    assert life.at(9000, TICK) == []
    life.at(9001, seen(True))
    life.at(9002, seen(False))
    life.at(9003, stands_by)  # since it is absent, not because it cost too much
    assert [type(fact) for fact in life.at(9400, TICK)] == [NodeSuspected]
    life.at(9401, NodeForgotten(node="gpu1", why="returned"))
    assert life.at(19_000, TICK) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 2000), st.sampled_from(["seen", "gone", "left", "tick"])),
        max_size=40,
    )
)
def test_a_present_node_is_never_suspected(steps: list[tuple[int, str]]) -> None:
    life, now, there = Life(nodes.DECIDER), 0, False
    events = {"seen": seen(True), "gone": seen(False), "left": seen(False, left=True), "tick": TICK}
    for seconds, what in steps:
        now += seconds
        there = {"seen": True, "gone": False, "left": False}.get(what, there)
        for fact in life.at(now, events[what]):
            assert isinstance(fact, NodeJoined) == there


def test_each_program_that_a_node_runs_is_recorded_once() -> None:
    life = Life(nodes.DECIDER)
    assert life.at(0, described("1.0+abc")) == [
        NodeUpdated(node="gpu1", version="1.0+abc", previous="")
    ]
    assert life.at(1, described("1.0+abc", price=2.0)) == []
    assert life.at(2, described("1.0+def")) == [
        NodeUpdated(node="gpu1", version="1.0+def", previous="1.0+abc")
    ]
    life.at(3, seen(True))
    life.at(4, seen(False, left=True))
    life.at(5, NodeForgotten(node="gpu1", why="given back"))
    assert life.state.versions == {}


def test_a_returned_node_is_not_missed() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(20, seen(False, silent=10))
    life.at(30, NodeReturned(node="gpu1", instance="i-1", asked=True))
    assert life.at(9000, TICK) == []


def test_a_node_that_is_returned_while_it_runs_is_not_missed() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, NodeReturned(node="gpu1", instance="i-1", asked=True))
    life.at(20, seen(False, silent=10))
    assert life.at(9000, TICK) == []


def described(version: str, price: float = 1.0) -> NodeDescribed:
    return NodeDescribed(
        node="gpu1",
        provider="vast",
        accelerator="rtx4090",
        gpus=1,
        cores=8,
        vram_gib=24.0,
        cost_per_hour=price,
        kinds=("selfplay",),
        rented=True,
        version=version,
    )
