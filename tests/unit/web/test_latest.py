"""Bounded memory of pages."""

from __future__ import annotations

from ringrift.web.latest import Latest


def test_what_was_not_used_for_longest_is_dropped() -> None:
    kept = Latest[str, int](2)
    assert [kept.put("a", 1), kept.put("b", 2), kept.get("a"), kept.put("c", 3)] == [
        None,
        None,
        1,
        2,
    ]
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
    assert kept.put("a", 4) is None
    assert list(kept.values()) == [3, 4]
