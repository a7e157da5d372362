"""Games of matches that only measure are recorded like all others, and are in no shard."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.consumers.shards.building import make_shard
from ringrift.events.facts import MEASURING, EvaluationRequested, GameCompleted
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.matches import play_match


def games_of(purpose: Any) -> list[GameCompleted]:
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
        node="n",
        model_of=lambda _: pytest.fail("no network plays"),
        threads=1,
    )
    return [fact for fact in played if isinstance(fact, GameCompleted)]


@pytest.mark.parametrize("purpose", ["random", *sorted(MEASURING)])
def test_only_the_loops_own_games_are_learned_from(purpose: Any) -> None:
    games = games_of(purpose)
    assert len(games) == 2
    assert {game.origin for game in games} == {
        "tournament" if purpose in MEASURING else "evaluation"
    }
    _, counts = make_shard("hex8_2p", games)
    assert counts.games == (0 if purpose in MEASURING else 2)
    assert counts.rejected == ()
