"""What breaks a promise about a fleet: each check fails on the behaviour that it was made for."""

from __future__ import annotations

import pytest
from support.fleets import NODES, SMALL_SETTINGS

from ringrift.deciders.fleet.order import Order
from ringrift.tools.simulation.promises import Property, of_fleet
from ringrift.tools.simulation.run import simulate


def served() -> Property:
    """The promise that no ticket is kept back from a free node."""
    fleet = simulate(NODES, SMALL_SETTINGS, 0.5, seed=1)
    return next(item for item in of_fleet(fleet) if "kept back" in item.name)


def test_free_nodes_get_the_tickets_that_wait() -> None:
    assert served().held


def test_tickets_of_too_few_workers_are_kept_back_from_free_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Order, "workers", lambda order, kind: 1)
    found = served()
    assert found.held is False
    assert "selfplay" in found.found
