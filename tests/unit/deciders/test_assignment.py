"""Which node does what, and when that changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import (
    HealthCheck,
    given as for_all,
    settings as hypothesis_settings,
    strategies as st,
)
from msgspec.structs import replace
from support import loop_facts
from support.fleet_facts import ALL_SEEN, EVERYTHING, HEX, PLAYS, assigned, finished, node, seen

from ringrift.deciders.fleet.assignment import DECIDER
from ringrift.events.facts import (
    BreakerOpened,
    BreakerReset,
    NodeAssigned,
    NodeDescribed,
    NodeDrainRequested,
    NodeForgotten,
    NodeRented,
    NodeReserved,
    NodeReturned,
    NodeUnregistered,
    PreemptionNoticed,
    ReservationEnded,
    TickRecorded,
    TrainingRequested,
    TrainingStarted,
)
from ringrift.events.settings import RentingSettings


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


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), *ALL_SEEN)


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


@pytest.mark.parametrize("left", [False, True])
def test_a_node_that_vanishes_or_leaves_is_left_out_at_once_until_it_returns(life, left):
    life.given(node("a1"), node("a2"))
    (fact,) = life.when(seen("a2", False, left=left)).then(NodeAssigned)
    assert (fact.kinds, fact.why) == ((), "absent")
    (fact,) = life.when(seen("a2")).then(NodeAssigned)
    assert fact.kinds == PLAYS


@pytest.mark.parametrize(
    "fact",
    [
        NodeDrainRequested(node="a2", seconds=60.0, why="w"),
        PreemptionNoticed(node="a2", seconds=60.0, source="command"),
    ],
)
def test_a_node_that_drains_gets_no_work_until_it_returns(life, fact):
    life.given(node("a1"), node("a2"))
    (decided,) = life.when(fact).then(NodeAssigned)
    assert (decided.node, decided.kinds) == ("a2", ())
    life.given(seen("a2", False, left=True)).when(seen("a2")).then(NodeAssigned)


def test_what_was_rented_does_not_stand_by_for_its_price(life):
    life.given(node("a", cost=0.1), node("a1", cost=0.1), node("dear", cost=9.0))
    assert assigned(life)["dear"] == ()
    life.given(NodeRented(node="dear", offer="x", instance="i", cost_per_hour=9.0))
    life.given(TickRecorded(minute=1))
    assert assigned(life)["dear"] == PLAYS


def test_a_returned_node_is_no_node_of_the_fleet(life):
    life.given(node("a1"), node("a2"), seen("a2", False, left=True))
    life.given(NodeReturned(node="a2", instance="i-2", asked=True))
    assert "a2" not in life.state.nodes


def test_a_node_that_was_registered_and_never_starts_keeps_no_work_from_others(life):
    # on the cheap one a game would cost a tenth
    life.given(seen("ghost", False), node("a1", cost=1.0), node("ghost", cost=0.1))
    assert assigned(life) == {"ghost": (), "a1": EVERYTHING}
    life.when(seen("ghost")).then(NodeAssigned, NodeAssigned)
    assert assigned(life) == {"ghost": EVERYTHING, "a1": ()}


def test_an_absent_node_can_be_forgotten_and_a_present_one_cannot(life):
    life.given(node("a1"), node("a2"), seen("a2", False))
    life.given(NodeForgotten(node="a1", why=""), NodeForgotten(node="a2", why=""))
    assert list(life.state.nodes) == ["a1"]


def described(name: str, **changes) -> NodeDescribed:
    fields = {"provider": "vast", "accelerator": "gpu", "cost_per_hour": 1.0, "rented": True}
    fields |= {"gpus": 1, "cores": 8, "vram_gib": 24.0, "kinds": EVERYTHING, "version": "1"}
    return NodeDescribed(node=name, **{**fields, **changes})


def test_what_a_node_says_of_itself_counts_until_it_is_registered(life):
    life.given(described("a1"), described("a2"), described("a3"))
    (fact,) = life.when(described("b", accelerator="dear", cost_per_hour=4.0)).then(NodeAssigned)
    assert fact.kinds == ()
    life.given(node("b", cost=1.0))
    assert assigned(life)["b"] == PLAYS
    life.given(described("b", accelerator="dear", cost_per_hour=5.0))
    assert assigned(life)["b"] == PLAYS
    life.given(NodeUnregistered(node="b", why=""))
    assert assigned(life)["b"] == ()


def test_a_node_that_names_no_price_and_no_provider_takes_the_work_of_its_processes(life):
    life.when(described("a1", rented=False)).then()
    life.when(described("a2", kinds=())).then()


def test_a_node_is_reserved_and_released_by_facts(life):
    life.given(node("a1"), node("a2"), TickRecorded(minute=1))
    life.given(NodeReserved(node="a2", kinds=("evaluation",), until_minute=10, why=""))
    assert assigned(life)["a2"] == ("evaluation",)
    life.given(ReservationEnded(node="a2", why=""))
    assert assigned(life)["a2"] == PLAYS


def test_a_quarantined_trainer_keeps_only_what_probes_need_until_its_breaker_closes(life):
    life.given(node("a1"), node("a2"))
    assert assigned(life) == {"a1": EVERYTHING, "a2": PLAYS}
    broken = BreakerOpened(target="node-a1", failures=10, threshold=10, why="w")
    life.when(broken).then(NodeAssigned, NodeAssigned)
    assert assigned(life) == {"a1": ("selfplay",), "a2": EVERYTHING}
    life.given(BreakerReset(target="node-a1", why="a probe succeeded"))
    assert "evaluation" in assigned(life)["a1"]


def test_a_quarantine_without_news_ends_with_its_breaker(life):
    life.given(node("a1"), BreakerOpened(target="node-a1", failures=10, threshold=10, why="w"))
    life.after(hours=7).given(TickRecorded(minute=420))
    assert assigned(life)["a1"] == EVERYTHING


def test_a_waiting_training_takes_a_node_once(life):
    life.given(node("a1"), node("a2"), node("a3"), asked())
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
    life.given(node("a1"), node("a2"), node("a3"), asked())
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
    life = story(DECIDER).given(settings_changed(), *ALL_SEEN)
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


def test_a_node_that_goes_soon_gets_no_work_that_would_not_end(life):
    """A training takes an hour and a match ten minutes, give or take a tenth."""
    life.given(node("a1", cost=0.1, leaves_at_minute=100), node("a2"), TickRecorded(minute=1))
    assert assigned(life) == {"a1": EVERYTHING, "a2": ()}, "nothing was timed"
    for number in range(8):
        seconds = 3600.0 * (0.9 + 0.2 * (number % 2))
        life.given(
            replace(loop_facts.finished(), node="a1", train_seconds=seconds, ticket=f"t{number}"),
            replace(loop_facts.scored("random", 1, 0), node="a1", play_seconds=seconds / 6),
        )
    life.given(TickRecorded(minute=30))
    assert "training" in assigned(life)["a1"], "70 minutes are left"
    life.given(TickRecorded(minute=37))
    assert "training" not in assigned(life)["a1"], "as long as the mean, and a deviation more"
    assert assigned(life)["a1"] == PLAYS
    (fact,) = [
        one for one in life.when(TickRecorded(minute=90)).then(NodeAssigned) if one.node == "a1"
    ]
    assert fact.kinds == ()
    assert fact.why == "goes too soon for training and evaluation and selfplay"


def test_what_is_rented_goes_at_the_deadline(story, settings_changed):
    rents = RentingSettings(deadline="2026-01-01T01:40")
    life = story(DECIDER).given(settings_changed(renting=rents), node("a1"), seen("a1"))
    life.given(NodeRented(node="a1", offer="x", instance="i", cost_per_hour=1.0))
    midnight = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) // 60
    life.given(TickRecorded(minute=midnight + 79))
    assert assigned(life)["a1"] == EVERYTHING
    life.given(TickRecorded(minute=midnight + 81))
    assert assigned(life)["a1"] == ("training", "evaluation"), "tickets of 20 minutes, 19 left"
