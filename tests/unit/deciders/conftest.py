"""given(events).when(event).then(facts): the form in which decisions are tested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringrift.deciders.kit import Context, Decider, InForce
from ringrift.events import EventMeta, Fact, Settings, type_of
from ringrift.events.facts import SettingsChanged

START = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """One decider's life: every event is folded, decisions are folded at their cause."""

    def __init__(self, decider: Decider[Any]) -> None:
        self.decider, self.state, self.seq = decider, decider.initial(), 0
        self.now, self.in_force = START, InForce()
        self.decided: tuple[Fact, ...] = ()

    def after(self, *, seconds: float = 0.0, hours: float = 0.0) -> Story:
        """Let time pass; what comes next is written then."""
        self.now += timedelta(seconds=seconds, hours=hours)
        return self

    def given(self, *events: Fact) -> Story:
        for event in events:
            self._take(event)
        return self

    def when(self, event: Fact) -> Story:
        self.decided = self._take(event)
        return self

    def then(self, *expected: type[Fact] | Fact) -> tuple[Fact, ...]:
        shown = [
            item if isinstance(want, Fact) else type(item)
            for item, want in zip(self.decided, expected, strict=False)
        ]
        assert (shown, len(self.decided)) == (list(expected), len(expected)), self.decided
        return self.decided

    def _take(self, event: Fact) -> tuple[Fact, ...]:
        self.in_force = self.in_force.after(event)
        context = self._context(event)
        self.state = self.decider.evolve(self.state, event, context)
        decided = self.decider.decide(self.state, event, context)
        for fact in decided:
            assert type(fact) in self.decider.writes
            self.state = self.decider.evolve(self.state, fact, self._context(fact))
        return decided

    def _context(self, event: Fact) -> Context:
        self.seq += 1
        self.now += timedelta(seconds=1)
        meta = EventMeta(
            "EVENTS",
            self.seq,
            type_of(event).subject(event),
            f"e{self.seq}",
            "test",
            self.now,
            None,
        )
        return Context.of(meta, self.in_force)


@pytest.fixture
def story() -> type[Story]:
    return Story


@pytest.fixture
def settings_changed() -> Any:
    def make(**changes: Any) -> SettingsChanged:
        return SettingsChanged(
            version=changes.pop("version", 1), settings=Settings(**changes), why="test"
        )

    return make
