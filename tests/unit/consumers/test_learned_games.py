"""Games of matches that only measure strength, and of people, are recorded, but are in no shard."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ringrift.consumers.shards.building import is_learned_from
from ringrift.consumers.verification.games import GameLedger
from ringrift.consumers.verification.history import History
from ringrift.events.facts import MEASURING, EvaluationRequested, GameCompleted
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.matches import play_match
from ringrift.learning.play import Host


def games_of(purpose: Any) -> list[GameCompleted]:
    """The games of a match between two baselines."""
    request = EvaluationRequested(
        config="hex8_2p",
        generation=1,
        candidate=seat("heuristic"),
        opponent=seat("random"),
        purpose=purpose,
        round=0,
        starts=1,
        seed=1,
        settings_version=0,
    )
    (ticket,) = tickets_of(request, "EVENTS/1")
    assert isinstance(ticket, EvaluationTicket)
    played = play_match(
        ticket,
        EvaluationSettings(),
        Host(node="n", threads=1),
        model_of=lambda _: pytest.fail("no network plays"),
    )
    return [fact for fact in played if isinstance(fact, GameCompleted)]


@pytest.mark.parametrize("purpose", sorted(MEASURING))
def test_a_measuring_match_is_not_learned_from(purpose: Any) -> None:
    games = games_of(purpose)
    assert [game.origin for game in games] == ["tournament"] * 2
    assert not any(map(is_learned_from, games))
    assert all(is_learned_from(game, tournaments=True) for game in games)
    assert not any(is_learned_from(game, people=True) for game in games)


def test_a_match_of_the_loop_is_learned_from() -> None:
    games = games_of("random")
    assert [game.origin for game in games] == ["evaluation"] * 2
    assert all(map(is_learned_from, games))


def test_a_game_of_people_is_learned_from_only_where_a_setting_or_a_shard_says_so() -> None:
    game = replace(games_of("random")[0], origin="human")
    assert not is_learned_from(game)
    assert is_learned_from(game, people=True)


def test_a_game_of_people_needs_no_request() -> None:
    game = replace(games_of("random")[0], origin="human", ticket="human-1", game="human-1")
    assert list(GameLedger(History()).take(game, 1, None)) == []
