"""What breaks a promise about a fleet: each check fails on the behaviour that it was made for."""

from __future__ import annotations

import pytest
from support.fleets import NODES, SMALL_NODES, SMALL_SETTINGS

from ringrift.deciders.fleet.order import Order
from ringrift.deciders.loop import selfplay
from ringrift.tools.simulation import promises
from ringrift.tools.simulation.promises import Property, of_fleet
from ringrift.tools.simulation.run import simulate


def test_a_config_that_plays_only_its_generations_does_not_get_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promises, "FOLLOWS_MIN", 0.5)
    usual = selfplay._spare
    monkeypatch.setattr(selfplay, "_spare", lambda *_: "hex8_2p" if usual(*_) else None)
    found = next(of_fleet(simulate(SMALL_NODES, SMALL_SETTINGS, 2.0, seed=1)))
    assert found.held is False
    assert found.found.startswith("square8_2p got")


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
