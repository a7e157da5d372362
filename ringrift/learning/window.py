"""The samples of a training as arrays in memory: the newest decisions of its shards. Positions are
replayed when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.learning.compile import compiled
from ringrift.learning.ends import ranks_of
from ringrift.learning.shards import Shard, ShardError, is_among
from ringrift.nets.arrays import Codes, Floats, Int32s, Int64s, States
from ringrift.rules import Geometry, Position, geometry, layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.legal import legal_moves, sort_moves
from ringrift.rules.moves import SKIP_RECOVERY, move_type
from ringrift.rules.table import CELLS_AT

KEY_SPAN: Final = 2.0**64
FRAME_PLIES: Final = 16
"""between two positions that are kept: playing eight moves again on average takes a few
microseconds a sample, a fiftieth of its gradient"""

Bools = NDArray[np.bool_]
Int8s = NDArray[np.int8]


class Games(NamedTuple):
    """The games and policies of a window, for compiled code.

    pie          uint8 [G]
    codes        int64 [P], moves; those of game g are codes[ply_start[g]:ply_start[g + 1]]
    ply_start    int64 [G + 1]
    frames       int32 [F, S], the position before every `FRAME_PLIES`-th ply; the first one of game
                 g is frames[frame_start[g]]
    frame_start  int64 [G + 1]
    move         uint16 [E], entries of the improved policies: index into the legal moves by
                 ascending code; those of sample i are entry_start[i] to entry_start[i + 1]
    share        uint16 [E], part of the policy, in any unit
    entry_start  int64 [D + 1]
    """

    pie: NDArray[np.uint8]
    codes: Codes
    ply_start: Int64s
    frames: States
    frame_start: Int64s
    move: NDArray[np.uint16]
    share: NDArray[np.uint16]
    entry_start: Int64s


class Positions(NamedTuple):
    """B positions with M legal moves in total.

    states   int32 [B, S]
    codes    int64 [M], ascending within a position; those of position i are
             codes[offsets[i]:offsets[i + 1]]
    offsets  int64 [B + 1]
    policy   float32 [M], improved policy
    """

    states: States
    codes: Codes
    offsets: Int64s
    policy: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """D samples of G games; n seats.

    Neither their positions nor their legal moves are kept, which take 2 to 8 kB a sample:
    `positions` plays the last moves before a sample again.

    game         int32 [D], index of the sample's game
    ply          int32 [D], moves before the sample
    legal        int32 [D], number of legal moves
    outcome      float32 [D, n], value of the end, by absolute seat
    root_value   float32 [D, n]
    mover        int8 [D], seat to act
    weight       float32 [D]
    order_bound  bool [D], only half-turn symmetry applies (`ringrift.nets.symmetry`)
    key          uint64 [D], key of the sample's game

    The ends of the games, targets of the auxiliary heads, are computed by replaying:

    ranks        int8 [G, n], final rank of each absolute seat, from 1; ties share a rank
    owners       int8 [G, cells], owner of each cell at the end, 0 for none; cells in the geometry's
                 order
    """

    config: Config
    games: Games
    game: Int32s
    ply: Int32s
    legal: Int32s
    outcome: Floats
    root_value: Floats
    mover: Int8s
    weight: Floats
    order_bound: Bools
    key: NDArray[np.uint64]
    ranks: Int8s
    owners: Int8s

    def __len__(self) -> int:
        return len(self.game)

    def validating(self, fraction: float) -> Bools:
        """Return which samples are validation samples, [D]: whole games, the same in every
        training."""
        return np.asarray(self.key < np.uint64(min(int(fraction * KEY_SPAN), 2**64 - 1)))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the samples; a resumed training must have the same."""
        digest = sha256(self.config.key.encode())
        samples = (self.game, self.ply, self.outcome, self.root_value, self.weight)
        for array in (*self.games, *samples):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def plies_left(self, samples: Int64s) -> Int64s:
        """Return the moves from each of these samples to the end of its game, [B]."""
        game = self.game[samples]
        ends: Int64s = self.games.ply_start[game + 1]
        return ends - self.games.ply_start[game] - self.ply[samples]

    def positions(self, samples: Int64s | None = None) -> Positions:
        """Return the positions of these samples, by default of all."""
        chosen = np.arange(len(self)) if samples is None else samples
        geo = geometry(self.config)
        offsets = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(self.legal[chosen], out=offsets[1:])
        states = np.empty((len(chosen), geo.state_size), la.STATE_DTYPE)
        codes, policy = np.empty(offsets[-1], np.int64), np.zeros(offsets[-1], np.float32)
        found = Positions(states, codes, offsets, policy)
        buffer = np.empty(geo.moves_max, np.int64)
        restore(geo, self.games, chosen, self.game[chosen], self.ply[chosen], buffer, found)
        return found


def open_window(shards: Sequence[Shard], samples_max: int) -> Window:
    """Return the newest `samples_max` samples of `shards`, given oldest first. Raises
    ShardError."""
    if not shards:
        raise ShardError("a window needs at least one shard")
    if len(keys := sorted({shard.config.key for shard in shards})) > 1:
        raise ShardError(f"shards of several configs in one window: {keys}")
    parts: list[Window] = []
    wanted = samples_max
    for shard in reversed(shards):
        if wanted <= 0:
            break
        parts.append(_expand(shard, max(shard.samples - wanted, 0)))
        wanted -= len(parts[-1])
    parts.reverse()
    return _join(parts)


