"""What servers say that they hold, and which copies hold less than others."""

from __future__ import annotations

from ringrift.log.holdings import Copy, Damage, Held, blank, confirmed, damages
from ringrift.log.topology import EVENTS, GAMES

WHOLE = Copy(messages=900, first=1, last=900)
HOLE = Copy(messages=691, first=1, last=900)
MODELS = "OBJ_models"


def held(stream: str, leader: str = "b", **copies: Copy | None) -> list[Held]:
    return [
        Held(name, {stream: copy} if copy else {}, leader=leader) for name, copy in copies.items()
    ]


def test_a_copy_with_a_hole_is_damaged_and_one_that_is_behind_is_not() -> None:
    behind = Copy(messages=880, first=1, last=880)
    found = damages(held(GAMES, a=HOLE, b=WHOLE, c=behind))
    assert found == [Damage(GAMES, "a", messages=691, whole=900, last=900)]
    assert str(found[0]) == "voter a has lost 209 of 900 messages of GAMES, which ends with 900"


def test_a_copy_that_lost_its_beginning_is_damaged() -> None:
    (found,) = damages(held(EVENTS, a=WHOLE, b=Copy(messages=400, first=501, last=900)))
    assert (found.server, found.messages) == ("b", 400)


def test_streams_with_deletions_are_compared_at_the_same_end() -> None:
    later = Copy(messages=690, first=1, last=950)
    assert damages(held(MODELS, a=HOLE, b=later)) == []
    assert [each.server for each in damages(held(MODELS, a=HOLE, b=WHOLE))] == ["a"]
    assert damages(held("KV_leases", a=HOLE, b=WHOLE)) == []


def test_the_copy_of_a_server_that_takes_no_part_is_damaged() -> None:
    leader = Held("b", {EVENTS: WHOLE, GAMES: WHOLE}, led={EVENTS: frozenset("ac")})
    behind = Held("a", {EVENTS: Copy(880, 1, 880)})
    found = damages([behind, leader, Held("c", {}), Held("d", {})])
    assert [(each.server, each.messages, each.idle) for each in found] == [
        ("a", 880, True),
        ("c", 0, True),
    ]
    assert str(found[1]).startswith("voter c takes no part in EVENTS: ")
    assert damages([leader]) == [], "the others do not answer"


async def test_a_message_on_its_way_is_no_damage() -> None:
    looks = iter([held(EVENTS, a=HOLE, b=WHOLE), held(EVENTS, a=WHOLE, b=WHOLE)])

    async def look() -> list[Held]:
        return next(looks)

    assert await confirmed(look, 0.0) == []


def test_blank_voters_beside_one_with_the_log_are_named() -> None:
    text = blank(held(EVENTS, a=None, b=None, c=Copy(172, 1, 172), leader="a"))
    assert text.startswith("a and b are blank, c holds EVENTS up to 172: stop a and b, ")
    assert "cluster rescue" in text


def test_one_blank_voter_beside_two_is_no_reason_to_stop() -> None:
    assert blank(held(EVENTS, a=None, b=WHOLE, c=WHOLE, leader="b")) == ""
    assert blank(held(EVENTS, a=None, b=None, c=None)) == ""
