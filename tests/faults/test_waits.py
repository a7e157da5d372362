"""The judgement of a live fleet, on histories made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from chaos.waits import (
    TICK_SECONDS,
    Look,
    Stay,
    idle_shares,
    idled,
    idles_of,
    left_unassigned,
    waited,
)
from msgspec.structs import replace
from support.loop_facts import planned, played

from ringrift.events import Fact, Recorded, facts as f
from ringrift.events.codec import EventMeta

END = 400.0
TICKET = "selfplay-events-4-0"
STAYS = {"a": [Stay(0.0, 150.0, again=180.0)], "b": [Stay(0.0, END, again=END)]}


def started(node: str) -> f.ConsumerStarted:
    return f.ConsumerStarted(node=node, consumer="selfplay", instance=node * 12, version="1")


def assigned(node: str, *kinds: f.WorkKind) -> f.NodeAssigned:
    return f.NodeAssigned(
        node=node, kinds=kinds, ticket_seconds=60.0, settings_version=1, why="test"
    )


def history(facts: Iterable[tuple[float, Fact]]) -> list[Recorded]:
    return [
        Recorded(
            fact, EventMeta("EVENTS", seq, "", str(seq), "", datetime.fromtimestamp(at, UTC), None)
        )
        for seq, (at, fact) in enumerate(facts, start=1)
    ]


def looks(**busy: tuple[float, float]) -> list[Look]:
    """A look a second, at which the nodes work within these times."""
    return [
        Look(at, {(node, "selfplay"): since <= at < until for node, (since, until) in busy.items()})
        for at in map(float, range(int(END)))
    ]


def judged(
    seen: list[Look], done_at: float, stays: dict[str, list[Stay]] = STAYS
) -> tuple[list[str], float]:
    """The tickets that were kept waiting, and the seconds for which nodes were, when node b ends
    the work of 30 s on the only ticket."""
    done = replace(played(), ticket=TICKET, node="b", play_seconds=30.0)
    found = history(
        [
            (1.0, assigned("b", "selfplay")),
            (2.0, started("a")),
            (2.0, started("b")),
            (20.0, replace(planned(games=8), games_per_ticket=8)),
            (done_at, done),
        ]
    )
    idles = idles_of(found, stays, seen, END)
    lines = [line for seconds, line in waited(found, stays, idles, END) if seconds > TICK_SECONDS]
    seconds, _ = idle_shares(found, idles, END)["selfplay"]
    assert bool([*idled(found, idles, END)]) == (seconds > 4.0), "30 s were worked"
    return lines, seconds


def test_a_ticket_that_waits_beside_an_idle_node_is_found() -> None:
    (line,), seconds = judged(looks(b=(120.0, 150.0)), 150.0, {"b": STAYS["b"]})
    assert line == f"{TICKET} waited for 99 s while b was idle"
    assert seconds == pytest.approx(99.0)


@pytest.mark.parametrize("busy", [(0.0, 150.0), (60.0, 150.0)])
def test_a_node_that_works_or_takes_a_ticket_within_a_tick_lets_none_wait(
    busy: tuple[float, float],
) -> None:
    assert judged(looks(b=busy), 150.0, {"b": STAYS["b"]})[0] == []


def test_a_killed_node_may_have_held_one_ticket_until_it_is_delivered_again() -> None:
    assert judged(looks(b=(185.0, 215.0)), 215.0)[0] == []
    assert len(judged(looks(b=(300.0, 330.0)), 330.0)[0]) == 1


def test_a_node_that_is_not_assigned_is_found_after_three_ticks() -> None:
    ticks = [(60.0 * minute, f.TickRecorded(minute=minute)) for minute in range(1, 5)]
    found = history([(2.0, started("b")), (3.0, assigned("b")), *ticks])
    lines = [*left_unassigned(found, {"b": STAYS["b"]})]
    assert lines[0] == "b is assigned nothing at EVENTS/5"
    assert "nobody does selfplay at EVENTS/5" in lines
    found = history([(2.0, started("b")), (3.0, assigned("b", "selfplay")), *ticks])
    assert [*left_unassigned(found, {"b": STAYS["b"]})] == []
