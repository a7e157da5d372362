"""A fact that a decider cannot use is skipped by every reader alike, and reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.loop_facts import CONFIG, played

from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.events import EventMeta, Fact, Recorded, facts as f
from ringrift.runtime.decide import DeciderRun, replayed


class Played(Struct, frozen=True, kw_only=True):
    games: int = 0
    plies: int = 0


def fragile() -> Decider[Configs[Played]]:
    """A decider that cannot fold 13 games, nor decide on 7, and overdoes 8."""
    decider = Decider("fragile", Configs[Played])

    @decider.evolves
    def count(item: Played, fact: f.SelfplayFinished) -> Played:
        return replace(item, games=item.games + fact.games)

    @decider.evolves
    def length(item: Played, fact: f.SelfplayFinished) -> Played:
        return replace(item, plies=item.plies + 1 // (fact.games - 13))

    @decider.decides
    def adjust(
        item: Played, fact: f.SelfplayFinished, context: Context
    ) -> Iterator[f.ExplorationAdjusted]:
        boost = 1e300 if fact.games == 8 else 1.0 / (fact.games - 7)
        yield f.ExplorationAdjusted(
            **context.basis(fact.config), boost=boost, previous=1.0, reason="decay"
        )

    return decider


def recorded(*facts: Fact) -> list[Recorded]:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Recorded(fact, EventMeta("EVENTS", seq, "s", f"e{seq}", "test", time, None))
        for seq, fact in enumerate(facts, start=1)
    ]


def taken(*games: int) -> tuple[DeciderRun, list[int], list[tuple[int, str, str]]]:
    """The run after these games, the number of decisions on each, and what it skipped."""
    skipped: list[tuple[int, str, str]] = []
    run = DeciderRun(
        fragile(),
        {},
        skipped=lambda meta, name, error: skipped.append((meta.seq, name, type(error).__name__)),
    )
    decisions = [len(run.take(*item)) for item in recorded(*(played(games=n) for n in games))]
    return run, decisions, skipped


@pytest.mark.parametrize(
    ("games", "error"), [(13, "ZeroDivisionError"), (7, "ZeroDivisionError"), (8, "UnlawfulFact")]
)
def test_a_fact_that_a_handler_cannot_use_is_reported_once(games: int, error: str) -> None:
    _, decisions, skipped = taken(64, games, 64)
    assert decisions == [1, 0, 1]
    assert skipped == [(2, "fragile", error)]


def test_the_state_stays_as_it_was() -> None:
    run, _, _ = taken(64, 13, 64)
    assert run.state.configs[CONFIG].games == 128, "the first handler's change does not stay either"


def test_every_reader_has_the_same_state() -> None:
    run, _, _ = taken(64, 13, 7, 64)
    events = recorded(*(played(games=n) for n in (64, 13, 7, 64)))
    assert replayed(fragile(), events).fold_hash == run.fold_hash


def test_a_machine_without_memory_skips_nothing() -> None:
    decider = fragile()

    @decider.evolves
    def exhausted(item: Played, fact: f.SelfplayFinished) -> Played:
        raise MemoryError

    with pytest.raises(MemoryError):
        DeciderRun(decider, {}).take(*recorded(played())[0])
