"""The game as an environment of PettingZoo (agent environment cycle), for `ringrift[env]`.

    >>> from ringrift.api.pettingzoo_env import env
    >>> game = env("hex8_3p")
    >>> game.reset(seed=1)
    >>> observation, reward, termination, truncation, info = game.last()
    >>> game.step(game.action_space(game.agent_selection).sample(observation["action_mask"]))

An agent is a player: `player_0` has seat 1, until a swap by the pie rule. An action is one part of
a move (`ringrift.api.steps`), so that an agent may act several times in turn; moves and parts
without a choice are played automatically. An observation has `observation` (`Steps.observe`: as
seen by the agent) and `action_mask`, which is zero for agents that are not to act. Rewards come
with the end, by rank: 1 for the winner, -1 for the last, evenly spaced between them."""

from typing import Any

try:
    from gymnasium.spaces import Box, Dict, Discrete
    from pettingzoo import AECEnv
    from pettingzoo.utils import wrappers
except ImportError as error:
    raise ImportError(
        f"the environment needs the extra `env`: pip install 'ringrift[env]' ({error})"
    ) from error

import numpy as np

from ringrift.api.game import Game
from ringrift.api.steps import CHANNELS, VALUE_MAX, Steps, actions_of
from ringrift.rules import Config

ILLEGAL_REWARD = -1.0


def env(config: str = "hex8_2p", *, pie: bool = False, render_mode: str | None = None) -> Any:
    """Return the environment with PettingZoo's usual checks: an illegal action ends the game with
    reward -1 for its agent. Raises ConfigError."""
    checked = wrappers.TerminateIllegalWrapper(
        RingRift(config, pie=pie, render_mode=render_mode), illegal_reward=ILLEGAL_REWARD
    )
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(checked))


class RingRift(AECEnv):  # type: ignore[misc]
    """The environment without checks; illegal actions raise ValueError."""

    def __init__(self, config: str, *, pie: bool = False, render_mode: str | None = None) -> None:
        """`render_mode` is `ansi` (text) or `svg`. Raises ConfigError."""
        super().__init__()
        kind, actions = Config.parse(config), len(actions_of(config))
        self.config, self.pie, self.render_mode = config, pie, render_mode
        self.metadata = {
            "name": f"ringrift_{config}_v0",
            "render_modes": ["ansi", "svg"],
            "is_parallelizable": False,
        }
        self.possible_agents = [f"player_{player}" for player in range(kind.seats)]
        shape = (kind.shape.width, kind.shape.width, CHANNELS)
        self.action_spaces = {agent: Discrete(actions) for agent in self.possible_agents}
        self.observation_spaces = {
            agent: Dict(
                observation=Box(-1.0, VALUE_MAX, shape, np.float32),
                action_mask=Box(0, 1, (actions,), np.int8),
            )
            for agent in self.possible_agents
        }

    def observation_space(self, agent: str) -> Dict:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a game; the game has no chance, so `seed` changes nothing."""
        self.steps = Steps(Game(self.config, pie=self.pie))
        self.agents = self.possible_agents.copy()
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = self._to_act()

    def _to_act(self) -> str:
        return self.possible_agents[self.steps.game.player]

    def observe(self, agent: str) -> dict[str, Any]:
        acts = not self.steps.game.over and agent == self._to_act()
        mask = self.steps.mask()
        return {
            "observation": self.steps.observe(self.possible_agents.index(agent)),
            "action_mask": mask if acts else np.zeros_like(mask),
        }

    def step(self, action: int | None) -> None:
        """Choose one part of a move. Raises ValueError."""
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        assert action is not None
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        self.steps.choose(int(action))
        if self.steps.game.over:
            self.rewards = dict(zip(self.agents, self.steps.rewards(), strict=True))
            self.terminations = dict.fromkeys(self.agents, True)
        else:
            self.agent_selection = self._to_act()
        self._accumulate_rewards()

    def render(self) -> str | None:
        """Return the position in the render mode, None without one."""
        game = self.steps.game
        if self.render_mode is None:
            return None
        return game.svg() if self.render_mode == "svg" else str(game)

    def close(self) -> None:
        """There is nothing to close."""
