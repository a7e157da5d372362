"""Analysis of a position: what a search knows about the candidate moves, growing while it searches.

A search of N simulations is preceded by searches with a quarter, a sixteenth, ... of them, each
complete in itself, if growing reports are wanted: that costs a third more."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ringrift.analysis.choices import play_forced
from ringrift.analysis.participants import Participant
from ringrift.analysis.searching import Found, Searcher
from ringrift.rules import Position
from ringrift.search.arrays import Floats

GROWTH: Final = 4
FIRST_BUDGET_MIN: Final = 8
"""of the first of several growing searches"""
PRINCIPAL_MOVES_MAX: Final = 16


class RootInfo(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The position that was searched.

    `values` are by seat, in -1..1: the mean over the search, or that of the principal variation. A
    seat's value is the mean of 1 - 2 (rank - 1) / (seats - 1) over the ends that are expected: with
    three or four seats it tells the mean rank. There is no probability of each rank, because
    networks learn one number for each seat.
    `raw_values` are those of the evaluator without search, where it was asked. `seat` moves, 0 if
    the game is over; `visits` are positions evaluated."""

    seat: int
    values: list[float | None]
    visits: int
    depth: int = 0
    raw_values: list[float | None] | None = None


class MoveInfo(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A candidate move.

    `values` are those of the position after it, by seat, None where unknown; with
    `values_at_most` they are only an upper limit for the mover. `pv` is the principal variation
    from the move on, without forced plies. `prior` is the policy before the search and
    `improved_policy` the one after it."""

    move: str
    order: int
    visits: int
    values: list[float | None]
    values_at_most: bool = False
    prior: float | None = None
    improved_policy: float | None = None
    pv: tuple[str, ...] = ()


class Analysis(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a search found in a position after `forced`, the forced plies, were played.

    `moves` are all legal moves, the best first; none if the game is over."""

    position: str
    forced: tuple[str, ...]
    simulations: int
    is_during_search: bool
    root: RootInfo
    moves: tuple[MoveInfo, ...]

    @property
    def best(self) -> MoveInfo | None:
        return self.moves[0] if self.moves else None


def budgets(participant: Participant) -> list[int]:
    """Return the growing budgets of a participant's searches; the last is its own."""
    found = [participant.seat.simulations]
    while found[0] // GROWTH >= FIRST_BUDGET_MIN:
        found.insert(0, found[0] // GROWTH)
    return found


async def analyse(
    searcher: Searcher,
    participant: Participant,
    position: Position,
    *,
    allow: Collection[str] = (),
    growing: bool = False,
    priority: int = 0,
) -> AsyncIterator[Analysis]:
    """Yield the analysis of a position, or growing ones of which the last is complete.

    `allow` are tokens of the only moves to consider: the budget is then divided among searches of
    the positions after each. Raises IllegalMove and NotationError for those that are not legal,
    and what `Searcher.search` raises."""
    position = position.copy()
    allowed = [position.code(token) for token in allow]
    forced = tuple(token for _, token in play_forced(position)) if not allowed else ()
    whole = participant.seat.simulations
    for budget in budgets(participant) if growing else [whole]:
        some = participant if budget == whole else participant.with_budget(budget)
        if position.over:
            found = _ended(position)
        elif allowed:
            found = await _restricted(searcher, some, position, allowed, priority)
        else:
            searched = await searcher.search(some, position, priority=priority)
            found = _found(position, searched)
        yield replace(found, forced=forced, simulations=budget, is_during_search=budget != whole)
        if position.over:
            return


def final_values(position: Position) -> list[float | None]:
    """Return the value of a finished game for each seat: 1 for the first rank, -1 for the last."""
    seats = position.config.seats
    return [1.0 - 2.0 * (rank - 1) / (seats - 1) for rank in position.ranks()]


def _ended(position: Position) -> Analysis:
    root = RootInfo(seat=0, values=final_values(position), visits=0)
    return _analysis(position, root, ())


def _found(position: Position, found: Found) -> Analysis:
    decision, known = found
    seat = position.seat
    root = RootInfo(
        seat=seat,
        values=_numbers(decision.values),
        visits=decision.nodes,
        depth=decision.depth,
        raw_values=None if np.isnan(known.raw).any() else _numbers(known.raw),
    )
    best = decision.moves == decision.move
    own = np.nan_to_num(known.values[:, seat - 1], nan=-2.0)
    # by visits where the search gives them by merit, else by value
    merit = -decision.visits if known.prior is not None else -own
    keys = (-own, -decision.policy, merit, ~best)
    moves = tuple(
        MoveInfo(
            move=position.token(int(decision.moves[at])),
            order=order,
            visits=int(decision.visits[at]),
            values=_numbers(known.values[at]),
            values_at_most=known.bounds and not best[at],
            prior=None if known.prior is None else _number(known.prior[at]),
            improved_policy=None if known.prior is None else _number(decision.policy[at]),
            pv=_tokens(position, known.lines[at]),
        )
        for order, at in enumerate(np.lexsort(keys))
    )
    return _analysis(position, root, moves)


async def _restricted(
    searcher: Searcher,
    participant: Participant,
    position: Position,
    allowed: list[int],
    priority: int,
) -> Analysis:
    """Search the positions after each of some moves, with a share of the budget each."""
    budget = participant.seat.simulations
    share = participant.with_budget(max(1, budget // len(allowed))) if budget else participant

    async def after(code: int) -> MoveInfo:
        child = position.copy()
        child.play_code(code)
        play_forced(child)
        token = position.token(code)
        if child.over:
            values = final_values(child)
            return MoveInfo(move=token, order=0, visits=1, values=values, pv=(token,))
        decision, _ = await searcher.search(share, child, priority=priority)
        line = (token, *_tokens(child, decision.line))
        values = _numbers(decision.values)
        return MoveInfo(move=token, order=0, visits=decision.nodes + 1, values=values, pv=line)

    seat = position.seat
    found = await asyncio.gather(*map(after, allowed))
    ranked = sorted(found, key=lambda move: -(move.values[seat - 1] or 0.0))
    moves = tuple(replace(move, order=order) for order, move in enumerate(ranked))
    visits = sum(move.visits for move in moves)
    return _analysis(position, RootInfo(seat=seat, values=moves[0].values, visits=visits), moves)


def _analysis(position: Position, root: RootInfo, moves: tuple[MoveInfo, ...]) -> Analysis:
    text = position.text()
    return Analysis(
        position=text, forced=(), simulations=0, is_during_search=False, root=root, moves=moves
    )


def _numbers(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else _number(value) for value in values]


def _number(value: np.float32) -> float:
    """Return a number with as many digits as it is good for."""
    return round(float(value), 4)


def _tokens(position: Position, line: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(position.token(code) for code in line[:PRINCIPAL_MOVES_MAX])
