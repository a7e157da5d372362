"""Running scores: matches counted game by game, and what their scores make of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import A, B, C, promoted, rejected

from ringrift.deciders.loop.verdict import judge
from ringrift.events import EventMeta, Fact, Recorded, facts as f, type_of
from ringrift.events.participants import seat
from ringrift.events.settings import PromotionSettings
from ringrift.insight.running import Match, Played, Running, Standing

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = PromotionSettings()


class Told(Running):
    """A fold of facts without metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = 0

    def hears(self, *events: Fact) -> Told:
        for event in events:
            self.seq += 1
            meta = EventMeta(
                "EVENTS", self.seq, type_of(event).subject(event), "id", "test", START, None
            )
            self.take(Recorded(event, meta))
        return self

    def plays(
        self, ticket: str, *games: tuple[int, tuple[int, ...]], config: str = "hex8_2p"
    ) -> int:
        """Count games, given as number and ranks; return how many of them counted."""
        played = (
            Played(f"{ticket}-{n}", config, "evaluation", ticket, ranks) for n, ranks in games
        )
        return sum(map(self.count, played))


def request(
    purpose: Any = "promotion",
    *,
    model: str = B,
    rival: str = A,
    round: int = 0,
    starts: int = 4,
    config: str = "hex8_2p",
) -> f.EvaluationRequested:
    opponent = (
        seat("gumbel", model=rival, simulations=32) if purpose == "promotion" else seat("random")
    )
    return f.EvaluationRequested(
        config=config,
        generation=1,
        candidate=seat("gumbel", model=model, simulations=32),
        opponent=opponent,
        purpose=purpose,
        round=round,
        starts=starts,
        seed=1,
        settings_version=1,
    )


def score(
    asked: f.EvaluationRequested, ticket: str, *scores: tuple[float, int]
) -> f.EvaluationScored:
    starts = sum(count for _, count in scores)
    return f.EvaluationScored(
        config=asked.config,
        generation=1,
        ticket=ticket,
        candidate=asked.candidate.participant,
        candidate_model=asked.candidate.model,
        opponent=asked.opponent.participant,
        purpose=asked.purpose,
        round=asked.round,
        games=f.seats_of(asked.config) * starts,
        wins=0.0,
        scores=scores,
        rankings=(),
        play_seconds=1.0,
        node="n",
    )


def standing(told: Running, seq: int = 1) -> Standing:
    return told.matches[seq].standing(SETTINGS)


def only(told: Running) -> Match:
    (match,) = told.open()
    return match


WON, LOST = (1, 2), (2, 1)  # ranks by seat


def test_a_request_is_a_match_without_games() -> None:
    now = standing(Told().hears(request(starts=4)))
    assert (now.games, now.games_wanted, now.starts, now.starts_max) == (0, 8, 0, 64)
    assert (now.score, now.evidence) == (None, None)


def test_a_game_counts_from_the_seat_of_the_candidate() -> None:
    # game 2n is played by the candidate at seat 1, game 2n + 1 at seat 2
    told = Told().hears(request())
    assert told.plays("evaluation-events-1", (0, WON), (1, LOST), (2, WON)) == 3
    now = standing(told)
    assert (now.games, now.points) == (3, 3.0)
    assert (now.starts, now.scores, now.counts) == (1, ((1.0, 1),), (0, 0, 0, 0, 1))


def test_a_game_counts_once_and_only_where_it_belongs() -> None:
    told = Told().hears(request(starts=1))
    assert told.plays("evaluation-events-1", (0, WON), (0, WON), (2, WON), (7, LOST)) == 1
    assert told.plays("evaluation-events-9", (0, WON)) == 0
    assert not told.count(Played("x", "hex8_2p", "evaluation", "evaluation-events-1", WON))
    assert not told.count(
        Played("evaluation-events-1-1", "hex8_2p", "selfplay", "evaluation-events-1", WON)
    )


def test_the_score_of_a_ticket_replaces_its_games() -> None:
    asked = request(starts=2)
    told = Told().hears(asked)
    told.plays("evaluation-events-1", (0, WON))
    told.hears(score(asked, "evaluation-events-1", (0.5, 1), (1.0, 1)))
    assert told.plays("evaluation-events-1", (1, WON)) == 0
    now = standing(told)
    assert (now.games, now.points, now.starts) == (4, 3.0, 2)


