"""Which node does what, and when that changes."""

from __future__ import annotations

import pytest
from hypothesis import (
    HealthCheck,
    given as for_all,
    settings as hypothesis_settings,
    strategies as st,
)
from support.fleet_facts import EVERYTHING, HEX, PLAYS, assigned, finished, node

from ringrift.deciders.fleet.assignment import DECIDER
from ringrift.events.facts import (
    NodeAssigned,
    NodeJoined,
    NodeSuspected,
    TickRecorded,
    TrainingRequested,
    TrainingStarted,
)


def asked(config: str = HEX) -> TrainingRequested:
    return TrainingRequested(
        config=config,
        generation=1,
        architecture="a",
        parent=None,
        shards=(),
        samples=1,
        seed=1,
        reason="r",
        settings_version=1,
    )


def joined(name: str) -> NodeJoined:
    return NodeJoined(node=name, rejoined=False)


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed())


def test_an_unregistered_node_is_assigned_nothing(life):
    life.when(TickRecorded(minute=1)).then()
    life.when(finished("laptop", 10, 1.0)).then()


def test_the_first_node_does_everything(life):
    (fact,) = life.when(node("a")).then(NodeAssigned)
    assert (fact.kinds, fact.preempts) == (EVERYTHING, False)
    life.when(TickRecorded(minute=1)).then()


def test_a_reservation_holds_until_its_minute(life):
    life.given(
        node("a1"),
        node("a2", reserved_for=("evaluation",), reserved_until_minute=10),
        TickRecorded(minute=1),
    )
    assert assigned(life)["a2"] == ("evaluation",)
    life.given(TickRecorded(minute=10))
    assert assigned(life)["a2"] == PLAYS


def test_a_suspected_node_is_left_out_until_it_returns(life):
    life.given(node("a1"), node("a2"))
    (fact,) = life.when(NodeSuspected(node="a2", silent_seconds=300.0)).then(NodeAssigned)
    assert fact.kinds == ()
    (fact,) = life.when(NodeJoined(node="a2", rejoined=True)).then(NodeAssigned)
    assert fact.kinds == PLAYS


def test_a_node_that_was_registered_and_never_starts_keeps_no_work_from_others(life):
    # on the cheap one a game costs a tenth, so the dear one stands by
    life.given(node("real", cost=1.0), joined("real"), node("ghost", cost=0.1))
    assert assigned(life) == {"ghost": EVERYTHING, "real": ()}
    life.after(seconds=301).when(TickRecorded(minute=7)).then(NodeAssigned, NodeAssigned)
    assert assigned(life) == {"ghost": (), "real": EVERYTHING}
    life.when(joined("ghost")).then(NodeAssigned, NodeAssigned)
    assert assigned(life)["ghost"]


def test_a_node_may_start_before_it_is_registered(life):
    life.given(joined("a1"), node("a1"))
    life.after(seconds=3600).when(TickRecorded(minute=60)).then()
    assert assigned(life) == {"a1": EVERYTHING}


def test_a_waiting_training_takes_a_node_once(life):
    life.given(node("a1"), node("a2"), node("a3"), *map(joined, ("a1", "a2", "a3")), asked())
    life.after(seconds=900).when(TickRecorded(minute=15)).then(NodeAssigned)
    taken = life.decided[0]
    assert (taken.kinds, taken.preempts) == (("training",), True)
    life.after(seconds=60).when(TickRecorded(minute=16)).then()
    started = TrainingStarted(
        config=HEX, generation=1, ticket="t", node=taken.node, device="cuda", resumed_step=0
    )
    (fact,) = life.given(started).when(TickRecorded(minute=17)).then(NodeAssigned)
    assert (fact.node, fact.kinds, fact.preempts) == (taken.node, EVERYTHING, False)


def test_a_taken_node_is_released_after_an_hour_without_waiting_trainings(life):
    life.given(node("a1"), node("a2"), node("a3"), *map(joined, ("a1", "a2", "a3")), asked())
    life.after(seconds=900).when(TickRecorded(minute=15)).then(NodeAssigned)
    taken = life.decided[0].node
    life.given(
        TrainingStarted(
            config=HEX, generation=1, ticket="t", node=taken, device="cuda", resumed_step=0
        )
    )
    life.when(TickRecorded(minute=17)).then(NodeAssigned)
    life.after(seconds=3400).when(TickRecorded(minute=73)).then()
    (fact,) = life.after(seconds=300).when(TickRecorded(minute=78)).then(NodeAssigned)
    assert (fact.node, "training" in fact.kinds, "selfplay" in fact.kinds) == (taken, False, True)
    life.after(seconds=60).when(TickRecorded(minute=79)).then()


def test_tickets_of_ephemeral_nodes_are_short(life):
    life.given(node("a1"))
    (fact,) = life.when(node("s1", ephemeral=True)).then(NodeAssigned)
    assert fact.ticket_seconds == life.in_force.settings.scheduling.ticket_seconds_ephemeral < 900.0


@hypothesis_settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@for_all(
    fleet=st.lists(
        st.tuples(st.floats(0.0, 5.0), st.floats(0.05, 3.0), st.booleans()), min_size=1, max_size=12
    )
)
def test_some_node_trains_and_some_node_plays_at_any_prices(story, settings_changed, fleet):
    life = story(DECIDER).given(settings_changed())
    life.given(
        *(
            node(f"n{i}", cost, speed, ephemeral=spot, accelerator=f"k{i}")
            for i, (cost, speed, spot) in enumerate(fleet)
        )
    )
    life.given(TickRecorded(minute=1), TickRecorded(minute=2))
    kinds = assigned(life).values()
    assert any("training" in item for item in kinds)
    assert any("selfplay" in item for item in kinds)
    life.when(TickRecorded(minute=3)).then()  # nothing flaps
