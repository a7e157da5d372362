"""Assignment: who trains, who plays, who stands by; reservations, losses and preemption."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck
from hypothesis import given as for_all
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ringrift.deciders.fleet.assignment import DECIDER
from ringrift.deciders.fleet.durations import Durations, Spread
from ringrift.events.facts import (
    NodeAssigned,
    NodeJoined,
    NodeRegistered,
    NodeSuspected,
    SelfplayFinished,
    TickRecorded,
    TrainingRequested,
    TrainingStarted,
)
from ringrift.events.settings import SchedulingSettings

HEX = "hex8_2p"
EVERYTHING = ("training", "evaluation", "selfplay")
PLAYS = ("evaluation", "selfplay")


def node(name: str, cost: float = 1.0, speed: float = 1.0, **changes) -> NodeRegistered:
    fields = {
        "provider": "p",
        "accelerator": name.rstrip("0123456789"),
        "vram_gib": 24.0,
        **changes,
    }
    return NodeRegistered(node=name, cost_per_hour=cost, speed=speed, **fields)


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


def finished(where: str, games: int, seconds: float) -> SelfplayFinished:
    return SelfplayFinished(
        config=HEX, generation=0, ticket="t", games=games, plies=1, play_seconds=seconds, node=where
    )


def told(life) -> dict[str, tuple[str, ...]]:
    return {name: item.told.kinds for name, item in life.state.nodes.items()}


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed())


def test_a_machine_that_was_never_registered_is_left_alone(life):
    life.when(TickRecorded(minute=1)).then()
    life.when(finished("laptop", 10, 1.0)).then()


def test_the_first_node_does_everything_and_that_is_said_once(life):
    (fact,) = life.when(node("a")).then(NodeAssigned)
    assert (fact.kinds, fact.preempts) == (EVERYTHING, False)
    life.when(TickRecorded(minute=1)).then()


def test_the_cheapest_that_is_not_ephemeral_trains(life):
    life.given(
        node("spot", 0.8, ephemeral=True),
        node("dear", 1.3),
        node("cheap", 1.0),
        TickRecorded(minute=1),
    )
    assert told(life) == {"spot": PLAYS, "dear": PLAYS, "cheap": EVERYTHING}
    life.given(NodeSuspected(node="cheap", silent_seconds=300.0))
    assert told(life)["dear"] == EVERYTHING
    life.given(NodeJoined(node="cheap", rejoined=True))
    assert told(life)["cheap"] == EVERYTHING, "the margin is 15 %, it is 23 % cheaper"


def test_a_node_on_which_games_cost_much_more_stands_by(life):
    (fact,) = (
        life.given(node("a1"), node("a2"), node("a3")).when(node("b", cost=4.0)).then(NodeAssigned)
    )
    assert fact.kinds == ()
    assert "2.3 times the fleet's mean" in fact.why


def test_without_cost_awareness_everybody_does_what_it_may(story, settings_changed):
    life = story(DECIDER).given(settings_changed(scheduling=SchedulingSettings(cost_aware=False)))
    life.given(node("a1"), node("a2"), node("b", cost=9.0, kinds=PLAYS))
    assert told(life) == {"a1": EVERYTHING, "a2": EVERYTHING, "b": PLAYS}


def test_a_node_that_costs_nothing_never_stands_by(life):
    life.given(node("a1"), node("a2"), node("own", cost=0.0, speed=0.01))
    assert told(life)["own"] == ("selfplay",)


def test_a_slow_node_plays_and_leaves_the_matches_to_others(life):
    life.given(node("a1"), node("a2"), node("slow", cost=0.1, speed=0.2))
    assert told(life) == {"a1": EVERYTHING, "a2": PLAYS, "slow": ("selfplay",)}
    assert "matches" in life.state.nodes["slow"].told.why


def test_a_slow_node_evaluates_where_nobody_else_may(life):
    life.given(
        node("a1", kinds=("training",)),
        node("b", kinds=("selfplay",)),
        node("slow", cost=0.1, speed=0.2, kinds=PLAYS),
    )
    assert told(life)["slow"] == PLAYS
    life.given(node("a2", kinds=PLAYS), TickRecorded(minute=1))
    assert told(life)["slow"] == ("selfplay",)


def test_a_slow_node_that_may_do_nothing_else_or_is_reserved_evaluates(life):
    life.given(node("a1"), node("only", cost=0.1, speed=0.2, kinds=("evaluation",)))
    assert told(life)["only"] == ("evaluation",)
    life.given(
        node(
            "kept",
            cost=0.1,
            speed=0.2,
            reserved_for=("evaluation", "selfplay"),
            reserved_until_minute=100,
        )
    )
    assert told(life)["kept"] == PLAYS


@pytest.mark.parametrize(
    ("slowness", "kinds"), [((2.6, 2.4, 2.6), ("selfplay",)), ((2.0, 2.4, 2.0, 2.4), PLAYS)]
)
def test_a_node_near_the_bound_does_not_flap(life, slowness, kinds):
    life.given(node("a1"), node("a2"))
    for value in slowness:
        life.given(node("b", cost=0.1, speed=1.0 / value))
        assert told(life)["b"] == kinds


def test_measured_speed_replaces_the_declared_one(life):
    life.given(node("a1"), node("a2"), node("a3"), node("b", cost=4.0))
    assert told(life)["b"] == ()
    for _ in range(60):
        life.given(finished("a1", 10, 100.0), finished("b", 10, 25.0))
    life.given(TickRecorded(minute=1))
    assert "selfplay" in told(life)["b"]


def test_a_reservation_holds_until_its_minute(life):
    life.given(
        node("a1"),
        node("a2", reserved_for=("evaluation",), reserved_until_minute=10),
        TickRecorded(minute=1),
    )
    assert told(life)["a2"] == ("evaluation",)
    life.given(TickRecorded(minute=10))
    assert told(life)["a2"] == PLAYS


def test_a_lost_node_has_nothing_and_is_back_when_it_is(life):
    life.given(node("a1"), node("a2"))
    (fact,) = life.when(NodeSuspected(node="a2", silent_seconds=300.0)).then(NodeAssigned)
    assert fact.kinds == ()
    (fact,) = life.when(NodeJoined(node="a2", rejoined=True)).then(NodeAssigned)
    assert fact.kinds == PLAYS


def test_a_training_that_waits_takes_another_node_once_and_it_plays_again_later(life):
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


def test_a_node_that_was_taken_trains_no_more_once_no_training_has_been_late_for_an_hour(life):
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


def test_tickets_are_short_where_the_node_may_vanish(life):
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
def test_whatever_the_prices_somebody_trains_and_somebody_plays_and_it_settles(
    story, settings_changed, fleet
):
    life = story(DECIDER).given(settings_changed())
    life.given(
        *(
            node(f"n{i}", cost, speed, ephemeral=spot, accelerator=f"k{i}")
            for i, (cost, speed, spot) in enumerate(fleet)
        )
    )
    life.given(TickRecorded(minute=1), TickRecorded(minute=2))
    kinds = told(life).values()
    assert any("training" in item for item in kinds)
    assert any("selfplay" in item for item in kinds)
    life.when(TickRecorded(minute=3)).then()  # nothing flaps


def test_a_duration_has_a_mean_and_a_variance():
    spread = Spread()
    for seconds in (1.0, 3.0, 1.0, 3.0):
        spread = spread.after(seconds)
    assert spread.mean == pytest.approx(2.0)
    assert spread.variance == pytest.approx(1.0)
    assert spread.careful == pytest.approx(3.0)


def test_slowness_is_measured_against_the_fleet():
    play = Durations()
    for _ in range(40):
        play = play.after("a", "fast", 10, 10.0).after("a", "slow", 10, 40.0)
    assert play.slowness("fast", 1.0) < 1.0 < play.slowness("slow", 1.0)