def test_the_test_stands_where_the_promoter_would_see_it() -> None:
    asked = request(starts=3)
    told = Told().hears(asked, replace(asked, round=1))
    told.hears(score(asked, "evaluation-events-1", (0.5, 2), (1.0, 1)))
    told.plays("evaluation-events-2", (0, WON), (1, LOST), (2, LOST), (3, LOST))
    now = standing(told)
    scores = ((0.5, 3), (1.0, 2))
    assert now.scores == scores
    _, evidence, _ = judge(scores, now.games, SETTINGS, first="", config="hex8_2p")
    assert now.evidence == evidence
    assert evidence.lower < evidence.llr < evidence.upper


@pytest.mark.parametrize(
    ("config", "ranks", "mean"),
    [("hex8_3p", (1, 2, 2), 2 / 3), ("square8_4p", (1, 4, 2, 2), 0.583333333)],
)
def test_more_seats_have_a_rotation_for_each_seat(
    config: str, ranks: tuple[int, ...], mean: float
) -> None:
    told = Told().hears(request(config=config, starts=1))
    games = [(n, ranks) for n in range(len(ranks))]
    assert told.plays("evaluation-events-1", *games[:-1], config=config) == len(ranks) - 1
    assert standing(told).starts == 0
    told.plays("evaluation-events-1", games[-1], config=config)
    ((found, count),) = standing(told).scores
    assert (found, count) == (pytest.approx(mean), 1)


def test_rounds_of_a_test_are_one_match_until_the_verdict() -> None:
    asked = request()
    told = Told().hears(asked, score(asked, "evaluation-events-1", (0.5, 4)))
    assert only(told).seq == 1  # open between two rounds
    told.hears(replace(asked, round=1))
    assert only(told).tickets.keys() == {"evaluation-events-1", "evaluation-events-3"}
    told.hears(score(asked, "evaluation-events-3", (0.5, 4)), promoted(B, previous=A))
    assert told.open() == []
    assert told.matches[1].verdict == promoted(B, previous=A)


def test_another_rival_ends_a_test_without_a_verdict() -> None:
    told = Told().hears(request(model=B), request(model=C))
    told.hears(score(request(model=B), "evaluation-events-1", (1.0, 4)), promoted(B, previous=A))
    told.hears(score(request(model=C), "evaluation-events-2", (1.0, 4)))
    assert told.open() == []
    assert told.matches[2].verdict is None


def test_a_rejection_of_another_candidate_ends_nothing() -> None:
    told = Told().hears(request(model=C), rejected(B, current=A))
    assert only(told).seq == 1


def test_a_baseline_is_met_again_in_a_match_of_its_own() -> None:
    asked = request("random")
    told = Told().hears(asked, score(asked, "evaluation-events-1", (1.0, 4)))
    assert told.open() == []
    told.hears(replace(asked, round=1))
    assert only(told).seq == 3


def test_a_failed_ticket_is_over() -> None:
    asked = request("heuristic")
    failed = f.EvaluationFailed(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-events-1",
        node="n",
        candidate_model=B,
        purpose="heuristic",
        reason="no network",
    )
    told = Told().hears(asked, failed)
    assert told.open() == []
    assert told.matches[1].tickets["evaluation-events-1"].failed == "no network"


def test_an_abandoned_ticket_is_over() -> None:
    asked = request("heuristic")
    left = f.EvaluationAbandoned(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-events-1",
        node="n",
        candidate_model=B,
        purpose="heuristic",
        games=3,
    )
    assert Told().hears(asked, left).open() == []


def test_a_decided_test_waits_for_no_game() -> None:
    told = Told().hears(request(), replace(request(), round=1))
    told.hears(score(request(), "evaluation-events-1", (1.0, 4)), promoted(B, 1, A))
    assert told.open() == []


def test_a_refuted_score_does_not_count() -> None:
    asked = request()
    told = Told().hears(asked, score(asked, "evaluation-events-1", (1.0, 4)))
    assert standing(told).games
    refuted = f.EvaluationRefuted(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-events-1",
        node="n",
        candidate_model=B,
        purpose="promotion",
        score="EVENTS/2",
        forged=True,
        reason="its games give other wins",
    )
    assert standing(told.hears(refuted)).games == 0


def test_retracted_games_do_not_count() -> None:
    asked = request()
    told = Told().hears(
        asked, score(asked, "evaluation-events-1", (1.0, 4)), replace(asked, round=1)
    )
    told.plays("evaluation-events-3", (0, WON))
    gone = f.GamesRetracted(
        config="hex8_2p",
        first_seq=1,
        last_seq=8,
        count=8,
        scored_tickets=("evaluation-events-1",),
        why="w",
    )
    assert standing(told.hears(gone)).games == 1


def test_a_match_is_found_by_any_of_its_requests() -> None:
    told = Told().hears(request(), request(round=1))
    found = told.match_of("EVENTS/2")
    assert found is not None
    assert found.seq == 1
    assert told.match_of("EVENTS/3") is None
