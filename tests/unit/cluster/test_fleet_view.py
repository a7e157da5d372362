"""What the strength of each config costs, from facts alone."""

from __future__ import annotations

from support.fleet_facts import HEX, finished, node
from support.system import System

from ringrift.cluster.fleet_view import costs_of
from ringrift.events.facts import EfficiencyMeasured


async def test_costs_are_there_before_any_elo_was_measured(system: System) -> None:
    await system.write(node("a", cost=2.0), finished("a", 10, 3600.0))
    (found,) = await costs_of(system.log)
    assert (found.config, found.games, found.node_hours) == (HEX, 10, {"selfplay": 1.0})
    assert (found.cost, found.elo_per_hour, found.elo_per_cost) == (2.0, None, None)
    assert found.row == (HEX, 10, "1.00", "0.00", "0.00", "2.00", "-", "-", "-", "-")


async def test_elo_for_its_cost_is_that_of_the_newest_measurement(system: System) -> None:
    await system.write(node("a", cost=2.0), finished("a", 10, 3600.0))
    for gain in (10.0, 40.0):
        measured = EfficiencyMeasured(
            config=HEX,
            hours=2.0,
            node_hours=4.0,
            cost=8.0,
            elo_gained=gain,
            elo_per_hour=gain / 2.0,
            elo_per_node_hour=gain / 4.0,
            elo_per_cost=gain / 8.0,
            spent={},
            settings_version=1,
        )
        await system.write(measured)
    (found,) = await costs_of(system.log)
    assert (found.elo_per_hour, found.elo_per_node_hour, found.elo_per_cost) == (20.0, 10.0, 5.0)
