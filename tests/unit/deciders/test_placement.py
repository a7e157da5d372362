"""Which kinds of work suit a node, by the cost of a game on it."""

from __future__ import annotations

import pytest
from support.fleet_facts import ALL_SEEN, EVERYTHING, PLAYS, assigned, finished, node, seen

from ringrift.deciders.fleet.assignment import DECIDER
from ringrift.events.facts import NodeAssigned, TickRecorded
from ringrift.events.settings import SchedulingSettings
from ringrift.events.settings.fleet import WorkMemory


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), *ALL_SEEN)


def test_the_cheapest_lasting_node_trains(life):
    life.given(
        node("spot", 0.8, ephemeral=True),
        node("dear", 1.3),
        node("cheap", 1.0),
        TickRecorded(minute=1),
    )
    assert assigned(life) == {"spot": PLAYS, "dear": PLAYS, "cheap": EVERYTHING}
    life.given(seen("cheap", False))
    assert assigned(life)["dear"] == EVERYTHING
    life.given(seen("cheap"))
    assert assigned(life)["cheap"] == EVERYTHING, "the margin is 15 %, it is 23 % cheaper"


def test_an_expensive_node_stands_by(life):
    (fact,) = (
        life.given(node("a1"), node("a2"), node("a3")).when(node("b", cost=4.0)).then(NodeAssigned)
    )
    assert fact.kinds == ()
    assert "2.3 times the fleet's mean" in fact.why


def test_every_node_does_all_it_may_without_cost_awareness(story, settings_changed):
    unaware = SchedulingSettings(cost_aware=False)
    life = story(DECIDER).given(settings_changed(scheduling=unaware), *ALL_SEEN)
    life.given(node("a1"), node("a2"), node("b", cost=9.0, kinds=PLAYS))
    assert assigned(life) == {"a1": EVERYTHING, "a2": EVERYTHING, "b": PLAYS}


def test_a_node_gets_no_work_that_does_not_fit_its_memory(life):
    life.given(node("a1", 0.1, vram_gib=3.0), node("b", vram_gib=0.0), node("s1", vram_gib=1.0))
    assert assigned(life) == {"a1": PLAYS, "b": EVERYTHING, "s1": ()}
    assert "1 GiB of VRAM are too little" in life.state.nodes["s1"].assignment.why


def test_an_operator_says_how_much_memory_work_needs(story, settings_changed):
    needs = SchedulingSettings(vram_gib=WorkMemory(training=40.0))
    life = story(DECIDER).given(settings_changed(scheduling=needs), *ALL_SEEN)
    life.given(node("a1", 0.1), node("b", 9.0, vram_gib=80.0))
    assert assigned(life) == {"a1": PLAYS, "b": EVERYTHING}


def test_a_node_with_too_little_memory_may_be_too_dear(life):
    life.given(node("a1"), node("a2"), node("a3"), node("b", 4.0, vram_gib=3.0))
    assert "times the fleet's mean" in life.state.nodes["b"].assignment.why


def test_a_free_node_never_stands_by(life):
    life.given(node("a1"), node("a2"), node("own", cost=0.0, speed=0.01))
    assert assigned(life)["own"] == ("selfplay",)


def test_a_slow_node_only_plays(life):
    life.given(node("a1"), node("a2"), node("slow", cost=0.1, speed=0.2))
    assert assigned(life) == {"a1": EVERYTHING, "a2": PLAYS, "slow": ("selfplay",)}
    assert "matches" in life.state.nodes["slow"].assignment.why


def test_a_slow_node_evaluates_if_no_other_may(life):
    life.given(
        node("a1", kinds=("training",)),
        node("b", kinds=("selfplay",)),
        node("slow", cost=0.1, speed=0.2, kinds=PLAYS),
    )
    assert assigned(life)["slow"] == PLAYS
    life.given(node("a2", kinds=PLAYS), TickRecorded(minute=1))
    assert assigned(life)["slow"] == ("selfplay",)


def test_a_slow_node_evaluates_if_it_may_do_nothing_else_or_is_reserved(life):
    life.given(node("a1"), node("only", cost=0.1, speed=0.2, kinds=("evaluation",)))
    assert assigned(life)["only"] == ("evaluation",)
    life.given(
        node(
            "kept",
            cost=0.1,
            speed=0.2,
            reserved_for=("evaluation", "selfplay"),
            reserved_until_minute=100,
        )
    )
    assert assigned(life)["kept"] == PLAYS


@pytest.mark.parametrize(
    ("slowness", "kinds"), [((2.6, 2.4, 2.6), ("selfplay",)), ((2.0, 2.4, 2.0, 2.4), PLAYS)]
)
def test_a_node_near_the_threshold_keeps_its_kinds(life, slowness, kinds):
    life.given(node("a1"), node("a2"))
    for value in slowness:
        life.given(node("b", cost=0.1, speed=1.0 / value))
        assert assigned(life)["b"] == kinds


def test_measured_speed_replaces_the_declared_one(life):
    life.given(node("a1"), node("a2"), node("a3"), node("b", cost=4.0))
    assert assigned(life)["b"] == ()
    for _ in range(60):
        life.given(finished("a1", 10, 100.0), finished("b", 10, 25.0))
    life.given(TickRecorded(minute=1))
    assert "selfplay" in assigned(life)["b"]
