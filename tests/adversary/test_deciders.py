"""Whatever decodes, in whatever order: no decider raises, takes long, or writes what it cannot
read. See `adversary`.

`make chaos` tries ADVERSARY_FACTS facts.
"""

from __future__ import annotations

import os

import pytest

from adversary.__main__ import episodes
from adversary.trial import run
from ringrift.runtime.authorship import deciders

FACTS = 3000
FACTS_LONG = int(os.environ.get("ADVERSARY_FACTS", "1000000"))
FIRST_LONG_SEED = 1000


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What went wrong, by decider."""
    lines: dict[str, list[str]] = {}
    for trial in episodes(1, FACTS):
        for finding, seen in trial.findings.items():
            lines.setdefault(finding.decider, []).append(f"seed {trial.seed}: {finding} {seen}")
    return lines


@pytest.mark.parametrize("name", sorted(deciders()))
def test_no_fact_makes_a_decider_raise(name: str, found: dict[str, list[str]]) -> None:
    assert found.get(name, []) == []


@pytest.mark.slow
def test_no_decider_raises_on_many_facts() -> None:
    for trial in episodes(FIRST_LONG_SEED, FACTS_LONG):
        assert not trial.findings, trial.seed


def test_equal_seeds_give_equal_logs() -> None:
    first, again = run(5, 100), run(5, 100)
    assert first.stored == again.stored


def test_the_usual_loop_turns() -> None:
    """Without odd facts the loop promotes networks, and no decider finds anything odd."""
    trial = run(1, 800, odd=0.0)
    kinds = {type(item.event).__name__ for item in trial.stored}
    assert not trial.findings
    assert {"ModelPromoted", "RatingsUpdated", "QualityAssessed", "AllocationDecided"} <= kinds


def test_every_decider_is_tried() -> None:
    assert {one.decider.name for one in run(1, 20).runs} == set(deciders())
