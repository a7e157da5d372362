"""The sequential test against reference verdicts and its own laws."""

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

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "rating" / "rating_vectors.json").read_text()
)
CASES = VECTORS["E_sprt"]["cases"]


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
    """Three seats: the sum of three placements in 0..6; the normalized model needs the games
    of a sample."""
    results = [3, 5, 9, 14, 12, 8, 5]
    assert evaluate(Sprt(0, 35), results).llr > 0
    assert Sprt(0, 35, model="normalized").llr(results, games_per_sample=3) > 0
    with pytest.raises(SprtError, match="games of a sample"):
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
