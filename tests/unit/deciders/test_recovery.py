"""What is done about lost nodes: restart, replace, tell a person."""

from __future__ import annotations

import pytest
from support.fleet_facts import seen

from ringrift.deciders.fleet.recovery import DECIDER
from ringrift.events import facts as f
from ringrift.events.settings import RentingSettings

TICK = f.TickRecorded(minute=1)


@pytest.fixture
def begun(story, settings_changed):
    def begin(*names: str, **changes: int):
        life = story(DECIDER).given(settings_changed(renting=RentingSettings(**changes)))
        for name in names:
            life.given(f.NodeRented(node=name, offer="x", instance=f"i-{name}", cost_per_hour=1.0))
        return life

    return begin


def lost(name: str) -> f.NodeLost:
    return f.NodeLost(node=name, silent_seconds=1800.0)


def taken(name: str, *, done: bool = True) -> f.RecoveryActionTaken:
    return f.RecoveryActionTaken(node=name, action="restart", done=done, reason="")


def actions(life) -> list[tuple[str, int]]:
    return [(fact.action, fact.attempt) for fact in life.decided]


def test_a_lost_node_is_restarted_then_replaced(begun) -> None:
    life = begun("n", restarts_max=2, restart_minutes=15).when(lost("n"))
    assert actions(life) == [("restart", 1)]
    life.given(taken("n")).when(TICK).then()
    assert actions(life.after(seconds=900).when(TICK)) == [("restart", 2)]
    assert actions(life.when(taken("n", done=False))) == [("replace", 3)]
    life.after(hours=5).when(TICK).then()


def test_a_node_that_returns_needs_nothing_more(begun) -> None:
    life = begun("n", restarts_max=1).given(lost("n"), taken("n"), seen("n"))
    life.after(hours=1).when(TICK).then()
    assert actions(life.when(lost("n"))) == [("restart", 1)]


def test_without_restarts_a_rented_node_is_replaced_at_once(begun) -> None:
    life = begun("n").when(lost("n"))
    assert actions(life) == [("replace", 1)]
    assert not life.given(f.NodeReturned(node="n", instance="i-n", asked=True)).state.lost


def test_a_node_of_ones_own_is_left_to_a_person(begun) -> None:
    begun().when(lost("own")).then()  # that it is lost is an alert
    life = begun(restarts_max=1).given(lost("own"), taken("own"))
    assert actions(life.after(seconds=900).when(TICK)) == [("escalate", 2)]


def test_too_many_replacements_in_a_day_need_a_person(begun) -> None:
    life = begun("a", "b", "c", replacements_max=2)
    assert actions(life.when(lost("a"))) == [("replace", 1)]
    assert actions(life.when(lost("b"))) == [("replace", 1)]
    (fact,) = life.when(lost("c")).then(f.RecoveryActionRequested)
    assert (fact.action, fact.why) == (
        "escalate",
        "it is lost, and 2 nodes of x were replaced in a day",
    )
    life = begun("a", "b", "c", replacements_max=2).given(lost("a"), lost("b"))
    assert actions(life.after(hours=24).when(lost("c"))) == [("replace", 1)]


def test_a_forgotten_node_is_not_restarted_again(begun) -> None:
    life = begun(restarts_max=2).given(lost("n"), taken("n"), f.NodeForgotten(node="n", why="w"))
    life.after(hours=1).when(TICK).then()
