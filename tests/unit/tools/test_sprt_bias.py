"""Elo after a sequential test, without the bias of stopping early."""

import json
from pathlib import Path
from typing import Any

import pytest

from ringrift.deciders.stats.sprt import Sprt
from ringrift.tools.sprt_bias import _by_images, _by_series, outcome_probability, unbiased_elo

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "rating" / "rating_vectors.json").read_text()
)
CASES = VECTORS["E_sprt"]["cases"]


def _test_of(case: dict[str, Any]) -> Sprt:
    return Sprt(case["elo0"], case["elo1"], case["alpha"], case["beta"], case["model"])


def _name(case: dict[str, Any]) -> str:
    return f"{case['results']}-{case['elo0']}-{case['elo1']}"


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


def test_the_outcome_of_a_long_walk_has_walds_probability() -> None:
    """Driftless from 0 between -1 and 3, the lower end is reached first with probability 3/4."""
    assert outcome_probability(-1.0, 3.0, 0.0, 1.0, 1e4, -1.0) == pytest.approx(0.75)
