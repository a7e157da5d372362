"""The plan of a run: a list of faults and their times, derived from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

FAULT_SECONDS = 45.0
"""No fault happens later than this; then the system must recover."""
CALLS_MAX = 60
AT_CALL = {
    "ack lost": 4,
    "log away": 1,
    "stored but log away": 2,
    "slow": 2,
    "crash before": 3,
    "crash after": 4,
}
"""Faults of one call to the log, with their weights."""
AT_TIME = {
    "kill": 3,
    "freeze": 3,
    "clock step": 2,
    "redeliver": 2,
    "expire lease": 2,
    "drain": 1,
    "poison": 1,
    "server restart": 1,
    "power cut": 1,
}
"""Faults at a moment, with their weights."""


class Fault(NamedTuple):
    """A fault of `host`, at its call to the log with the number `call`, or after `at` seconds;
    `amount` is a strength or duration in seconds."""

    kind: str
    host: str
    call: int
    at: float
    amount: float

    def __str__(self) -> str:
        when = f"call {self.call}" if self.kind in AT_CALL else f"{self.at:.3f} s"
        return f"{self.kind} of {self.host} at {when} ({self.amount:.3f})"


def plan_of(seed: int, hosts: list[str]) -> list[Fault]:
    """The faults of a seed."""
    chance = random.Random(seed)
    kinds = AT_CALL | AT_TIME
    chosen = chance.choices(list(kinds), list(kinds.values()), k=chance.randint(2, 10))
    return [_fault(chance, kind, hosts) for kind in chosen]


def _fault(chance: random.Random, kind: str, hosts: list[str]) -> Fault:
    if kind == "power cut":
        amount = chance.uniform(0.05, 2.0)
    else:
        signs = (-1, 1) if kind == "clock step" else (1,)
        amount = chance.choice(signs) * chance.uniform(0.5, 40.0)
    host, call = chance.choice(hosts), chance.randint(1, CALLS_MAX)
    return Fault(kind, host, call, chance.uniform(0.0, FAULT_SECONDS), amount)


def shrunk(count: int, fails: Callable[[list[int]], bool]) -> list[int]:
    """Numbers of a subset of `count` faults that still fails. No single one of them can be left
    out."""
    kept = list(range(count))
    number = 0
    while number < len(kept):
        fewer = kept[:number] + kept[number + 1 :]
        if fails(fewer):
            kept, number = fewer, 0
        else:
            number += 1
    return kept
