"""Pass rates and lengths of gates against reference figures."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.sprt_odds import StoppingRule, fixed_gate_pass_rate, gate_odds, stopping_rule

from ringrift.deciders.stats.sprt import Sprt

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "rating" / "rating_vectors.json").read_text()
)
ODDS = VECTORS["E_operating_characteristics"]
SIMULATED_GATES = 4000
"""How many gates the reference drew; its rates are multiples of 1 / 4000."""
GAMES_CAP = 5000


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


def test_the_stopping_rule_agrees_with_the_test(rule: StoppingRule) -> None:
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