def _join(parts: Sequence[Window]) -> Window:
    """The parts as one."""
    before = np.cumsum([0, *(len(part.ranks) for part in parts[:-1])])
    names = [field.name for field in fields(Window) if field.name not in ("config", "games")]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    joined["game"] += np.repeat(before, [len(part) for part in parts]).astype(np.int32)
    games: dict[str, Any] = {}
    for name in Games._fields:
        columns = [getattr(part.games, name) for part in parts]
        games[name] = _starts(columns) if "start" in name else np.concatenate(columns)
    return Window(parts[0].config, Games(**games), **joined)


def _starts(parts: Sequence[Int64s]) -> Int64s:
    """Return the starts of all parts, whose items follow each other."""
    lengths = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def _expand(shard: Shard, first: int) -> Window:
    """Return the samples of `shard` from index `first` on."""
    column, geo = shard.columns, geometry(shard.config)
    game, ply, entries = (column[name][first:] for name in ("game", "ply", "entry_start"))
    frame_start = np.cumsum([0, *-(-np.diff(column["ply_start"]) // FRAME_PLIES)], dtype=np.int64)
    games = Games(
        **{name: column[name] for name in ("pie", "codes", "ply_start")},
        **{name: column[name][entries[0] :] for name in ("move", "share")},
        frames=np.zeros((frame_start[-1], geo.state_size), la.STATE_DTYPE),
        frame_start=frame_start,
        entry_start=entries - entries[0],
    )
    ends = np.zeros((shard.games, geo.state_size), la.STATE_DTYPE)
    legal, mover = np.zeros(len(game), np.int32), np.zeros(len(game), np.int8)
    order_bound = np.zeros(len(game), np.bool_)
    buffer = np.empty(geo.moves_max, np.int64)
    bad = replay(geo, games, game, ply, buffer, legal, mover, order_bound, ends)
    # a game that was stopped has no end, and is worth 0 to every seat
    endless = (ends[:, la.PHASE] != la.OVER) & column["outcome"].any(1)
    bad = bad if bad >= 0 else next(iter(np.flatnonzero(endless).tolist()), -1)
    if bad >= 0:
        raise ShardError(f"game {bad} is against the rules of this build: export the shard again")
    if (games.move >= np.repeat(legal, np.diff(games.entry_start))).any():
        raise ShardError(
            "a policy has a move that is not legal: the shard was made with other rules; "
            "export it again"
        )
    ranks = [ranks_of(Position(shard.config, state)) for state in ends]
    cells = ends[:, CELLS_AT + geo.cell_of]
    return Window(
        config=shard.config,
        games=games,
        game=game,
        ply=ply,
        legal=legal,
        outcome=column["outcome"][game],
        root_value=column["root_value"][first:],
        mover=mover,
        weight=column["weight"][first:],
        order_bound=order_bound,
        key=column["game_key"].astype(np.uint64)[game],
        ranks=np.array(ranks, np.int8).reshape(-1, shard.config.seats),
        owners=np.where(cells & la.WALL, cells & la.SEAT_BITS, 0).astype(np.int8),
    )


@compiled
def replay(
    geo: Geometry,
    games: Games,
    game: Int32s,
    ply: Int32s,
    buffer: Codes,
    legal: Int32s,
    mover: Int8s,
    order_bound: Bools,
    ends: States,
) -> int:
    """Play all games; return the first that has an illegal move, -1 if there is none.

    Writes the frames, the last state of each game to `ends[g]`, and of each decision
    `(game[i], ply[i])`, given in ascending order, the number of legal moves, the seat to act and
    whether recovery slides may be legal. The arrays written to are all zero; `buffer` is
    scratch."""
    i = 0
    for g in range(ends.shape[0]):
        state, start = ends[g], games.ply_start[g]
        la.init_state(geo, state, int(games.pie[g]), LPS_ROUNDS_DEFAULT)
        for at in range(games.ply_start[g + 1] - start):
            if at % FRAME_PLIES == 0:
                la.copy_state(games.frames[games.frame_start[g] + at // FRAME_PLIES], state)
            count = legal_moves(geo, state, buffer)
            code = games.codes[start + at]
            if state[la.PHASE] == la.OVER or not is_among(code, buffer, count):
                return g
            if i < game.size and game[i] == g and ply[i] == at:
                legal[i], mover[i] = count, state[la.TURN]
                if state[la.PHASE] == la.MOVEMENT:
                    for k in range(count):
                        order_bound[i] |= move_type(buffer[k]) == SKIP_RECOVERY
                i += 1
            apply_move(geo, state, code)
    return -1


@compiled
def restore(
    geo: Geometry,
    games: Games,
    samples: Int64s,
    game: Int32s,
    ply: Int32s,
    buffer: Codes,
    out: Positions,
) -> None:
    """Write the positions of `samples`, before move `ply[i]` of `game[i]`; the policies of `out`
    are all zero, `buffer` is scratch."""
    for i in range(samples.size):
        state, first = out.states[i], ply[i] // FRAME_PLIES
        la.copy_state(state, games.frames[games.frame_start[game[i]] + first])
        for at in range(first * FRAME_PLIES, ply[i]):
            apply_move(geo, state, games.codes[games.ply_start[game[i]] + at])
        count = legal_moves(geo, state, buffer)
        sort_moves(buffer, count)
        start = out.offsets[i]
        for k in range(count):
            out.codes[start + k] = buffer[k]
        entries = range(games.entry_start[samples[i]], games.entry_start[samples[i] + 1])
        total = 0
        for e in entries:
            total += games.share[e]
        for e in entries:
            out.policy[start + games.move[e]] = games.share[e] / total
