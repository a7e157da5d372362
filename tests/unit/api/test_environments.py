"""The game as an environment of PettingZoo and as a game of OpenSpiel, by the tests of both."""

from __future__ import annotations

import doctest
import importlib
import random
import sys

import numpy as np
import pytest

from ringrift.api import CONFIGS, Game, steps
from ringrift.api.steps import CHANNELS, Steps
from ringrift.rules import Config

pytest.importorskip("pettingzoo", reason="needs the extra `env`")
pyspiel = pytest.importorskip("pyspiel", reason="needs the extra `env`")

from pettingzoo.test import api_test, seed_test  # noqa: E402

from ringrift.api import openspiel, pettingzoo_env  # noqa: E402

HEX8 = "hex8_2p"
LARGE_CYCLES, CYCLES = 25, 300
"""actions of each agent; on the small boards the games end before"""
DICTIONARIES = (
    "ignore:Observation is not a NumPy array",
    "ignore:Observation space for each agent probably should be",
)
"""warnings about every environment with an action mask that is not PettingZoo's own"""


def cycles_of(config: str) -> int:
    return CYCLES if "8_" in config else LARGE_CYCLES


@pytest.mark.parametrize("module", [steps, pettingzoo_env, openspiel], ids=lambda one: one.__name__)
def test_the_examples_of_a_module_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted >= 4
    assert results.failed == 0


@pytest.mark.filterwarnings(*DICTIONARIES)
@pytest.mark.parametrize("config", CONFIGS)
def test_pettingzoo_accepts_the_environment(config: str) -> None:
    env = pettingzoo_env.env(config, render_mode="ansi")
    api_test(env, num_cycles=cycles_of(config))
    seed_test(lambda: pettingzoo_env.env(config), num_cycles=cycles_of(config))


@pytest.mark.slow
@pytest.mark.filterwarnings(*DICTIONARIES)
@pytest.mark.parametrize("config", [one for one in CONFIGS if "8_" not in one])
def test_pettingzoo_accepts_whole_games_on_large_boards(config: str) -> None:
    api_test(pettingzoo_env.env(config, render_mode="svg"), num_cycles=2000)
    seed_test(lambda: pettingzoo_env.env(config), num_cycles=2000)


@pytest.mark.parametrize("config", [HEX8, "square8_3p", "hex8_4p"])
def test_openspiel_accepts_the_game(config: str) -> None:
    game = pyspiel.load_game(f"ringrift(config={config})")
    pyspiel.random_sim_test(game, num_sims=1, serialize=True, verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize("pie", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_openspiel_accepts_every_config(config: str, pie: bool) -> None:
    if pie and Config.parse(config).seats > 2:
        pytest.skip("the pie rule is for two seats")
    game = pyspiel.load_game(f"ringrift(config={config},pie={pie})")
    pyspiel.random_sim_test(game, num_sims=3, serialize=True, verbose=False)


@pytest.mark.parametrize("config", [one for one in CONFIGS if "8_" in one])
def test_every_legal_move_is_one_sequence_of_actions(config: str) -> None:
    rng, game = random.Random(2), Game(config)
    while not game.over:
        moves = {move.token for move in game.legal()}
        codes = game.raw.legal_codes()
        parts = steps.actions_of(config).parts(codes)
        assert len(np.unique(parts, axis=0)) == len(moves)
        game.play(rng.choice(sorted(moves)))


def test_a_whole_game_is_rewarded_by_rank() -> None:
    env = pettingzoo_env.env("hex8_3p")
    env.reset(seed=1)
    rewards = dict.fromkeys(env.possible_agents, 0.0)
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(number)
    for agent in env.agent_iter():
        observation, reward, over, _, _ = env.last()
        rewards[agent] += reward
        mask = observation["action_mask"]
        env.step(None if over else env.action_space(agent).sample(mask))
    game = env.unwrapped.steps.game
    assert game.over
    assert tuple(rewards.values()) == game.rewards() == env.unwrapped.steps.rewards()
    assert max(rewards.values()) == 1.0


def test_an_illegal_action_ends_the_game_of_its_agent(caplog: pytest.LogCaptureFixture) -> None:
    env = pettingzoo_env.env(HEX8)
    env.reset()
    env.step(0)  # `place` is the kind of all moves here, and so chosen already
    assert "Illegal move made" in caplog.text
    assert env.rewards == {"player_0": -1.0, "player_1": 0}
    bare = pettingzoo_env.RingRift(HEX8)
    bare.reset()
    with pytest.raises(ValueError, match="action 0 is not legal: 61 others are"):
        bare.step(0)


def test_an_observation_shows_the_parts_that_are_chosen() -> None:
    one = Steps(Game(HEX8))
    before = one.observe(0)
    one.choose(one.actions.names.index("e5"))
    after = one.observe(0)
    assert before.shape == after.shape == (9, 9, CHANNELS)
    changed = np.argwhere(before != after)
    assert changed.tolist() == [[4, 4, steps.PLANES]]
    one.choose(one.actions.names.index("1"))
    # both see the ring, each from its own seat
    assert (one.observe(1) != one.observe(0)).any()


def test_after_a_swap_rewards_follow_the_players() -> None:
    one = Steps(Game(HEX8, pie=True))
    for name in ("e5", "1"):
        one.choose(one.actions.names.index(name))
    while one.game.seat == 1:
        one.choose(one.legal()[0])
    one.choose(one.actions.names.index("swap"))
    assert one.game.raw.text().startswith("hex8")
    one.game.play("resign")  # seat 2, where the first player is now
    assert (one.game.winner, one.rewards()) == (1, (-1.0, 1.0))


@pytest.mark.parametrize(
    ("module", "missing"), [(pettingzoo_env, "pettingzoo"), (openspiel, "pyspiel")]
)
def test_without_the_extra_the_remedy_is_named(
    module: object, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module.__name__)  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=r"needs the extra `env`: pip install 'ringrift\[env\]'"):
        importlib.import_module(module.__name__)  # type: ignore[attr-defined]
