"""Failures and setbacks that are in force, and how status tells them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from support.loop_facts import B, C, finished, promoted, registered, requested, scored

from ringrift.deciders.fleet.troubles import RULES_OF, Troubles
from ringrift.events import Fact, Recorded, facts as f
from ringrift.events.codec import EventMeta
from ringrift.insight.generations import LoopView

CONFIG = "hex8_2p"
START = datetime(2026, 11, 21, tzinfo=UTC)
TICKET = {"config": CONFIG, "ticket": "t", "node": "n"}
FAILED = f.TrainingFailed(generation=1, reason="out of memory", **TICKET)
UNSCORED = f.EvaluationFailed(
    generation=1, candidate_model=B, purpose="promotion", reason="no network", **TICKET
)
TIMED_OUT = f.TrainingTimedOut(
    config=CONFIG, generation=1, ticket="t", silent_seconds=700.0, settings_version=1
)
STALLED = f.ProgressStalled(
    config=CONFIG, best_elo_above_heuristic=1.0, stalled_seconds=7200.0, settings_version=1
)
RECOVERED = f.ProgressRecovered(
    config=CONFIG,
    best_elo_above_heuristic=1.0,
    elo_gain=1.0,
    stalled_seconds=1.0,
    settings_version=1,
)


def history(facts: Iterable[Fact]) -> list[Recorded]:
    return [
        Recorded(
            fact, EventMeta("EVENTS", seq, "", str(seq), "", START + timedelta(minutes=seq), None)
        )
        for seq, fact in enumerate(facts, start=1)
    ]


def told(*facts: Fact) -> list[str]:
    troubles = Troubles()
    for item in history(facts):
        troubles.take(item)
    return [str(trouble) for trouble in troubles.in_force()]


WAITS = "waiting for an evaluator for generation 1 since 00:{}:00 UTC"


def doing(*facts: Fact) -> str:
    view = LoopView()
    for item in history(facts):
        view.take(item)
    return view.of(CONFIG).doing


@pytest.mark.parametrize(
    ("begun", "ended", "line"),
    [
        (FAILED, finished(), "training failed since 2026-11-21 00:01: generation 1: out of memory"),
        (TIMED_OUT, finished(), "training timed out since 2026-11-21 00:01: t is silent"),
        (
            UNSCORED,
            scored("promotion", 9, 7, model=C),
            "evaluation failed since 2026-11-21 00:01: genera",
        ),
        (STALLED, RECOVERED, "progress stalled since 2026-11-21 00:01: no network exceeded the be"),
    ],
)
def test_a_trouble_is_in_force_until_the_fact_that_ends_it(
    begun: Fact, ended: Fact, line: str
) -> None:
    (found,) = told(begun)
    assert found.startswith(f"{CONFIG}: {line}")
    assert told(begun, ended) == []
    assert told(ended, begun, promoted()) == [found.replace("00:01", "00:02")]


@given(st.permutations(history([FAILED, finished(), TIMED_OUT, UNSCORED, STALLED, RECOVERED])))
def test_the_order_of_reading_does_not_matter(items: list[Recorded]) -> None:
    troubles = Troubles()
    for item in items:
        troubles.take(item)
    assert [trouble.name for trouble in troubles.in_force()] == [
        "training timed out",
        "evaluation failed",
    ]


def test_losses_are_reported_until_everything_is_compared_again() -> None:
    numbers = {"events_seq": 9, "games_seq": 9}
    failed = f.VerificationFailed(whole=False, failures=2, found=("hole",), **numbers)
    passed = f.VerificationPassed(games=1, shards=0, warnings=0, **numbers)
    (line,) = told(failed)
    assert line.endswith("2 losses or differences: see `ringrift verify`")
    assert told(failed, passed) == []


def test_skipped_facts_are_reported_by_decider() -> None:
    skipped = [
        f.FactSkipped(decider=name, stream="EVENTS", seq=7, error="ValueError: x")
        for name in ("promotion", "elo")
    ]
    assert [line.partition(" since")[0] for line in told(*skipped)] == [
        "elo: fact skipped",
        "promotion: fact skipped",
    ]


def test_every_text_fits_the_fact_that_it_describes() -> None:
    for kind, rules in RULES_OF.items():
        for rule in rules:
            names = [part.split("}")[0].split(":")[0] for part in rule.text.split("{0.")[1:]]
            if kind is rule.begun:
                assert set(names) <= set(kind.__struct_fields__)


def test_a_failed_training_is_not_in_progress() -> None:
    assert doing(requested()) == "waiting for a trainer for generation 1 since 00:01:00 UTC"
    started = f.TrainingStarted(
        config=CONFIG, generation=1, ticket="t", node="n", device="cpu", resumed_step=0
    )
    assert doing(requested(), started) == "training generation 1"
    for failure in (FAILED, TIMED_OUT):
        stopped = "stopped by the failed training of generation 1"
        assert doing(requested(), failure) == stopped
        assert doing(requested(), failure, requested(), started) == "training generation 1"
        assert doing(requested(), failure, finished(), registered()) == WAITS.format("03")


def test_no_generation_is_evaluated_before_an_evaluator_has_begun() -> None:
    life = (requested(), finished(), registered())
    assert doing(*life) == WAITS.format("02")
    begun = f.EvaluationStarted(
        config=CONFIG,
        generation=1,
        ticket="t",
        node="n",
        candidate="c",
        opponent="o",
        purpose="promotion",
        games=2,
    )
    assert doing(*life, replace(begun, purpose="strength")) == WAITS.format("02")
    assert doing(*life, begun) == "evaluating generation 1"


def test_a_failed_evaluation_is_not_in_progress() -> None:
    life = (requested(), finished(), registered())
    assert doing(*life, UNSCORED) == "stopped by a failed evaluation of generation 1"
    assert doing(*life, UNSCORED, scored("random", 9, 7)) == "evaluating generation 1"
