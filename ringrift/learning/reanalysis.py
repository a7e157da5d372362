"""Reanalysis: new targets for the decisions of old games (MuZero Reanalyze, Schrittwieser et al.
2020, appendix H)."""

import numpy as np

from ringrift.events.facts import GameCompleted
from ringrift.learning import targets
from ringrift.learning.play import target_of
from ringrift.learning.shards import GameRejected
from ringrift.rules import Config, Position, RulesError
from ringrift.search.players import Player
from ringrift.search.splitmix import seed_of


def reanalyse(game: GameCompleted, player: Player, seed: int) -> bytes:
    """Return new targets of the searched decisions of `game`, searched again by `player`; of all
    decisions of an imported game, where nothing says which were searched.

    They depend only on the game, the player, which should add no noise, and `seed`. Raises
    GameRejected, TargetsError."""
    config = Config.parse(game.config)
    plies = [decision.ply for decision in targets.decode(game.targets, game.plies)[1]]
    every, found = game.origin == "import", list[int]()
    position, wanted, states = Position.start(config, pie=game.pie), set(plies), []
    try:
        for ply, token in enumerate(game.moves.split()):
            if len(position.legal_codes()) > 1 if every else ply in wanted:
                found.append(ply)
                states.append(position.state.copy())
            position.play(token)
    except RulesError as error:
        raise GameRejected(str(error)) from error
    if not every and found != plies:
        raise GameRejected(f"it has targets for ply {plies[-1]}, but only {position.ply} plies")
    if not states:
        return targets.encode(config.seats, [])
    seeds = np.full(len(states), seed_of(seed, game.seed), np.uint64)
    decisions = player.choose(np.stack(states), seeds)
    pairs = zip(found, decisions, strict=True)
    return targets.encode(config.seats, [target_of(ply, decision) for ply, decision in pairs])
