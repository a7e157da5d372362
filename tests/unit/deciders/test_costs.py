"""Time and money of work by config, and the Elo that was gained for them."""

from __future__ import annotations

import pytest
from support.fleet_facts import HEX, finished, node

from ringrift.deciders.fleet.costs import DECIDER
from ringrift.events.facts import EfficiencyMeasured, NodeUse, UtilisationSampled, VelocityChanged


def measured(elo: float) -> VelocityChanged:
    return VelocityChanged(
        config=HEX,
        model="a" * 64,
        elo_per_hour=None,
        pace=None,
        elo_above_heuristic=elo,
        settings_version=1,
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER, step_seconds=0.0).given(settings_changed(), node("a", cost=2.0))


def test_elo_is_compared_with_what_was_spent_in_the_window(life):
    life.given(finished("a", 10, 3600.0), measured(0.0))
    life.after(hours=2).given(finished("a", 30, 5400.0))
    (fact,) = life.when(measured(60.0)).then(EfficiencyMeasured)
    assert (fact.hours, fact.node_hours, fact.cost) == pytest.approx((2.0, 1.5, 3.0))
    gains = fact.elo_per_hour, fact.elo_per_node_hour, fact.elo_per_cost
    assert gains == pytest.approx((30.0, 40.0, 20.0))
    spent = fact.spent["selfplay"]
    assert (spent.units, spent.node_seconds, spent.cost) == pytest.approx((40, 9000.0, 5.0))


def test_nothing_is_measured_before_a_second_measurement(life):
    life.given(finished("a", 10, 3600.0)).when(measured(0.0)).then()
    life.when(measured(10.0)).then()


def test_nodes_that_cost_nothing_have_no_elo_per_cost(life):
    life.given(measured(0.0), finished("laptop", 10, 3600.0))
    (fact,) = life.after(hours=1).when(measured(10.0)).then(EfficiencyMeasured)
    assert (fact.cost, fact.elo_per_cost) == (0.0, None)


def test_processes_that_play_on_a_node_share_its_price(life):
    use = NodeUse(cores=4, players=4, busy={}, waited={})
    life.given(UtilisationSampled(seconds=60.0, nodes={"a": use}), measured(0.0))
    life.given(finished("a", 10, 3600.0))
    (fact,) = life.after(hours=1).when(measured(10.0)).then(EfficiencyMeasured)
    assert (fact.node_hours, fact.cost) == pytest.approx((0.25, 0.5))
