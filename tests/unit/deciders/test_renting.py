"""What is rented, for how much, and what is returned and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as for_all, settings as hypothesis_settings, strategies as st
from support.fleet_facts import finished, seen
from support.loop_facts import promoted
from support.story import START

from ringrift.deciders.fleet.durations import Spread
from ringrift.deciders.fleet.rented import needed
from ringrift.deciders.fleet.renting import DECIDER, RENTS_PER_TICK_MAX
from ringrift.deciders.kit import Context, replace
from ringrift.events import EventMeta, facts as f
from ringrift.events.settings import RentingSettings

CHEAP, FAST = ("cheap:price=0.25:speed=1:vram=24:max=3", "fast:price=1:speed=2:vram=80:max=2")
TICK = f.TickRecorded(minute=1)


def renting(**changes: Any) -> RentingSettings:
    usual: dict[str, Any] = {"offers": (CHEAP, FAST), "budget_per_hour": 2.0}
    return RentingSettings(**(usual | changes))


@pytest.fixture
def begun(story, settings_changed):
    def begin(generations: int = 0, **changes: Any):
        chosen = settings_changed(
            configs=("hex8_2p",), generations=generations, renting=renting(**changes)
        )
        return story(DECIDER).given(chosen)

    return begin


def rented(life, *, boots: bool = True) -> list[str]:
    """Rent what is asked for at the next tick; the names."""
    asked = [fact for fact in life.when(TICK).decided if isinstance(fact, f.NodeRentRequested)]
    for fact in asked:
        life.given(
            f.NodeRented(
                node=fact.node,
                offer=fact.offer,
                instance=f"i-{fact.node}",
                cost_per_hour=fact.cost_per_hour,
            )
        )
        if boots:
            life.given(seen(fact.node))
    return [fact.node for fact in asked]


def used(*names: str, busy: float = 1.0, waits: float = 0.0) -> f.UtilisationSampled:
    use = f.NodeUse(
        cores=10, players=1, busy={"selfplay": busy * 600}, waited={"a-ticket": waits * 600}
    )
    return f.UtilisationSampled(seconds=60.0, nodes=dict.fromkeys(names, use))


def returned(name: str) -> f.NodeReturned:
    return f.NodeReturned(node=name, instance=f"i-{name}", asked=True)


def test_nothing_is_rented_without_a_budget_or_an_offer(begun) -> None:
    begun(budget_per_hour=0.0).when(TICK).then()
    begun(offers=()).when(TICK).then()
    begun(vram_min=100.0).when(TICK).then()


def test_the_most_speed_for_its_price_is_rented_within_the_budget(begun) -> None:
    life = begun()
    facts = life.when(TICK).then(*[f.NodeRentRequested] * 4)
    assert [fact.offer for fact in facts] == ["cheap", "cheap", "cheap", "fast"]
    assert life.state.cost_per_hour == 1.75
    life.when(TICK).then()  # another fast one would exceed the budget


def test_names_are_known_before_and_used_again_in_turn(begun) -> None:
    life = begun(offers=(CHEAP,), budget_per_hour=9.0)
    names = rented(life)
    assert names == ["rented-cheap-1", "rented-cheap-2", "rented-cheap-3"]
    for name in names[:2]:
        life.given(returned(name))
    assert rented(life) == ["rented-cheap-1", "rented-cheap-2"]
    life.given(returned("rented-cheap-1"), returned("rented-cheap-3"))
    assert rented(life) == ["rented-cheap-3", "rented-cheap-1"]


def test_no_node_gets_the_name_of_an_orphan(begun) -> None:
    life = begun(offers=(CHEAP,), budget_per_hour=9.0)
    orphan = f.OrphanFound(node="rented-cheap-2", instance="i-9", offer="cheap", cost_per_hour=0.25)
    life.given(orphan)
    assert rented(life) == ["rented-cheap-1", "rented-cheap-3"]


@for_all(budget=st.floats(0.0, 10.0), count=st.integers(1, 5), price=st.floats(0.01, 3.0).map(str))
@hypothesis_settings(max_examples=40, deadline=None)
def test_no_tick_exceeds_the_budget_or_what_an_offer_has(
    budget: float, count: int, price: str
) -> None:
    from support.story import Story, settings_changed

    offer = f"x:price={float(price):.3f}:speed=1:vram=1:max={count}"
    chosen = renting(offers=(offer, FAST), budget_per_hour=budget)
    life = Story(DECIDER).given(settings_changed(configs=("hex8_2p",), renting=chosen))
    for _ in range(5):
        assert len(rented(life)) <= RENTS_PER_TICK_MAX
        assert life.state.cost_per_hour <= budget + 1e-9
    offers = [node.offer for node in life.state.nodes.values()]
    assert offers.count("x") <= count


def test_measured_speed_counts_more_than_what_was_declared(begun) -> None:
    life = begun(offers=(CHEAP, "fast:price=0.3:speed=1:vram=1:max=9"), budget_per_hour=20.0)
    names = rented(life) + rented(life)
    slow, fast = names[0], next(name for name in names if "fast" in name)
    for _ in range(30):
        life.given(finished(slow, 10, 100.0), finished(fast, 10, 10.0))
    for name in names:
        life.given(returned(name))
    assert "fast" in rented(life)[0]


def test_an_idle_node_is_drained_then_returned_and_none_is_rented_for_a_while(begun) -> None:
    life = begun(idle_minutes=2, calm_minutes=60)
    one, *others = rented(life)
    for _ in range(2):
        nodes = {**used(*others).nodes, **used(one, busy=0.0).nodes}
        life.given(f.UtilisationSampled(seconds=60.0, nodes=nodes))
    (drain,) = life.when(TICK).then(f.NodeDrainRequested)
    assert (drain.node, drain.why) == (one, "it had no work for 2 minutes")
    life.when(TICK).then()  # it finishes what it has
    life.given(seen(one, present=False, left=True))
    (back,) = life.when(TICK).then(f.NodeReturnRequested)
    assert (back.instance, back.orphan, back.why) == (f"i-{one}", False, drain.why)
    life.when(TICK).then()
    life.given(returned(one)).when(TICK).then()
    life.after(seconds=3600).when(TICK).then(f.NodeRentRequested)


def test_a_node_that_does_not_drain_in_time_is_returned_all_the_same(begun) -> None:
    life = begun(drain_seconds=120.0)
    one, *_ = rented(life)
    life.given(f.NodeDrainRequested(node=one, seconds=120.0, why="by hand"))
    life.when(TICK).then()
    (back,) = life.after(seconds=120).when(TICK).then(f.NodeReturnRequested)
    assert (back.node, back.why) == (one, "by hand")


def test_a_node_without_workers_is_idle(begun) -> None:
    life = begun(idle_minutes=2)
    one, *others = rented(life)
    for _ in range(2):
        life.given(used(*others))
    (drain,) = life.when(TICK).then(f.NodeDrainRequested)
    assert drain.node == one


def test_a_node_that_stopped_is_returned_unless_it_starts_again(begun) -> None:
    life = begun(boot_minutes=5, offers=(CHEAP,))
    one, other, *_ = rented(life)
    for name in (one, other):
        life.given(seen(name, present=False, left=True))
    life.after(seconds=240).given(seen(other)).when(TICK).then()
    (back,) = life.after(seconds=60).when(TICK).then(f.NodeReturnRequested)
    assert (back.node, back.why) == (one, "it stopped 5 minutes ago")


def test_cores_of_nodes_that_do_not_play_do_not_hide_those_that_wait(begun) -> None:
    waits = used("own", busy=0.0, waits=1.0).nodes["own"]
    keeper = f.NodeUse(cores=1000, players=0, busy={}, waited={"a-process": 60_000.0})
    life = begun(used_min=0.8)
    life.given(f.UtilisationSampled(seconds=60.0, nodes={"keeper": keeper, "own": waits}))
    life.when(TICK).then()


def test_no_more_is_rented_while_cores_wait_for_tickets(begun) -> None:
    life = begun(used_min=0.8)
    life.given(used("own", busy=0.5, waits=0.5)).when(TICK).then()
    for _ in range(20):
        life.given(used("own"))
    assert rented(life)


def test_nothing_is_rented_while_self_play_is_paused(begun) -> None:
    life = begun().given(f.PipelinePaused(scope="all", kind="all", why="w"))
    life.when(TICK).then()
    life.given(f.PipelineResumed(scope="all", kind="all", why="w"))
    assert rented(life)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"budget_per_hour": 0.0}, "no budget"),
        ({"budget": 1.0}, "the budget is spent"),
        ({"deadline": f"{START:%Y-%m-%dT%H:%M}"}, "the deadline"),
        ({"elo_per_cost_min": 50.0}, "Elo per unit of cost"),
    ],
)
def test_everything_is_returned_once_it_is_not_worth_its_cost(
    begun, settings_changed, changes, why
) -> None:
    life = begun()
    names = rented(life)
    for _ in range(60):  # more than an hour at 1.75
        life.after(seconds=60).given(TICK)
    life.given(
        f.EfficiencyMeasured(
            config="hex8_2p",
            settings_version=1,
            hours=1.0,
            node_hours=1.0,
            cost=1.0,
            elo_gained=10.0,
            elo_per_hour=10.0,
            elo_per_node_hour=10.0,
            elo_per_cost=10.0,
            spent={},
        )
    )
    life.given(settings_changed(configs=("hex8_2p",), version=2, renting=renting(**changes)))
    facts = life.when(TICK).then(*[f.NodeDrainRequested] * len(names))
    assert all(why in fact.why for fact in facts)


def test_lost_elo_returns_nothing_unless_a_least_is_set(begun) -> None:
    life = begun()
    rented(life)
    lost = f.EfficiencyMeasured(
        config="hex8_2p",
        settings_version=1,
        hours=1.0,
        node_hours=1.0,
        cost=1.0,
        elo_gained=-10.0,
        elo_per_hour=-10.0,
        elo_per_node_hour=-10.0,
        elo_per_cost=-10.0,
        spent={},
    )
    life.given(lost).when(TICK).then()


def test_a_smaller_budget_returns_the_dearest_for_their_speed(begun, settings_changed) -> None:
    life = begun()
    names = rented(life)
    life.given(settings_changed(configs=(), version=2, renting=renting(budget_per_hour=0.6)))
    facts = life.when(TICK).then(*[f.NodeDrainRequested] * 2)
    assert {fact.node for fact in facts} == {names[3], names[0]}


def test_a_deadline_is_kept_with_no_more_than_it_takes(begun) -> None:
    life = begun(generations=3, deadline="2026-01-01T12:00", budget_per_hour=9.0)
    names = rented(life) + rented(life)
    assert len(names) == 5  # as much as the budget allows, until a verdict took its time
    for _ in range(60):
        life.after(seconds=59).given(TICK)
    life.given(promoted(generation=1))
    assert life.state.per_verdict.mean == pytest.approx(7.0 * 3600, rel=0.05)
    facts = life.when(TICK).decided
    assert {type(fact) for fact in facts} == {f.NodeDrainRequested}
    # 14 hours of speed 1 in 11 hours, with a margin
    assert len(facts) == 3  # two cheap ones are left
    life.given(promoted(generation=2), promoted(generation=3))
    assert any("all wanted" in fact.why for fact in life.when(TICK).decided)


@pytest.mark.parametrize(("sigmas", "speed"), [(0.0, 20.0 / 9.0), (2.0, (20.0 + 2 * 5.0) / 9.0)])
def test_a_deadline_allows_for_work_that_varies(begun, sigmas: float, speed: float) -> None:
    # four verdicts of 5 hours, give or take 2.5, in 9 hours
    life = begun(generations=4, deadline="2026-01-01T09:00", deadline_sigmas=sigmas)
    hour = 3600.0
    verdict = Spread(5, 5.0 * hour, (2.5 * hour) ** 2)
    state = replace(life.state, per_verdict=verdict)
    context = Context.of(EventMeta("EVENTS", 2, "s", "2", "test", START, None), life.in_force)
    assert needed(state, context) == pytest.approx(speed)


def test_a_node_that_never_starts_is_returned_and_counts_as_a_failure(begun) -> None:
    life = begun(boot_minutes=5, failures_max=1, pause_minutes=10, offers=(CHEAP,))
    names = rented(life, boots=False)
    life.after(seconds=300)
    facts = life.when(TICK).then(*[f.NodeReturnRequested] * len(names))
    assert all(fact.why == "it sent no heartbeat in 5 minutes" for fact in facts)
    for name in names:
        life.given(returned(name))
    life.when(TICK).then()
    life.after(hours=6).when(TICK).then(*[f.NodeRentRequested] * 3)


def test_an_offer_that_fails_is_not_asked_for_a_while_and_then_for_longer(begun) -> None:
    life = begun(offers=("x:price=1:speed=1:vram=1:max=1",), failures_max=2, pause_minutes=10)
    gaps = []
    for _ in range(4):
        waited = 0
        while not (asked := life.when(TICK).decided):
            life.after(seconds=60)
            waited += 1
        gaps.append(waited)
        life.given(f.NodeRentFailed(node=asked[0].node, offer="x", reason="none is free"))
    assert gaps[:2] == [0, 0]
    assert 9 <= gaps[2] <= 11
    assert 18 <= gaps[3] <= 21


def test_requests_of_an_hour_are_limited(begun) -> None:
    life = begun(rents_per_hour=2)
    life.when(TICK).then(*[f.NodeRentRequested] * 2)
    life.when(TICK).then()
    life.after(hours=1).when(TICK).then(*[f.NodeRentRequested] * 2)


def test_a_preempted_node_is_given_back_once_it_is_gone_and_replaced(begun) -> None:
    life = begun(offers=(CHEAP,))
    one, *_ = rented(life)
    life.given(f.PreemptionNoticed(node=one, seconds=30.0, source="signal")).when(TICK).then()
    life.given(seen(one, present=False, left=True))
    (back,) = life.when(TICK).then(f.NodeReturnRequested)
    assert (back.node, back.why) == (one, "preempted")
    life.given(returned(one)).when(TICK).then(f.NodeRentRequested)


def test_what_its_provider_ended_is_replaced(begun) -> None:
    life = begun(offers=(CHEAP,))
    one, *_ = rented(life)
    life.given(f.NodeReturned(node=one, instance=f"i-{one}", asked=False))
    life.when(TICK).then(f.NodeRentRequested)


def test_a_return_that_fails_is_asked_for_again(begun) -> None:
    life = begun(pause_minutes=10)
    one, *_ = rented(life)
    life.given(f.NodeDrainRequested(node=one, seconds=0.0, why="w"))
    life.given(seen(one, present=False, left=True)).when(TICK).then(f.NodeReturnRequested)
    life.given(f.NodeReturnFailed(node=one, instance=f"i-{one}", reason="r")).when(TICK).then()
    (again,) = life.after(seconds=600).when(TICK).then(f.NodeReturnRequested)
    assert again.why == "attempt 2"
    life.when(TICK).then()


@pytest.mark.parametrize("allowed", [False, True])
def test_an_orphan_is_returned_if_that_is_allowed(begun, allowed) -> None:
    life = begun(returns_orphans=allowed, offers=())
    orphan = f.OrphanFound(node="orphan-1", instance="i-9", offer="cheap", cost_per_hour=0.25)
    life.given(orphan).when(TICK)
    if not allowed:
        life.then()
        return
    (back,) = life.then(f.NodeReturnRequested)
    assert (back.instance, back.orphan) == ("i-9", True)
    life.when(TICK).then()
    life.given(f.NodeReturned(node="orphan-1", instance="i-9", asked=True))
    assert not life.state.orphans


def test_a_lost_node_that_recovery_replaces_is_given_back(begun) -> None:
    life = begun(offers=(CHEAP,))
    one, *_ = rented(life)
    life.given(seen(one, present=False)).when(TICK).then()  # it may come back
    action = f.RecoveryActionRequested(
        node=one, action="replace", attempt=1, why="it is lost", settings_version=1
    )
    (back,) = life.given(action).when(TICK).then(f.NodeReturnRequested)
    assert back.why == "it is lost"


def test_money_is_counted_while_a_node_is_rented(begun) -> None:
    life = begun(offers=(CHEAP,))
    names = rented(life)
    for _ in range(60):
        life.after(seconds=59).given(TICK)
    assert life.state.spent == pytest.approx(0.75, rel=0.05)
    spent = life.state.spent
    for name in names:
        life.given(returned(name))
    life.after(seconds=60).given(TICK)
    assert life.state.spent == pytest.approx(spent, abs=0.02)


def test_money_is_counted_while_no_coordinator_runs(begun) -> None:
    life = begun(offers=(CHEAP,))
    rented(life)
    life.given(TICK).after(hours=10).given(TICK)
    assert life.state.spent == pytest.approx(7.5, rel=0.01)


def test_the_state_survives_json(begun) -> None:
    life = begun()
    rented(life)
    assert life.restored() == life.state
