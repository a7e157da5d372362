"""Networks, and players that search with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ringrift.api.game import Game
from ringrift.learning.families import checkpoint_of
from ringrift.learning.models import model_of
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules import Config, Position
from ringrift.search import harness as harnesses
from ringrift.search.harness import HARNESSES, Setup
from ringrift.search.players import Decision

BUDGET = 128
"""Simulations or positions of a decision by default."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network says about a position without searching.

    values  by seat, in -1..1: 1 is a certain win
    policy  probability of each legal move by its token; equal if the network has no policy
    """

    values: tuple[float, ...]
    policy: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search.

    move    token of the move to play
    values  by seat, in -1..1
    policy  probability of each legal move by its token, after the search
    visits  how often each move was searched
    line    the principal variation from `move` on, without forced moves
    nodes   positions evaluated
    depth   decisions that the search looked ahead
    """

    move: str
    values: tuple[float, ...]
    policy: Mapping[str, float]
    visits: Mapping[str, int]
    line: tuple[str, ...]
    nodes: int
    depth: int


class Network:
    """A trained network. `digest` is its name everywhere: the SHA-256 of its bytes.

    >>> from ringrift.api import Game, Network, Player
    >>> Network.fresh("hex8_2p").save("fresh.safetensors")
    >>> network = Network.load("fresh.safetensors")
    >>> network.config, network.architecture, network.parameters
    ('hex8_2p', 'v2-micro', 127396)
    >>> player = Player("hex8_2p", "gumbel", network=network, budget=16)
    >>> player.search(Game("hex8_2p"), seed=1).depth > 0
    True
    """

    def __init__(self, data: bytes) -> None:
        """Read the bytes of a checkpoint. Raises CheckpointError."""
        found = checkpoint_of(data)
        self.digest = found.digest
        self.config = found.header.config_key
        self.architecture = found.header.architecture
        self.parents = found.header.parents
        self.notes = found.header.notes
        self.data = data
        self.parameters = sum(weights.size for weights in found.weights.values())
        self.model = model_of(data, digest=self.digest, config=self.config)

    @classmethod
    def load(cls, path: str | Path) -> "Network":
        """Return the network in a file, such as one written by `ringrift train --output`. Raises
        CheckpointError, OSError."""
        return cls(Path(path).read_bytes())

    @classmethod
    def fresh(cls, config: str, architecture: str = "v2-micro", seed: int = 0) -> "Network":
        """Return a network with random weights, which depend only on `seed`. Raises ConfigError,
        UnknownArchitecture.

        >>> Network.fresh("hex8_2p").architecture
        'v2-micro'
        """
        kind = Config.parse(config)
        network = build(architecture, hex_board=kind.shape.hex, seed=seed)
        return cls(TowerCheckpoint.save(network, architecture=architecture, config=kind))

    def save(self, path: str | Path) -> None:
        """Write the network to a file. Raises OSError."""
        Path(path).write_bytes(self.data)

    def evaluate(self, game: Game) -> Evaluation:
        """Return values and policy of a game that is not over. Raises ValueError.

        >>> found = Network.fresh("hex8_2p").evaluate(Game("hex8_2p"))
        >>> len(found.values), round(sum(found.policy.values()), 3)
        (2, 1.0)
        """
        position = _running(game, self.config)
        codes = position.legal_codes()
        offsets = np.array([0, len(codes)], np.int64)
        logits, values = self.model.evaluate(position.state[None], codes, offsets)
        shares = np.exp(logits - logits.max()) if self.model.policy else np.ones(len(codes))
        policy = dict(zip(position.legal(), (shares / shares.sum()).tolist(), strict=True))
        return Evaluation(tuple(values[0].tolist()), policy)

    def __repr__(self) -> str:
        return f"<Network {self.digest[:12]} {self.architecture} for {self.config}>"


class Player:
    """Chooses moves in games of one config.

    >>> player = Player("hex8_2p", "gumbel", budget=16)
    >>> found = player.search(Game("hex8_2p"), seed=1)
    >>> found.move in found.policy, found.nodes > 0, len(found.values)
    (True, True, 2)
    """

    def __init__(
        self,
        config: str,
        harness: str = "gumbel",
        *,
        network: Network | None = None,
        budget: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Make a player with one of the harnesses that `ringrift harnesses` lists.

        Without a `network` the handcrafted heuristic evaluates positions. One of another config
        plays as it is, untrained for this one. `budget` is the number of
        simulations (Gumbel) or positions (other searches) of a decision, by default `BUDGET`, and 0
        for harnesses that do not search. `threads` are those of the compiled part, by default all
        cores. Raises ConfigError, HarnessError."""
        self.config, self.harness, self.network = config, harness, network
        kind = HARNESSES.get(harness)
        model = network.model if network else None
        if network is not None and network.config != config:
            model = model_of(network.data, digest=network.digest, config=config)
        evaluator = "none" if harness == "random" else "heuristic"
        if model is not None:
            evaluator = "nnue" if model.nnue is not None else "network"
        simulations = BUDGET if budget is None and kind and kind.searches else budget or 0
        setup = Setup(evaluator=evaluator, simulations=simulations, threads=threads, model=model)
        self._player = harnesses.make_player(Config.parse(config), harness, setup)

    def search(self, game: Game, *, seed: int = 0) -> Search:
        """Return the player's decision in a game that is not over; the same seed gives the same
        decision. Raises ValueError."""
        return self.search_all([game], seeds=[seed])[0]

    def search_all(self, games: Sequence[Game], *, seeds: Sequence[int]) -> list[Search]:
        """Return the decisions in several games, searched together: one call of the network
        evaluates the positions of all. Raises ValueError.

        >>> games = [Game("square8_2p") for _ in range(3)]
        >>> found = Player("square8_2p", "random").search_all(games, seeds=[1, 2, 3])
        >>> len({decision.move for decision in found})
        3
        """
        positions = [_running(game, self.config) for game in games]
        states = np.stack([position.state for position in positions])
        decisions = self._player.choose(states, np.array(seeds, np.uint64))
        return [_search(one, found) for one, found in zip(positions, decisions, strict=True)]

    def __repr__(self) -> str:
        return f"<Player {self.harness} for {self.config}>"


def play_out(game: Game, players: Sequence[Player], *, seed: int = 0) -> Game:
    """Play a game to its end, seat 1 by the first of `players` and so on; return the same game.

    After a swap by the pie rule the two players have exchanged seats. Raises ValueError.

    >>> chance = Player("square8_3p", "random")
    >>> game = play_out(Game("square8_3p"), [chance] * 3, seed=7)
    >>> game.over, sorted(game.ranks())[0]
    (True, 1)
    """
    if len(players) != game.seats:
        raise ValueError(f"{game.config} has {game.seats} seats; got {len(players)} players")
    while not game.over:
        game.play(players[game.player].search(game, seed=seed).move)
        game.play_forced()
    return game


def _running(game: Game, config: str) -> Position:
    if game.config != config:
        raise ValueError(f"this is a game of {game.config}, not {config}")
    if game.over:
        raise ValueError("the game is over")
    return game.raw


def _search(position: Position, found: Decision) -> Search:
    tokens = [position.token(int(code)) for code in found.moves]
    return Search(
        move=position.token(found.move),
        values=tuple(found.values.tolist()),
        policy=dict(zip(tokens, found.policy.tolist(), strict=True)),
        visits=dict(zip(tokens, found.visits.tolist(), strict=True)),
        line=tuple(map(position.token, found.line)),
        nodes=found.nodes,
        depth=found.depth,
    )
