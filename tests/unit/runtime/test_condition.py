"""Whether a process is alive and ready."""

from __future__ import annotations

from ringrift.log.presence import SILENT_SECONDS
from ringrift.runtime.condition import (
    LAG_READY_MAX,
    STALLED_SECONDS_MAX,
    WORK_STALLED_SECONDS_MAX,
    Condition,
)


def test_a_process_that_has_caught_up_is_alive_and_ready() -> None:
    condition = Condition()
    condition.observed(10, 10, 0.0)
    assert condition.alive(1e6)
    assert condition.ready(1.0)
    assert condition.lag_seconds(1.0) == 0.0


def test_a_process_far_behind_is_not_ready() -> None:
    condition = Condition()
    condition.observed(10, 11 + LAG_READY_MAX, 5.0)
    assert condition.alive(6.0)
    assert not condition.ready(6.0)
    assert condition.lag_seconds(7.0) == 2.0


def test_a_process_that_is_behind_and_folds_nothing_is_not_alive() -> None:
    condition = Condition()
    condition.observed(10, 500, 0.0)
    condition.observed(10, 500, STALLED_SECONDS_MAX)
    assert not condition.alive(STALLED_SECONDS_MAX)
    condition.observed(11, 500, STALLED_SECONDS_MAX + 1)
    assert condition.alive(STALLED_SECONDS_MAX + 1)


def test_an_idle_process_does_not_stall_when_events_arrive() -> None:
    condition = Condition()
    condition.observed(10, 10, 0.0)
    condition.observed(10, 10, 1000.0)
    condition.observed(10, 11, 1002.0)
    assert condition.alive(1003.0)


def test_a_process_without_an_answer_from_the_server_is_not_ready() -> None:
    condition = Condition()
    assert not condition.ready(0.0)
    condition.observed(None, 10, 0.0)
    assert condition.ready(SILENT_SECONDS - 1)
    assert not condition.ready(SILENT_SECONDS)


def test_a_process_that_folds_nothing_has_no_lag() -> None:
    condition = Condition()
    condition.observed(None, 10, 0.0)
    assert condition.lag_seconds(10.0) is None


def test_a_worker_without_progress_on_its_ticket_is_not_alive() -> None:
    condition = Condition()
    condition.ticket_taken(10.0)
    assert condition.alive(9.0 + WORK_STALLED_SECONDS_MAX)
    condition.ticket_progressed(100.0)
    assert condition.alive(99.0 + WORK_STALLED_SECONDS_MAX)
    assert not condition.alive(100.0 + WORK_STALLED_SECONDS_MAX)


def test_a_worker_without_a_ticket_is_alive() -> None:
    condition = Condition()
    condition.ticket_taken(10.0)
    condition.ticket_ended(12.0)
    condition.ticket_progressed(200.0)  # a thread that has not seen the end of its ticket yet
    assert condition.alive(1e6)
