"""given(facts).when(fact).then(decisions): the form in which decisions are tested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import Context, Decider
from ringrift.events import EventMeta, Fact, Settings, type_of
from ringrift.events.facts import SettingsChanged

START = datetime(2026, 1, 1, tzinfo=UTC)
State = TypeVar("State")


def settings_changed(version: int = 1, **changes: Any) -> SettingsChanged:
    """New settings that differ from the defaults by these fields."""
    return SettingsChanged(version=version, settings=Settings(**changes), why="test")


def failed(error: Exception) -> None:
    """Fail the test where a reader of the log would skip the fact."""
    raise error


class Story(Generic[State]):
    """A decider that folds every fact, and its own decisions at their cause."""

    def __init__(
        self, decider: Decider[State], state: State | None = None, *, step_seconds: float = 1.0
    ) -> None:
        self.decider, self.state = decider, state or decider.initial()
        self.step = timedelta(seconds=step_seconds)
        self.seq, self.now, self.in_force = 0, START, InForce()
        self.decided: tuple[Fact, ...] = ()

    def after(self, *, seconds: float = 0.0, hours: float = 0.0) -> Story[State]:
        """Let time pass before the next fact."""
        self.now += timedelta(seconds=seconds, hours=hours)
        return self

    def given(self, *facts: Fact) -> Story[State]:
        """Record facts, whatever is decided on them."""
        for fact in facts:
            self._take(fact, None)
        return self

    def when(self, fact: Fact, cause: str | None = None) -> Story[State]:
        """Record a fact and keep the decisions on it."""
        self.decided = self._take(fact, cause)
        return self

    def then(self, *expected: type[Fact] | Fact) -> tuple[Fact, ...]:
        """Check the decisions against types or whole facts, and return them."""
        shown = [
            item if isinstance(want, Fact) else type(item)
            for item, want in zip(self.decided, expected, strict=False)
        ]
        assert (shown, len(self.decided)) == (list(expected), len(expected)), self.decided
        return self.decided

    def restored(self) -> State:
        """The state after a round trip through JSON."""
        return msgspec.json.decode(msgspec.json.encode(self.state), type=self.decider.state)

    def _take(self, fact: Fact, cause: str | None) -> tuple[Fact, ...]:
        self.in_force = self.in_force.after(fact)
        context = self._context(fact, cause)
        self.state = self.decider.evolve(self.state, fact, context, failed)
        decided = self.decider.decide(self.state, fact, context, failed)
        for decision in decided:
            assert type(decision) in self.decider.writes
            its_context = self._context(decision, context.position, context.time)
            self.state = self.decider.evolve(self.state, decision, its_context, failed)
        return decided

    def _context(self, fact: Fact, cause: str | None, time: datetime | None = None) -> Context:
        self.seq += 1
        self.now += self.step
        subject, id = type_of(fact).subject(fact), f"e{self.seq}"
        meta = EventMeta("EVENTS", self.seq, subject, id, "test", time or self.now, cause)
        return Context.of(meta, self.in_force)
