"""Players by name, and errors that name what would work."""

import subprocess
import sys

import numpy as np
import pytest

from ringrift.nets.nnue.policy import no_weights
from ringrift.rules import Config, Position
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.harness import (
    HARNESSES,
    HarnessError,
    Model,
    Setup,
    compatible,
    make_player,
    root_moves,
)

HEX8 = Config.parse("hex8_2p")
SQUARE8_3P = Config.parse("square8_3p")


def flat(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
    return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)


def flat_for_three(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
    return np.zeros(len(codes), np.float32), np.zeros((len(states), 3), np.float32)


FLAT_NNUE = Model(flat, policy=False, nnue=no_weights())

GOOD = {
    "gumbel": Setup(evaluator="network", simulations=4, model=Model(flat)),
    "policy": Setup(evaluator="network", model=Model(flat)),
    "heuristic": Setup(evaluator="heuristic"),
    "random": Setup(evaluator="none"),
    "gpu_gumbel": Setup(evaluator="network", simulations=4, model=Model(flat)),
    "puct": Setup(evaluator="network", simulations=4, model=Model(flat)),
    "minimax": Setup(evaluator="nnue", simulations=20, model=FLAT_NNUE),
    "maxn": Setup(evaluator="heuristic", simulations=20),
    "brs": Setup(evaluator="network", simulations=20, model=Model(flat_for_three)),
    "descent": Setup(evaluator="network", simulations=20, model=Model(flat)),
}


@pytest.mark.parametrize("name", HARNESSES)
def test_every_harness_chooses_legal_moves(name: str) -> None:
    config = HEX8 if 2 in HARNESSES[name].seats else SQUARE8_3P
    player = make_player(config, name, GOOD[name])
    position = Position.start(config)
    decisions = player.choose(np.array([position.state] * 3), np.arange(3).astype(np.uint64))
    for decision in decisions:
        assert decision.move in position.legal_codes()
        assert decision.line[0] == decision.move
        assert (decision.nodes > 0) == (decision.depth > 0) == HARNESSES[name].searches
    assert player.searches == (name in ("gumbel", "gpu_gumbel", "puct"))


@pytest.mark.parametrize(
    ("name", "setup", "text"),
    [
        ("minimaxx", GOOD["random"], "unknown harness 'minimaxx'; the harnesses are gumbel"),
        (
            "policy",
            Setup(evaluator="heuristic"),
            "policy needs evaluator network or nnue, not 'heuristic'",
        ),
        ("random", Setup(evaluator="network", model=Model(flat)), "random needs evaluator none"),
        (
            "gumbel",
            Setup(evaluator="network", simulations=4),
            "evaluators 'network' and 'nnue' need a network",
        ),
        (
            "heuristic",
            Setup(evaluator="heuristic", model=Model(flat)),
            "evaluators 'network' and 'nnue' need a network",
        ),
        ("gumbel", Setup(evaluator="heuristic"), "gumbel needs at least 1 simulation"),
        ("random", Setup(evaluator="none", simulations=3), "0 simulations, as it does not search"),
        ("maxn", GOOD["maxn"], "harness maxn plays with 3 or 4 seats, not 2"),
        ("brs", GOOD["maxn"], "harness brs plays with 3 or 4 seats, not 2"),
        ("gumbel", GOOD["minimax"], "gumbel needs a model with a policy; without one use minimax"),
        (
            "policy",
            Setup(evaluator="nnue", model=FLAT_NNUE),
            "needs a model with a policy; without one use minimax",
        ),
        (
            "policy",
            Setup(evaluator="network", model=FLAT_NNUE),
            "the model is a nnue, for evaluator 'nnue', not 'network'",
        ),
        (
            "minimax",
            Setup(evaluator="network", simulations=20, model=FLAT_NNUE),
            "the model is a nnue, for evaluator 'nnue', not 'network'",
        ),
        (
            "minimax",
            Setup(evaluator="nnue", simulations=20, model=Model(flat)),
            "the model is a network, for evaluator 'network', not 'nnue'",
        ),
        ("minimax", Setup(evaluator="heuristic"), "minimax needs at least 1 simulation"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(name: str, setup: Setup, text: str) -> None:
    with pytest.raises(HarnessError, match=text):
        make_player(HEX8, name, setup)


def test_the_policy_plays_its_best_move_after_the_noisy_plies() -> None:
    position = Position.start(HEX8)
    best = int(position.legal_codes()[5])

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.where(codes == best, 0.5, 0.0).astype(np.float32), np.zeros(
            (len(states), 2), np.float32
        )

    def moves(noise_plies: int) -> set[int]:
        player = make_player(
            HEX8,
            "policy",
            Setup(evaluator="network", model=Model(evaluate), noise_plies=noise_plies),
        )
        return {
            decision.move
            for decision in player.choose(
                np.array([position.state] * 20), np.arange(20).astype(np.uint64)
            )
        }

    assert moves(0) == {best}
    assert len(moves(10)) > 5


def test_compatible_harnesses_of_each_kind_of_model() -> None:
    everywhere = ("gumbel", "gpu_gumbel", "puct", "policy", "descent")
    assert set(compatible("network", 2)) == {*everywhere, "minimax"}
    assert set(compatible("network", 4)) == {*everywhere, "maxn", "brs"}
    assert compatible("nnue", 2) == ("minimax",)
    assert compatible("nnue_policy", 3) == ("gumbel", "puct", "maxn", "brs", "policy")
    assert set(compatible("none", 2)) == {
        "gumbel",
        "gpu_gumbel",
        "puct",
        "minimax",
        "descent",
        "heuristic",
        "random",
    }
    with pytest.raises(HarnessError, match="unknown kind of model 'cnn'"):
        compatible("cnn", 2)


def test_gumbel_and_gpu_gumbel_are_the_same_search() -> None:
    """300 games in lockstep are the same as games one by one."""
    start = Position.start(HEX8).state
    seeds = np.arange(300).astype(np.uint64)
    setup = Setup(evaluator="heuristic", simulations=4, noise_plies=9)
    many = make_player(HEX8, "gpu_gumbel", setup).choose(np.tile(start, (300, 1)), seeds)
    player = make_player(HEX8, "gumbel", setup)
    for i in (0, 128, 299):
        (alone,) = player.choose(start[None], seeds[i : i + 1])
        assert (alone.move, alone.line) == (many[i].move, many[i].line)
    assert len({decision.move for decision in many}) > 20


def loaded_by(code: str) -> set[str]:
    """Names of the modules that a new interpreter has loaded after `code`."""
    code = f"import sys; {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_the_table_of_harnesses_needs_no_compiled_code() -> None:
    found = loaded_by("import ringrift.search.harness")
    assert not found & {"numba", "torch"}


def test_searches_need_no_torch() -> None:
    """They call the compiled kernels of NNUE, which must not import it."""
    found = loaded_by("import ringrift.search.depth_first.player, ringrift.search.boards")
    assert "torch" not in found
    assert "ringrift.nets.nnue.inference" in found


def test_the_moves_sampled_at_the_root_follow_the_budget() -> None:
    budgets = (1, 8, 16, 32, 64, 512)
    assert [root_moves(16, budget) for budget in budgets] == [2, 2, 4, 8, 16, 16]
    assert root_moves(4, 512) == 4
    player = make_player(HEX8, "gumbel", Setup(evaluator="heuristic", simulations=16, threads=1))
    (found,) = player.choose(Position.start(HEX8).state[None], np.zeros(1, np.uint64))
    assert np.count_nonzero(found.visits) == 4
