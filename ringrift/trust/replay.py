"""Recorded games, searched again: does the search that a game names choose its moves and give its
targets?

Moves and targets of a decision follow from the position, the seat's player and the game's seed. On
one kind of machine, with the same number of positions at once, they are equal bit for bit. With a
network, other batch sizes, threads, processors or GPUs round differently; a search then meets ties
and near ties in another order. How much of that is usual is measured (`ringrift bench trust`)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning.play import player_of, target_of
from ringrift.learning.shards import check_game
from ringrift.learning.targets import Decision, decode, encode
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.notation import parse_token, token as token_of
from ringrift.search.harness import LOCKSTEP, Model
from ringrift.search.players import Decision as Searched, Player

POLICY_DISTANCE_MAX = 0.2
"""between the improved policy and that of the repeated search, half the sum of absolute
differences"""
VALUE_DISTANCE_MAX = 0.25
MOVE_SHARE_MIN = 0.5
"""of the probability of the move that the repeated search chose, which the recorded one has"""
AGREEING_MIN = 0.75
"""of the decisions of a game with noise, and of those without; of a network in bfloat16 compared
with float32, 0.96 or more agreed"""
DIFFERING_MIN = 3
"""fewer prove nothing: near ties are decided by the last bit"""
Models = Callable[[str, str], Awaitable[Model]]
"""Returns the network with a digest, for a config."""
Asked = tuple[GameCompleted, Sequence[int]]
"""A game, and the plies of the decisions to search again."""


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
    move_share: float
    """probability of the recorded move, relative to that of `found`, in the repeated policy; with
    noise, where the seed decides, 1 if they are the same and else 0"""
    equal: bool
    """bit for bit"""

    @property
    def verdict(self) -> str:
        """The comparison in a word."""
        return "equal" if self.equal else "agrees" if self.agrees else "differs"

    @property
    def agrees(self) -> bool:
        """Whether the difference is what another machine may cause."""
        near = self.policy_distance <= POLICY_DISTANCE_MAX
        near = near and self.value_distance <= VALUE_DISTANCE_MAX
        return self.equal or (near and self.move_share >= MOVE_SHARE_MIN)


def holds(game: GameCompleted, found: Sequence[Repeated]) -> bool:
    """Whether repeated searches are what the game says: nearly all agree, those with noise and
    those without. Only the former show that a game was copied from one with another seed."""
    noise = max(seat.noise_plies for seat in game.seats)
    parts = [one for one in found if one.ply < noise], [one for one in found if one.ply >= noise]
    return all(_holds(part) for part in (*parts, found))


def _holds(found: Sequence[Repeated]) -> bool:
    agreeing = sum(item.agrees for item in found)
    return agreeing >= AGREEING_MIN * len(found) or len(found) - agreeing < DIFFERING_MIN


def sampled(game: GameCompleted, count: int, seed: str) -> list[int]:
    """The plies of `count` searched decisions of a game, or of all, chosen by a seed: half of them
    with noise, if there are so many."""
    noise = max(seat.noise_plies for seat in game.seats)
    plies = [decision.ply for decision in decode(game.targets, game.plies)[1]]
    draw = random.Random(f"{seed} {game.game}")
    noisy, others = [ply for ply in plies if ply < noise], [ply for ply in plies if ply >= noise]
    half = count // 2 + (count % 2 and draw.random() < 0.5)
    first = min(len(noisy), max(half, count - len(others)))
    chosen = draw.sample(noisy, first) + draw.sample(others, min(len(others), count - first))
    return sorted(chosen)


async def repeat(
    game: GameCompleted, plies: Sequence[int], models: Models, *, threads: int | None = None
) -> list[Repeated]:
    """Search decisions of a game again. Raises GameRejected if the game does not replay at all,
    HarnessError, and what `models` raises."""
    check_game(game)
    (found,) = await repeat_all([(game, plies)], models, threads=threads)
    return found


async def repeat_all(
    asked: Sequence[Asked], models: Models, *, threads: int | None = None
) -> list[list[Repeated]]:
    """Search decisions of games that replay again; those of one player at once, which is several
    times as fast. Raises HarnessError, and what `models` raises."""
    groups: dict[tuple[str, Seat], list[_At]] = {}
    for number, (game, plies) in enumerate(asked):
        for seat, at in _positions(number, game, plies):
            groups.setdefault((game.config, seat), []).append(at)
    found: list[list[Repeated]] = [[] for _ in asked]
    for (config, seat), places in groups.items():
        model = await models(seat.model, config) if seat.model else None
        player = player_of(Config.parse(config), seat, model, threads)
        # in a thread: the process goes on meanwhile
        for at, item in await asyncio.to_thread(_searched, player, places):
            found[at.number].append(item)
    return [sorted(items, key=lambda item: item.ply) for items in found]


class _At(NamedTuple):
    """A decision of the game with this number."""

    number: int
    game: GameCompleted
    old: Decision
    token: str
    state: la.Words


def _positions(
    number: int, game: GameCompleted, plies: Sequence[int]
) -> Iterator[tuple[Seat, _At]]:
    recorded = {one.ply: one for one in decode(game.targets, game.plies)[1] if one.ply in plies}
    position = Position.start(Config.parse(game.config), pie=game.pie)
    moves = game.moves.split()
    for ply, token in enumerate(moves[: max(recorded, default=-1) + 1]):
        if ply in recorded:
            at = _At(number, game, recorded[ply], token, position.state.copy())
            yield _seat_of(game, position), at
        position.play(token)


def _searched(player: Player, places: Sequence[_At]) -> list[tuple[_At, Repeated]]:
    found = []
    for first in range(0, len(places), LOCKSTEP):
        part = places[first : first + LOCKSTEP]
        seeds = np.array([at.game.seed for at in part], np.uint64)
        decisions = player.choose(np.stack([at.state for at in part]), seeds)
        found += [
            (at, _compared(at, decision)) for at, decision in zip(part, decisions, strict=True)
        ]
    return found


def _seat_of(game: GameCompleted, position: Position) -> Seat:
    """The player to move; after a swap by the pie rule the two have exchanged seats."""
    seat = int(position.state[la.TURN])
    return game.seats[2 - seat if position.state[la.SWAPPED] else seat - 1]


def _compared(at: _At, decision: Searched) -> Repeated:
    config, old = Config.parse(at.game.config), at.old
    chosen = token_of(config, decision.move)
    again = target_of(old.ply, decision)
    new = decode(encode(config.seats, [again]), at.game.plies)[1][0]
    moves = np.union1d(old.indices, new.indices)
    policies = np.zeros((2, len(moves)))
    for row, one in enumerate((old, new)):
        policies[row, np.searchsorted(moves, one.indices)] = one.probabilities
    by_others = at.game.origin == "reanalysis"  # the moves are those of an earlier search
    same = by_others or at.token == chosen
    equal = (
        same
        and np.array_equal(old.indices, new.indices)
        and np.array_equal(old.probabilities, new.probabilities)
        and np.array_equal(old.values, new.values)
    )
    played, best = np.searchsorted(decision.moves, [parse_token(config, at.token), decision.move])
    share = float(decision.policy[played]) / max(float(decision.policy[best]), 1e-9)
    if old.ply < max(seat.noise_plies for seat in at.game.seats):
        share = 0.0
    return Repeated(
        ply=old.ply,
        token=at.token,
        found=chosen,
        policy_distance=float(np.abs(policies[0] - policies[1]).sum() / 2),
        value_distance=float(np.abs(old.values - new.values).max()),
        move_share=1.0 if same else share,
        equal=equal,
    )
