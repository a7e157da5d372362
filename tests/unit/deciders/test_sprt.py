import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringrift.deciders.stats.sprt import (
    Sprt,
    SprtError,
    distribution,
    elo_of_score,
    evaluate,
    moments,
    score_of_elo,
)
from ringrift.deciders.stats.sprt_bias import (
    _by_images,
    _by_series,
    outcome_probability,
    unbiased_elo,
)
from ringrift.deciders.stats.sprt_odds import (
    StoppingRule,
    fixed_gate_pass_rate,
    gate_odds,
    stopping_rule,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "rating" / "rating_vectors.json").read_text()
)
CASES = VECTORS["E_sprt"]["cases"]
ODDS = VECTORS["E_operating_characteristics"]
SIMULATED_GATES = 4000
"""How many gates the reference drew; its rates are multiples of 1 / 4000."""
GAMES_CAP = 5000


def _test_of(case: dict[str, Any]) -> Sprt:
    return Sprt(case["elo0"], case["elo1"], case["alpha"], case["beta"], case["model"])


def _name(case: dict[str, Any]) -> str:
    return f"{case['results']}-{case['elo0']}-{case['elo1']}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_reference_verdicts(case: dict[str, Any]) -> None:
    result = evaluate(_test_of(case), case["results"])
    assert result.llr == pytest.approx(case["llr"], abs=VECTORS["E_sprt"]["tolerance"]["llr_abs"])
    assert (result.lower, result.upper, result.state) == (
        case["lower"],
        case["upper"],
        case["state"],
    )
    assert result.elo == pytest.approx(case["elo"], abs=1e-9)
    assert result.elo_95_half_width == pytest.approx(case["elo_95_half_width"], abs=1e-9)
    assert result.los == pytest.approx(case["los"], abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_reference_unbiased_elo(case: dict[str, Any]) -> None:
    """The reference sums the first mirror images only; ours is exact, which moves far tails by up
    to 0.05 Elo."""
    estimate = unbiased_elo(_test_of(case), case["results"])
    assert estimate.elo == pytest.approx(case["sprt_elo_median_unbiased"], abs=0.05)
    assert [estimate.low, estimate.high] == pytest.approx(case["sprt_ci95"], abs=0.05)


@pytest.mark.parametrize("pull", [-6.0, -0.5, 0.0, 1e-9, 2.0, 8.0])
@pytest.mark.parametrize("tau", [0.3, 1.0, 2.0])
def test_images_and_series_agree(pull: float, tau: float) -> None:
    for start in (0.1, 0.5):
        for at in (0.0, 0.4, 1.0):
            assert _by_images(start, at, pull, tau) == pytest.approx(
                _by_series(start, at, pull, tau), abs=1e-9
            )


def test_outcome_probability_of_a_long_walk_is_walds() -> None:
    """Driftless from 0 between -1 and 3, the lower end is reached first with probability 3/4."""
    assert outcome_probability(-1.0, 3.0, 0.0, 1.0, 1e4, -1.0) == pytest.approx(0.75)


@pytest.fixture(scope="module")
def rule() -> StoppingRule:
    return stopping_rule(Sprt(0, 35), GAMES_CAP)


@pytest.mark.parametrize("case", ODDS["sprt_0_35"], ids=lambda case: str(case["true_elo"]))
def test_reference_operating_characteristics(rule: StoppingRule, case: dict[str, Any]) -> None:
    odds = gate_odds(rule, case["true_elo"])
    for found, expected in (
        (odds.pass_rate, case["pass_rate"]),
        (odds.undecided, case["undecided"]),
    ):
        noise = math.sqrt(found * (1 - found) / SIMULATED_GATES) + 1 / SIMULATED_GATES
        assert expected == pytest.approx(found, abs=4 * noise)
    assert case["mean_games"] == pytest.approx(odds.mean_games, rel=0.05)
    assert case["p95_games"] == pytest.approx(odds.p95_games, rel=0.06)


def test_stopping_rule_is_the_test_itself(rule: StoppingRule) -> None:
    test = Sprt(0, 35)
    for games in (1, 10, 80, 300):
        for wins in range(games + 1):
            state = test.state(test.llr([games - wins, 0, wins]))
            expected = "accepted" if wins >= rule.accept_at[games] else "rejected"
            assert state == (
                expected if not rule.reject_at[games] < wins < rule.accept_at[games] else ""
            )


@pytest.mark.parametrize("games", [50, 400])
def test_reference_fixed_gates(games: int) -> None:
    for case in ODDS[f"fixed_{games}_games_55pct"]:
        assert fixed_gate_pass_rate(case["true_elo"], games, 0.55) == pytest.approx(
            case["pass_rate"], abs=1e-10
        )


@pytest.mark.parametrize("model", ["logistic", "normalized"])
def test_error_rates_hold_on_correlated_pairs(model: Any) -> None:
    """Pairs drawn at exactly elo0 pass about alpha of the time: the reason for pentanomial
    counts."""
    generator = np.random.default_rng(7)
    test = Sprt(0.0, 60.0, model=model)
    pairs = generator.multinomial(1, [0.15, 0.05, 0.6, 0.05, 0.15], size=(200, 600)).cumsum(axis=1)
    passed = 0
    for gate in pairs:
        verdicts = (test.state(test.llr([float(n) for n in gate[at]])) for at in range(9, 600, 20))
        passed += next((verdict for verdict in verdicts if verdict), "") == "accepted"
    assert passed / len(pairs) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(pairs))


def test_swapping_sides_mirrors_the_estimate() -> None:
    forward = evaluate(Sprt(-10, 10), [20, 60, 120, 90, 35])
    backward = evaluate(Sprt(-10, 10), [35, 90, 120, 60, 20])
    assert forward.llr == pytest.approx(-backward.llr)
    assert forward.elo == pytest.approx(-backward.elo)
    assert forward.los == pytest.approx(1 - backward.los)


def test_placement_scores_of_more_seats() -> None:
    """Three seats: the sum of three placements in 0..6; the normalized model must be told the games
    of a sample."""
    results = [3, 5, 9, 14, 12, 8, 5]
    assert evaluate(Sprt(0, 35), results).llr > 0
    assert Sprt(0, 35, model="normalized").llr(results, games_per_sample=3) > 0
    with pytest.raises(SprtError, match="how many games"):
        Sprt(0, 35, model="normalized").llr(results)


def test_elo_and_score_are_inverse() -> None:
    assert elo_of_score(score_of_elo(123.4)) == pytest.approx(123.4)
    assert [elo_of_score(1.0), -elo_of_score(0.0)] == pytest.approx([400 * math.log10(999)] * 2)


def test_moments_of_counts() -> None:
    total, pdf = distribution([1, 2, 1])
    assert (total, moments(pdf)) == (4, (0.5, 0.125))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((10, 0, 0.05, 0.05, "logistic"), "elo0 below elo1"),
        ((0, 10, 0.0, 0.05, "logistic"), "above 0"),
        ((0, 10, 0.6, 0.5, "logistic"), "sum below 1"),
        ((0, 10, 0.05, 0.05, "bayes"), "logistic or normalized"),
        ((0, math.nan, 0.05, 0.05, "logistic"), "finite"),
    ],
)
def test_bad_tests_are_refused(bounds: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SprtError, match=message):
        Sprt(*bounds)


@pytest.mark.parametrize("results", [[1], [0, 0, 0], [1, -1, 2], [1, math.nan, 2]])
def test_bad_results_are_refused(results: list[float]) -> None:
    with pytest.raises(SprtError):
        evaluate(Sprt(0, 35), results)
