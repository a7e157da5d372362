"""Pauses between attempts, on a clock that the test moves."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, strategies as st

from ringrift.log.connect import Connection
from ringrift.log.retry import JITTER, PATIENT, QUICK, Backoff, retried


def no_chance(low: float, high: float) -> float:
    return 1.0


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(PATIENT.pauses(chance=no_chance), 6)) == [0.5, 1.0, 2.0, 2.0, 2.0, 2.0]


@given(st.floats(0.01, 1.0), st.floats(1.0, 10.0), st.floats(0.0, 60.0), st.floats(*JITTER))
def test_the_sum_of_pauses_stays_within_the_budget(
    first: float, longest: float, budget: float, luck: float
) -> None:
    clock = [0.0]
    backoff = Backoff(first_seconds=first, longest_seconds=longest, budget_seconds=budget)
    for pause in backoff.pauses(now=lambda: clock[0], chance=lambda low, high: luck):
        assert JITTER[0] * first <= pause <= JITTER[1] * longest
        clock[0] += pause
    assert clock[0] <= budget + (JITTER[1] - 1.0) * longest + 1e-9


def test_the_time_of_attempts_counts() -> None:
    clock = [0.0]
    pauses = QUICK.pauses(now=lambda: clock[0], chance=no_chance)
    assert next(pauses) == QUICK.first_seconds
    clock[0] = 31.0
    assert list(pauses) == []


@pytest.mark.parametrize(("seconds", "moves"), [(0.0, 1), (60.0, 0)])
async def test_a_client_without_answers_moves_to_another_server(
    seconds: float, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringrift.log.retry.MOVE_SECONDS", seconds)
    answers, gone = iter([None, 7]), list[str]()

    async def attempt() -> int:
        if (found := next(answers)) is None:
            raise TimeoutError
        return found

    async def move() -> None:
        gone.append("moved")

    client = Connection(None)
    monkeypatch.setattr(client, "move", move)
    assert await retried(attempt, "test", client) == 7
    assert len(gone) == moves
