"""The game for OpenSpiel, with `ringrift[env]`; importing this module registers it.

    >>> import pyspiel
    >>> import ringrift.api.openspiel
    >>> state = pyspiel.load_game("ringrift(config=hex8_3p)").new_initial_state()
    >>> state.current_player(), state.action_to_string(state.legal_actions()[0])
    (0, 'a5')

The parameters are `config` and `pie`. An action is one part of a move (`ringrift.api.steps`), so a
player may act several times in turn; moves and parts without a choice are played automatically.
Returns are by rank: 1 for the winner, -1 for the last, evenly spaced between them; with three and
four seats they need not sum to 0, because seats may share a rank."""

from typing import Any

try:
    import pyspiel
    from open_spiel.python.observation import IIGObserverForPublicInfoGame
except ImportError as error:
    raise ImportError(
        f"the game for OpenSpiel needs the extra `env`: pip install 'ringrift[env]' ({error})"
    ) from error

import numpy as np

from ringrift.api.game import CONFIGS, Game
from ringrift.api.steps import CHANNELS, PARTS_MAX, Steps, actions_of
from ringrift.learning.targets import PLIES_MAX
from ringrift.rules import Config

NAME = "ringrift"


def game_type(seats_min: int, seats_max: int) -> Any:
    """Return what OpenSpiel wants to know about all games of the adapter."""
    kind = pyspiel.GameType
    zero_sum = seats_max == 2
    return kind(
        short_name=NAME,
        long_name="RingRift",
        dynamics=kind.Dynamics.SEQUENTIAL,
        chance_mode=kind.ChanceMode.DETERMINISTIC,
        information=kind.Information.PERFECT_INFORMATION,
        utility=kind.Utility.ZERO_SUM if zero_sum else kind.Utility.GENERAL_SUM,
        reward_model=kind.RewardModel.TERMINAL,
        min_num_players=seats_min,
        max_num_players=seats_max,
        provides_information_state_string=True,
        provides_information_state_tensor=False,
        provides_observation_string=True,
        provides_observation_tensor=True,
        parameter_specification={"config": "hex8_2p", "pie": False},
    )


class RingRiftGame(pyspiel.Game):  # type: ignore[misc]
    """A config as a game of OpenSpiel. Raises ConfigError for an unknown one."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        given = {"config": CONFIGS[6], "pie": False, **(params or {})}
        self.config, self.pie = str(given["config"]), bool(given["pie"])
        kind = Config.parse(self.config)
        info = pyspiel.GameInfo(
            num_distinct_actions=len(actions_of(self.config)),
            max_chance_outcomes=0,
            num_players=kind.seats,
            min_utility=-1.0,
            max_utility=1.0,
            utility_sum=0.0 if kind.seats == 2 else None,
            max_game_length=PLIES_MAX * PARTS_MAX,
        )
        super().__init__(game_type(kind.seats, kind.seats), info, params or {})

    def new_initial_state(self, state: Any = None) -> "RingRiftState":
        """Return the start position; others cannot be given."""
        return RingRiftState(self, Steps(Game(self.config, pie=self.pie)))

    def make_py_observer(self, iig_obs_type: Any = None, params: Any = None) -> Any:
        """Return an observer of the whole position."""
        if iig_obs_type is None or (iig_obs_type.public_info and not iig_obs_type.perfect_recall):
            return Observer(self.config)
        return IIGObserverForPublicInfoGame(iig_obs_type, params)


class RingRiftState(pyspiel.State):  # type: ignore[misc]
    """A position, and the parts of a move that are chosen already."""

    def __init__(self, game: RingRiftGame, steps: Steps) -> None:
        super().__init__(game)
        self.steps = steps

    def current_player(self) -> int:
        over = self.steps.game.over
        return int(pyspiel.PlayerId.TERMINAL) if over else self.steps.game.player

    def _legal_actions(self, player: int) -> list[int]:
        return self.steps.legal()

    def _apply_action(self, action: int) -> None:
        self.steps.choose(action)

    def _action_to_string(self, player: int, action: int) -> str:
        return self.steps.actions.names[action]

    def is_terminal(self) -> bool:
        return self.steps.game.over

    def returns(self) -> list[float]:
        return list(self.steps.rewards())

    def __str__(self) -> str:
        return self.steps.text()


class Observer:
    """Writes `Steps.observe` to a tensor."""

    def __init__(self, config: str) -> None:
        width = Config.parse(config).shape.width
        self.tensor = np.zeros(width * width * CHANNELS, np.float32)
        self.dict = {"observation": self.tensor.reshape(width, width, CHANNELS)}

    def set_from(self, state: RingRiftState, player: int) -> None:
        """Observe a state as a player sees it."""
        self.dict["observation"][:] = state.steps.observe(player)

    def string_from(self, state: RingRiftState, player: int) -> str:
        """Return the position as text; it hides nothing from any player."""
        return str(state)


pyspiel.register_game(game_type(2, 4), RingRiftGame)
