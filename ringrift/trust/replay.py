"""Recorded games, searched again: does the search that a game names choose its moves and give its
targets?

Moves and targets of a decision follow from the position, the seat's player and the game's seed. On
one kind of machine, with the same number of positions at once, they are equal bit for bit. With a
network, other batch sizes, threads, processors or GPUs round differently; a search then meets ties
and near ties in another order. How much of that is usual is measured (`ringrift bench trust`)."""

import random
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from msgspec import Struct

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning.play import player_of, target_of
from ringrift.learning.shards import check_game
from ringrift.learning.targets import Decision, decode, encode
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.notation import tokens
from ringrift.search.harness import Model

POLICY_DISTANCE_MAX = 0.35
"""between the improved policy and that of the repeated search, half the sum of absolute
differences"""
VALUE_DISTANCE_MAX = 0.25
AGREEING_MIN = 0.75
"""of the decisions of a game; honest games had more than 0.9, those of another network less"""
Models = Callable[[str], Awaitable[Model]]
"""Returns the network with a digest."""


class Repeated(Struct, frozen=True, kw_only=True):
    """One decision that was searched again."""

    ply: int
    token: str
    """the recorded move"""
    found: str
    """the move that the repeated search chose"""
    policy_distance: float
    """0: the same improved policy; 1: no move in common"""
    value_distance: float
    """largest difference of a root value"""
    equal: bool
    """bit for bit"""

    @property
    def verdict(self) -> str:
        """The comparison in a word."""
        return "equal" if self.equal else "agrees" if self.agrees else "differs"

    @property
    def agrees(self) -> bool:
        """Whether the difference is what another machine may cause. The move alone proves nothing:
        near ties are decided by the last bit."""
        near = self.policy_distance <= POLICY_DISTANCE_MAX
        return self.equal or (near and self.value_distance <= VALUE_DISTANCE_MAX)


def holds(game: GameCompleted, found: Sequence[Repeated]) -> bool:
    """Whether repeated searches are what the game says: all equal without a network, and with one
    nearly all within the tolerance."""
    if not any(seat.model for seat in game.seats):
        return all(item.equal for item in found)
    return sum(item.agrees for item in found) >= AGREEING_MIN * len(found)


def sampled(game: GameCompleted, count: int, seed: str) -> list[int]:
    """The plies of `count` searched decisions of a game, or of all, chosen by a seed."""
    plies = [decision.ply for decision in decode(game.targets, game.plies)[1]]
    chosen = random.Random(f"{seed} {game.game}").sample(plies, min(count, len(plies)))
    return sorted(chosen)


async def repeat(
    game: GameCompleted, plies: Sequence[int], models: Models, *, threads: int | None = None
) -> list[Repeated]:
    """Search decisions of a game again. Raises GameRejected if the game does not replay at all,
    HarnessError, and what `models` raises."""
    check_game(game)
    config = Config.parse(game.config)
    recorded = {decision.ply: decision for decision in decode(game.targets, game.plies)[1]}
    by_seat: dict[Seat, list[tuple[int, la.Words]]] = {}
    position = Position.start(config, pie=game.pie)
    for ply, token in enumerate(game.moves.split()):
        if ply in plies:
            by_seat.setdefault(_seat_of(game, position), []).append((ply, position.state.copy()))
        position.play(token)
    found = []
    for seat, asked in by_seat.items():
        model = await models(seat.model) if seat.model else None
        player = player_of(config, seat, model, threads)
        seeds = np.full(len(asked), game.seed, np.uint64)
        decisions = player.choose(np.stack([state for _, state in asked]), seeds)
        for (ply, _), decision in zip(asked, decisions, strict=True):
            (move,) = tokens(config, np.array([decision.move], np.int64))
            again = decode(encode(config.seats, [target_of(ply, decision)]), game.plies)[1][0]
            found.append(_compared(ply, game.moves.split()[ply], move, recorded[ply], again))
    return sorted(found, key=lambda item: item.ply)


def _seat_of(game: GameCompleted, position: Position) -> Seat:
    """The player to move; after a swap by the pie rule the two have exchanged seats."""
    seat = int(position.state[la.TURN])
    return game.seats[2 - seat if position.state[la.SWAPPED] else seat - 1]


def _compared(ply: int, token: str, found: str, old: Decision, new: Decision) -> Repeated:
    moves = np.union1d(old.indices, new.indices)
    policies = np.zeros((2, len(moves)))
    for row, decision in enumerate((old, new)):
        policies[row, np.searchsorted(moves, decision.indices)] = decision.probabilities
    equal = (
        token == found
        and np.array_equal(old.indices, new.indices)
        and np.array_equal(old.probabilities, new.probabilities)
        and np.array_equal(old.values, new.values)
    )
    return Repeated(
        ply=ply,
        token=token,
        found=found,
        policy_distance=float(np.abs(policies[0] - policies[1]).sum() / 2),
        value_distance=float(np.abs(old.values - new.values).max()),
        equal=equal,
    )
