"""The kit of deciders."""

from __future__ import annotations

from ringrift.deciders.fleet.breaker import Breaker
from ringrift.deciders.kit import changed


def test_changing_an_unknown_key_changes_nothing() -> None:
    known = {"a": Breaker(), "b": Breaker()}
    assert changed(known, "a", why="slow") == {"a": Breaker(why="slow"), "b": Breaker()}
    assert changed(known, "c", why="slow") is known
    assert known["a"] == Breaker()
