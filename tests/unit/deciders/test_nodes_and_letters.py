"""Nodes that fall silent, and dead letters that are tried again: decisions over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.story import START, Story

from ringrift.deciders.fleet import dead_letters as letters
from ringrift.deciders.fleet import nodes
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ConsumerStarted,
    DeadLetterEscalated,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    DeadLetterStored,
    NodeDegraded,
    NodeJoined,
    NodeLost,
    NodePresenceChanged,
    NodeSuspected,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings


class Life:
    """A decider on a log whose time the test sets: `at(seconds, fact)` folds the fact and its
    decisions, and returns them."""

    def __init__(self, decider: Any) -> None:
        self.story = Story(decider, step_seconds=0.0)

    def at(self, seconds: float, event: Fact) -> list[Fact]:
        self.story.now = START + timedelta(seconds=seconds)
        return list(self.story.when(event).decided)

    @property
    def state(self) -> Any:
        return self.story.state


TICK = ConsumerStarted(node="other", consumer="planner", instance="1", version="1")


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


def test_a_short_silence_is_no_news_and_a_goodbye_is_no_loss() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(20, seen(False, silent=10))
    assert life.at(60, seen(True)) == []
    life.at(70, seen(False, left=True))
    assert life.at(9000, TICK) == []
    assert life.state.nodes == {}


def buried(**changes: Any) -> DeadLetterStored:
    return DeadLetterStored(
        **{
            "consumer": "rater",
            "stream": "EVENTS",
            "seq": 7,
            "dead_seq": 1,
            "reason": "r",
            "deliveries": 1,
        }
        | changes
    )


def answered(attempt: int) -> DeadLetterRetryFailed:
    return DeadLetterRetryFailed(
        consumer="rater", stream="EVENTS", seq=7, dead_seq=1, reason=f"still, {attempt}"
    )


def test_a_letter_is_retried_with_growing_delays_then_escalated_once() -> None:
    life, now, waits = Life(letters.DECIDER), 0.0, []
    life.at(now, buried())
    for attempt in range(1, 5):
        last = now
        while not (due := life.at(now, TICK)):
            now += 60
        assert [type(fact) for fact in due] == [DeadLetterRetryRequested]
        assert due[0].attempt == attempt
        assert life.at(now, TICK) == [], "one try at a time"
        waits.append(now - last)
        escalated = life.at(now, answered(attempt))
    assert waits == [300, 1200, 4800, 19200]
    assert [type(fact) for fact in escalated] == [DeadLetterEscalated]
    assert life.at(now + 1e6, TICK) == []
    assert list(life.state.letters) == ["rater/EVENTS/7"]


def test_a_resolved_letter_is_forgotten() -> None:
    life = Life(letters.DECIDER)
    life.at(0, buried())
    resolved = DeadLetterResolved(
        consumer="rater", stream="EVENTS", seq=7, dead_seq=1, outcome="dropped", why="old"
    )
    life.at(1, resolved)
    assert life.at(1e6, TICK) == []
    assert (life.state.letters, life.state.resolved) == ({}, 1)


def test_a_ticket_whose_failure_is_a_fact_is_a_persons_at_once() -> None:
    life = Life(letters.DECIDER)
    (fact,) = life.at(0, buried(stream="WORK", failure_recorded=True))
    assert isinstance(fact, DeadLetterEscalated)
    assert life.at(1e6, TICK) == []


def test_every_standing_is_told_once_however_many_events_pass() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, silent=0))
    told = [type(fact) for second in range(20, 4000, 20) for fact in life.at(second, TICK)]
    assert told == [NodeSuspected, NodeDegraded, NodeLost]


def test_a_node_that_was_only_silent_for_a_moment_has_not_joined_again() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, silent=0))
    life.at(320, TICK)  # suspected
    assert life.at(330, seen(True)) == [NodeJoined(node="gpu1", rejoined=True)]
    life.at(340, seen(False, silent=0))
    assert life.at(350, seen(True)) == []


def test_nodes_are_missed_apart() -> None:
    life, other = Life(nodes.DECIDER), replace(seen(True), node="gpu2")
    life.at(0, seen(True))
    assert life.at(1, other) == [NodeJoined(node="gpu2", rejoined=False)]
    life.at(2, seen(False))
    assert [fact.node for fact in life.at(400, TICK)] == ["gpu1"]


def test_a_node_that_says_goodbye_and_comes_back_joins_and_has_not_been_missed() -> None:
    life = Life(nodes.DECIDER)
    life.at(0, seen(True))
    life.at(10, seen(False, left=True))
    assert life.at(9000, seen(True)) == [NodeJoined(node="gpu1", rejoined=False)]


def test_the_bounds_are_settings() -> None:
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


def test_a_node_that_nobody_ever_saw_is_not_missed() -> None:
    life = Life(nodes.DECIDER)
    assert life.at(0, seen(False, silent=1e6)) == []
    assert life.state.nodes == {}


@given(
    st.lists(
        st.tuples(st.integers(1, 2000), st.sampled_from(["seen", "gone", "left", "tick"])),
        max_size=40,
    )
)
def test_a_node_that_is_there_is_never_called_anything_else(steps: list[tuple[int, str]]) -> None:
    life, now, there = Life(nodes.DECIDER), 0, False
    events = {"seen": seen(True), "gone": seen(False), "left": seen(False, left=True), "tick": TICK}
    for seconds, what in steps:
        now += seconds
        there = {"seen": True, "gone": False, "left": False}.get(what, there)
        for fact in life.at(now, events[what]):
            assert isinstance(fact, NodeJoined) == there


def test_a_letter_is_asked_for_once_until_it_is_answered() -> None:
    life = Life(letters.DECIDER)
    life.at(0, buried())
    (first,) = life.at(300, TICK)
    assert isinstance(first, DeadLetterRetryRequested)
    assert life.at(1e6, TICK) == []


def test_a_letter_that_is_buried_again_is_the_same_letter() -> None:
    life = Life(letters.DECIDER)
    life.at(0, buried())
    life.at(200, buried(reason="other"))
    assert len(life.at(300, TICK)) == 1
    assert len(life.state.letters) == 1


def test_letters_wait_apart() -> None:
    life = Life(letters.DECIDER)
    life.at(0, buried())
    life.at(200, buried(seq=8, dead_seq=2))
    assert [fact.seq for fact in life.at(300, TICK)] == [7]
    assert [fact.seq for fact in life.at(500, TICK)] == [8]


def test_how_often_and_how_soon_is_a_setting() -> None:
    life = Life(letters.DECIDER)
    never = OperationSettings(dead_letter_retries=0)
    life.at(0, SettingsChanged(version=1, settings=Settings(operation=never), why="test"))
    (fact,) = life.at(0, buried())
    assert isinstance(fact, DeadLetterEscalated)
    assert fact.attempts == 0


def test_an_answer_to_a_letter_that_nobody_knows_is_nothing() -> None:
    life = Life(letters.DECIDER)
    assert life.at(0, answered(1)) == []
    assert life.state.letters == {}


def test_a_resolved_letter_that_comes_back_is_a_new_one() -> None:
    life = Life(letters.DECIDER)
    life.at(0, buried())
    life.at(
        1,
        DeadLetterResolved(
            consumer="rater", stream="EVENTS", seq=7, dead_seq=1, outcome="requeued", why="w"
        ),
    )
    life.at(2, buried(dead_seq=9))
    (fact,) = life.at(302, TICK)
    assert (fact.dead_seq, fact.attempt) == (9, 1)


def test_a_flood_of_letters_is_answered_in_bounded_batches() -> None:
    life = Life(letters.DECIDER)
    for seq in range(letters.DUE_MAX + 5):
        life.at(0, buried(seq=seq + 1, dead_seq=seq + 1))
    assert [len(life.at(300, TICK)) for _ in range(3)] == [letters.DUE_MAX, 5, 0]
