"""A story whose time the test sets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ringrift.events import Fact
from ringrift.events.facts import ConsumerStarted
from support.story import START, Story


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
