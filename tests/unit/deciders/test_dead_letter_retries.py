"""Retries and escalations of dead letters."""

from __future__ import annotations

from typing import Any

from support.timed_story import TICK, Life

from ringrift.deciders.fleet import dead_letters
from ringrift.events import Settings
from ringrift.events.facts import (
    DeadLetterEscalated,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    DeadLetterStored,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings


def stored(**changes: Any) -> DeadLetterStored:
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


def failed(attempt: int) -> DeadLetterRetryFailed:
    return DeadLetterRetryFailed(
        consumer="rater", stream="EVENTS", seq=7, dead_seq=1, reason=f"still, {attempt}"
    )


def test_a_dead_letter_is_retried_with_growing_delays_then_escalated_once() -> None:
    life, now, waits = Life(dead_letters.DECIDER), 0.0, []
    life.at(now, stored())
    for attempt in range(1, 5):
        last = now
        while not (due := life.at(now, TICK)):
            now += 60
        assert [type(fact) for fact in due] == [DeadLetterRetryRequested]
        assert due[0].attempt == attempt
        assert life.at(now, TICK) == [], "one try at a time"
        waits.append(now - last)
        escalated = life.at(now, failed(attempt))
    assert waits == [300, 1200, 4800, 19200]
    assert [type(fact) for fact in escalated] == [DeadLetterEscalated]
    assert life.at(now + 1e6, TICK) == []
    assert list(life.state.unresolved) == ["rater/EVENTS/7"]


def test_a_resolved_dead_letter_is_removed() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    resolved = DeadLetterResolved(
        consumer="rater", stream="EVENTS", seq=7, dead_seq=1, outcome="dropped", why="old"
    )
    life.at(1, resolved)
    assert life.at(1e6, TICK) == []
    assert (life.state.unresolved, life.state.resolved) == ({}, 1)


def test_a_ticket_whose_failure_is_recorded_is_escalated_at_once() -> None:
    life = Life(dead_letters.DECIDER)
    (fact,) = life.at(0, stored(stream="WORK", failure_recorded=True))
    assert isinstance(fact, DeadLetterEscalated)
    assert life.at(1e6, TICK) == []


def test_a_retry_is_requested_once_until_it_has_a_result() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    (first,) = life.at(300, TICK)
    assert isinstance(first, DeadLetterRetryRequested)
    assert life.at(1e6, TICK) == []


def test_storing_a_dead_letter_again_changes_nothing() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    life.at(200, stored(reason="other"))
    assert len(life.at(300, TICK)) == 1
    assert len(life.state.unresolved) == 1


def test_dead_letters_wait_independently() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    life.at(200, stored(seq=8, dead_seq=2))
    assert [fact.seq for fact in life.at(300, TICK)] == [7]
    assert [fact.seq for fact in life.at(500, TICK)] == [8]


def test_number_and_delay_of_retries_are_settings() -> None:
    life = Life(dead_letters.DECIDER)
    never = OperationSettings(dead_letter_retries=0)
    life.at(0, SettingsChanged(version=1, settings=Settings(operation=never), why="test"))
    (fact,) = life.at(0, stored())
    assert isinstance(fact, DeadLetterEscalated)
    assert fact.attempts == 0


def test_the_result_of_an_unknown_dead_letter_is_ignored() -> None:
    life = Life(dead_letters.DECIDER)
    assert life.at(0, failed(1)) == []
    assert life.state.unresolved == {}


def test_a_dead_letter_stored_after_its_resolution_is_new() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    life.at(
        1,
        DeadLetterResolved(
            consumer="rater", stream="EVENTS", seq=7, dead_seq=1, outcome="requeued", why="w"
        ),
    )
    life.at(2, stored(dead_seq=9))
    (fact,) = life.at(302, TICK)
    assert (fact.dead_seq, fact.attempt) == (9, 1)


def test_decisions_on_one_event_are_limited() -> None:
    life = Life(dead_letters.DECIDER)
    for seq in range(dead_letters.DUE_MAX + 5):
        life.at(0, stored(seq=seq + 1, dead_seq=seq + 1))
    assert [len(life.at(300, TICK)) for _ in range(3)] == [dead_letters.DUE_MAX, 5, 0]


def test_a_thousand_attempts_are_no_number_too_large() -> None:
    life = Life(dead_letters.DECIDER)
    life.at(0, stored())
    life.at(
        1,
        DeadLetterRetryRequested(
            consumer="rater", stream="EVENTS", seq=7, dead_seq=1, attempt=1000
        ),
    )
    assert life.at(1e6, TICK) == []
