"""Players by name, and refusals that say what would work."""

import numpy as np
import pytest

from ringrift.rules import Config, Position
from ringrift.search.gumbel import Floats
from ringrift.search.harness import HARNESSES, HarnessError, Setup, make_player
from ringrift.search.players import Codes, States

HEX8 = Config.parse("hex8_2p")


def flat(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
    return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)


GOOD = {
    "gumbel": Setup(evaluator="network", simulations=4, evaluate=flat),
    "policy": Setup(evaluator="network", evaluate=flat),
    "heuristic": Setup(evaluator="heuristic"),
    "random": Setup(evaluator="none"),
}


@pytest.mark.parametrize("name", HARNESSES)
def test_every_harness_chooses_legal_moves(name: str) -> None:
    player = make_player(HEX8, name, GOOD[name])
    position = Position.start(HEX8)
    decisions = player.choose(np.array([position.state] * 3), np.arange(3).astype(np.uint64))
    assert all(decision.move in position.legal_codes() for decision in decisions)
    assert player.searches == (name == "gumbel")


@pytest.mark.parametrize(
    ("name", "setup", "text"),
    [
        ("minimaxx", GOOD["random"], "unknown harness 'minimaxx'; there are gumbel"),
        ("policy", Setup(evaluator="heuristic"), "policy needs evaluator network, not 'heuristic'"),
        ("random", Setup(evaluator="network", evaluate=flat), "random needs evaluator none"),
        ("gumbel", Setup(evaluator="network", simulations=4), "a network goes with evaluator 'network'"),
        ("heuristic", Setup(evaluator="heuristic", evaluate=flat), "a network goes with evaluator 'network'"),
        ("gumbel", Setup(evaluator="heuristic"), "gumbel needs at least 1 simulation"),
        ("random", Setup(evaluator="none", simulations=3), "does not search"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, setup: Setup, text: str) -> None:
    with pytest.raises(HarnessError, match=text):
        make_player(HEX8, name, setup)


def test_the_policy_plays_its_best_move_after_the_noise() -> None:
    position = Position.start(HEX8)
    best = int(position.legal_codes()[5])

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.where(codes == best, 0.5, 0.0).astype(np.float32), np.zeros((len(states), 2), np.float32)

    def moves(noise_plies: int) -> set[int]:
        player = make_player(HEX8, "policy", Setup(evaluator="network", evaluate=evaluate, noise_plies=noise_plies))
        return {decision.move for decision in player.choose(np.array([position.state] * 20), np.arange(20).astype(np.uint64))}

    assert moves(0) == {best}
    assert len(moves(10)) > 5
