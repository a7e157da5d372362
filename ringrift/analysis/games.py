"""Analysis of a whole game: the value of each seat by ply, and the blunders."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ringrift.analysis.participants import Participant
from ringrift.analysis.positions import analyse, final_values
from ringrift.analysis.searching import Searcher
from ringrift.rules import Position, Record

BLUNDER_LOSS: Final = 0.2
"""a tenth of the way from a certain loss (-1) to a certain win (1), where lichess calls a move a
mistake. Of a random player, judged by 128 simulations with the heuristic, about one choice in
twenty lost so much (hex8_2p and square8_2p, 6 games)"""
UNJUDGED: Final = frozenset({"resign", "timeout"})
"""moves that end a game, whatever the position is worth"""


class ReviewedPly(Struct, frozen=True, kw_only=True, rename="camel"):
    """A move of a game.

    `values` are those of the position before it, by seat; forced plies have those of the next
    choice. `best` is the move that the search prefers, None where there is no choice. `loss` is by
    how much the value of the mover fell from this choice to the next one, `share` the part of the
    improved policy that the move has; both None for moves that are not judged."""

    ply: int
    seat: int
    move: str
    values: list[float | None]
    best: str | None = None
    loss: float | None = None
    share: float | None = None
    blunder: bool = False


class Review(Struct, frozen=True, kw_only=True, rename="camel"):
    """A game with the values of all its positions; `final` are those of the last one."""

    config: str
    participant: str
    blunder_loss: float
    plies: tuple[ReviewedPly, ...]
    final: list[float | None]

    @property
    def blunders(self) -> list[ReviewedPly]:
        return [ply for ply in self.plies if ply.blunder]


async def review(
    searcher: Searcher,
    participant: Participant,
    record: Record,
    *,
    blunder_loss: float = BLUNDER_LOSS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Review:
    """Search every position with a choice and compare the values before and after each move.

    Both values are of searches with the same budget, so a loss may also be what the first search
    did not see."""
    positions = _positions(record)
    chosen = [at for at, position in enumerate(positions) if len(position.legal_codes()) > 1]
    done = 0

    async def searched(at: int) -> tuple[int, "_Judged"]:
        nonlocal done
        async for found in analyse(searcher, participant, positions[at]):
            played = [
                move for move in found.moves if [move.move] == list(record.moves[at : at + 1])
            ]
            share = played[0].improved_policy if played else None
            best = found.best.move if found.best else None
            judged = _Judged(values=found.root.values, best=best, share=share)
        done += 1
        progress(done, len(chosen))
        return at, judged

    judged = dict(await asyncio.gather(*map(searched, chosen)))
    return _review(record, participant, positions, judged, blunder_loss)


class _Judged(Struct, frozen=True):
    values: list[float | None]
    best: str | None
    share: float | None


def _positions(record: Record) -> list[Position]:
    """Return the position before each move, and the last one."""
    position = record.start()
    found = [position.copy()]
    for move in record.moves:
        position.play(move)
        found.append(position.copy())
    return found


def _review(
    record: Record,
    participant: Participant,
    positions: list[Position],
    judged: dict[int, _Judged],
    blunder_loss: float,
) -> Review:
    last, unfinished = positions[-1], judged.get(len(record.moves))
    final: list[float | None] = [None] * record.config.seats
    final = final_values(last) if last.over else unfinished.values if unfinished else final
    after, plies = final, list[ReviewedPly]()
    for at in reversed(range(len(record.moves))):
        move, seat, known = record.moves[at], positions[at].seat, judged.get(at)
        loss = None
        if known and move not in UNJUDGED:
            later = 3 - seat if move == "swap" else seat  # the players trade seats
            now, then = known.values[seat - 1], after[later - 1]
            loss = round(now - then, 4) if now is not None and then is not None else None
        after = known.values if known else after
        ply = ReviewedPly(
            ply=at,
            seat=seat,
            move=move,
            values=after,
            best=known.best if known else None,
            loss=loss,
            share=known.share if known else None,
            blunder=loss is not None and loss >= blunder_loss and move != (known and known.best),
        )
        plies.append(ply)
    return Review(
        config=record.config.key,
        participant=participant.seat.participant,
        blunder_loss=blunder_loss,
        plies=tuple(reversed(plies)),
        final=final,
    )
