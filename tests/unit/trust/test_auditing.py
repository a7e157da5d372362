"""What contradicts the request of a game, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.forgeries import PLAN
from support.networks import random_nnue

from ringrift.events.facts import GameCompleted
from ringrift.events.participants import seat
from ringrift.events.settings import SelfplaySettings, Settings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning.play import Host, play_games
from ringrift.nets.nnue.policy import Weights, no_weights
from ringrift.search.harness import Model
from ringrift.trust.auditing import Request, contradiction

DIGEST = "a" * 64


def asked(config: str, settings: Settings, **plan: Any) -> Request:
    wanted = replace(PLAN, config=config, games=2, games_per_ticket=2, **plan)
    (ticket,) = tickets_of(wanted, "EVENTS/1")
    return Request(ticket, settings, frozenset())


def played(request: Request, model: Model | None = None) -> list[GameCompleted]:
    assert isinstance(request.ticket, SelfplayTicket)
    host = Host(node="n", threads=1)
    return list(play_games(request.ticket, request.settings.selfplay, host, model=model))


@pytest.mark.parametrize("config", ["hex8_2p", "square8_3p"])
def test_an_nnue_without_a_policy_plays_what_its_plan_asks(config: str) -> None:
    weights = Weights(random_nnue(config), no_weights().policy)
    model = Model(lambda *_: pytest.fail("not asked"), policy=False, nnue=weights)
    request = asked(config, Settings(), model=DIGEST)
    assert {contradiction(game, request) for game in played(request, model)} == {""}


def test_an_opponent_of_the_plan_has_the_seat_that_the_seed_gives_it() -> None:
    stranger = seat("minimax", simulations=32)
    request = asked("hex8_2p", Settings(), opponents=(stranger,), opponent_share=1.0)
    game, _ = played(request)
    assert stranger in game.seats
    assert contradiction(game, request) == ""
    turned = replace(game, seats=game.seats[::-1])
    assert "does not search as its plan asks" in contradiction(turned, request)
    unasked = asked("hex8_2p", Settings())
    assert "does not search as its plan asks" in contradiction(game, unasked)


def test_only_the_limit_in_force_stops_a_game() -> None:
    request = asked("hex8_2p", Settings(selfplay=SelfplaySettings(max_moves=50)))
    stopped = [game for game in played(request) if game.reason == "max_moves"]
    assert stopped
    assert {contradiction(game, request) for game in stopped} == {""}
    other = asked("hex8_2p", Settings())
    assert "stopped after 50 plies" in contradiction(stopped[0], other)
