"""Reports on strength: folds of recorded matches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import loop_facts

from ringrift.events import EventMeta, Fact, Recorded, type_of
from ringrift.events.facts import EvaluationRequested, ModelDerived, Seat
from ringrift.events.participants import seat
from ringrift.events.tickets import tickets_of
from ringrift.insight.strength.measurements import MatchResult, Measurements, highest_beaten
from ringrift.insight.strength.strength_report import markdown, score_over_games
from ringrift.learning.pairings import HEURISTIC, RANDOM, TIERS

CONFIG, MODEL = "hex8_2p", "ab" * 32
ME = seat("gumbel", model=MODEL, simulations=64)


class History:
    """A log in the making."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []

    def put(self, fact: Fact) -> str:
        seq = len(self.events) + 1
        meta = EventMeta(
            "EVENTS",
            seq,
            type_of(fact).subject(fact),
            f"e{seq}",
            "test",
            datetime(2026, 1, 1, tzinfo=UTC),
            None,
        )
        self.events.append(Recorded(fact, meta))
        return meta.position

    def match(
        self, purpose: Any, candidate: Seat, opponent: Seat, wins: int, games: int, round_: int = 0
    ) -> None:
        request = EvaluationRequested(
            config=CONFIG,
            generation=1,
            candidate=candidate,
            opponent=opponent,
            purpose=purpose,
            round=round_,
            starts=games // 2,
            seed=round_,
            settings_version=1,
        )
        (ticket,) = tickets_of(request, self.put(request))
        scored = replace(
            loop_facts.scored(purpose, 1, 1, round_=round_),
            ticket=ticket.ticket,
            scores=((wins / games, games // 2),),
            rankings=loop_facts.rankings(
                candidate.participant, opponent.participant, wins, games - wins
            ),
            candidate=candidate.participant,
            candidate_model=candidate.model,
            opponent=opponent.participant,
            games=games,
            wins=wins,
            play_seconds=1.5,
        )
        self.put(scored)

    def known(self) -> Measurements:
        found = Measurements(config=CONFIG)
        for recorded in self.events:
            found.take(recorded)
        return found


@pytest.fixture
def history() -> History:
    """A network of generation 1, measured by the loop against both baselines."""
    history = History()
    history.put(loop_facts.requested())
    history.put(loop_facts.registered(MODEL))
    history.match("random", replace(ME, simulations=32), RANDOM, 90, 96)
    history.match("heuristic", replace(ME, simulations=32), HEURISTIC, 50, 96)
    return history


def test_rounds_of_a_match_add_up_and_have_one_interval(history: History) -> None:
    history.match("strength", ME, HEURISTIC, 120, 200)
    history.match("strength", ME, HEURISTIC, 120, 200, round_=1)
    (row,) = history.known().report(MODEL).results
    assert (row.games, row.wins, row.score, row.play_seconds) == (400, 240, 0.6, 3.0)
    assert (round(row.low, 4), round(row.high, 4)) == (0.5513, 0.6468)  # Wilson at 240 of 400
    assert (row.fair, row.verdict) == (0.5, "stronger")


def test_the_curve_shows_only_the_evaluations_of_the_loop(history: History) -> None:
    history.match("strength", ME, RANDOM, 200, 200)
    report = history.known().report(MODEL)
    assert [row.opponent for row in report.results] == ["baseline:random:s0"]
    (point,) = report.curve
    assert point.random is not None
    assert point.random[0] == 90 / 96
    assert point.heuristic is not None
    assert point.heuristic[0] == 50 / 96


def test_a_match_without_a_result_has_no_row(history: History) -> None:
    before = history.known().report(MODEL)
    history.put(
        EvaluationRequested(
            config=CONFIG,
            generation=1,
            candidate=ME,
            opponent=RANDOM,
            purpose="strength",
            round=0,
            starts=1,
            seed=9,
            settings_version=1,
        )
    )
    assert history.known().report(MODEL) == before


def test_matches_of_other_networks_have_no_row(history: History) -> None:
    history.match("strength", seat("gumbel", model="cd" * 32, simulations=64), RANDOM, 1, 2)
    assert history.known().report(MODEL).results == ()


def test_the_page_shows_results_and_curve(history: History, tmp_path: Path) -> None:
    history.match("strength", ME, HEURISTIC, 240, 400)
    report = history.known().report(MODEL)
    page = markdown(report, "plot.png")
    players, numbers = "abababababab:gumbel:s64 | baseline:heuristic:s0", "400 | 60.0%"
    assert f"| {players} | {numbers} | 55.1% to 64.7% | 50.0% | stronger |" in page
    assert "| 1 | 0 | 93.8% (" in page
    score_over_games(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_a_ladder_is_ordered_by_player_and_budget(history: History) -> None:
    steps = [seat("gumbel", simulations=budget) for budget in (8, 16, 32)]
    history.match("ladder", steps[2], steps[1], 58, 100)
    history.match("ladder", steps[1], steps[0], 80, 100)
    history.match("ladder", ME, seat("gumbel", model=MODEL, simulations=32), 50, 100)
    found = [
        (rung.player, rung.budget, rung.below, rung.result.verdict)
        for rung in history.known().rungs()
    ]
    assert found == [
        ("gumbel with abababababab", 64, 32, "open"),
        ("gumbel with the heuristic", 16, 8, "stronger"),
        ("gumbel with the heuristic", 32, 16, "open"),
    ]


def beats(opponent: str, low: float, high: float) -> MatchResult:
    return MatchResult(
        candidate="me",
        opponent=opponent,
        games=100,
        wins=60,
        score=0.6,
        low=low,
        high=high,
        fair=0.5,
        play_seconds=1.0,
    )


def test_the_highest_tier_is_the_last_one_beaten_beyond_doubt() -> None:
    tiers = [("D1", "a"), ("D2", "b"), ("D3", "c")]
    assert highest_beaten([], tiers) is None
    assert (
        highest_beaten([beats("a", 0.6, 0.8), beats("b", 0.51, 0.7), beats("c", 0.5, 0.7)], tiers)
        == "D2"
    )
    assert (
        highest_beaten([beats("b", 0.6, 0.8)], tiers) is None
    )  # one that skipped D1 has shown nothing
    assert beats("a", 0.2, 0.4).verdict == "weaker"


def test_the_ten_tiers_have_rising_budgets_and_no_network() -> None:
    assert list(TIERS) == [f"D{number}" for number in range(1, 11)]
    budgets = [seat.simulations for seat in TIERS.values()]
    assert budgets == sorted(budgets)
    assert len({seat.participant for seat in TIERS.values()}) == 10
    assert all(seat.model is None for seat in TIERS.values())


def test_a_derived_network_is_measured_by_its_architecture() -> None:
    history, derived = History(), "cd" * 32
    made = ModelDerived(
        config=CONFIG,
        model=derived,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(MODEL,),
        method="transfer-2",
    )
    history.put(made)
    player = seat("gumbel", model=derived, simulations=64)
    history.match("strength", player, RANDOM, wins=60, games=64)
    known = Measurements(config=CONFIG)
    for recorded in history.events:
        known.take(recorded)
    assert known.model(derived[:8]) == derived
    report = known.report(derived)
    assert (report.generation, [row.wins for row in report.results]) == (0, [60])
