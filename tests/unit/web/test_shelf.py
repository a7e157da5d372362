"""A dictionary whose copies share what does not change."""

from __future__ import annotations

import random

from ringrift.insight.scores import Score
from ringrift.web.shelf import PIECE_ITEMS, Shelf


def filled(count: int) -> Shelf[int, int]:
    shelf = Shelf[int, int]()
    shelf.update((number, number) for number in range(count))
    return shelf


def test_it_is_a_dictionary() -> None:
    shelf, known, chance = Shelf[int, int](), dict[int, int](), random.Random(1)
    for _ in range(3000):
        key, value = chance.randrange(300), chance.randrange(100)
        if chance.random() < 0.3:
            assert shelf.pop(key, None) == known.pop(key, None)
        else:
            shelf[key] = known[key] = value
        assert len(shelf) == len(known)
    assert dict(shelf) == known
    assert (400 in shelf, shelf.get(400)) == (False, None)
    assert list(reversed(shelf)) == list(shelf)[::-1]
    assert list(shelf.newest()) == [shelf[key] for key in reversed(shelf)]


def test_a_copy_changes_independently_and_shares_the_rest() -> None:
    shelf = filled(5 * PIECE_ITEMS)
    twin = shelf.copy()
    shelf[0], twin[1] = -1, -2
    del twin[2]
    shelf[5 * PIECE_ITEMS] = 7
    assert (shelf[0], shelf[1], shelf[2], len(shelf)) == (-1, 1, 2, 5 * PIECE_ITEMS + 1)
    assert (twin[0], twin[1], len(twin)) == (0, -2, 5 * PIECE_ITEMS - 1)
    assert 2 not in twin
    assert 5 * PIECE_ITEMS not in twin
    shared = [one is other for one, other in zip(shelf._pieces, twin._pieces, strict=False)]
    assert shared == [False, True, True, True, True]


def test_a_value_is_changed_through_setdefault() -> None:
    shelf = Shelf[str, Score]()
    shelf.setdefault("a", Score(games=1)).games += 1
    shelf["b"] = Score(games=5)
    twin = shelf.copy()
    shelf.setdefault("a", Score(games=0)).games += 1
    twin.setdefault("a", Score(games=0)).games += 10
    assert (shelf["a"], twin["a"]) == (Score(games=3), Score(games=12))
    assert shelf["b"] is twin["b"]


def test_copies_of_one_log_get_its_keys_in_any_turn() -> None:
    first = filled(PIECE_ITEMS - 1)
    second = first.copy()
    for number in range(PIECE_ITEMS - 1, 3 * PIECE_ITEMS):
        first[number] = number
    for number in range(PIECE_ITEMS - 1, 2 * PIECE_ITEMS):
        second[number] = number
    assert list(first) == list(range(3 * PIECE_ITEMS))
    assert list(second) == list(range(2 * PIECE_ITEMS))
