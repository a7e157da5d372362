"""The samples of a training as arrays in memory: the newest decisions of its shards, replayed into
positions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.learning.compile import compiled
from ringrift.learning.ends import ranks_of
from ringrift.learning.shards import Shard, ShardError, is_among
from ringrift.nets.arrays import Codes, Floats, Int32s, Int64s, States
from ringrift.rules import Geometry, Position, geometry, layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.legal import legal_moves
from ringrift.rules.moves import SKIP_RECOVERY, move_type
from ringrift.rules.table import CELLS_AT

KEY_SPAN: Final = 2.0**64

Bools = NDArray[np.bool_]
Int8s = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """D samples with M legal moves in total; n seats, states of S words.

    states       int32 [D, S]
    codes        int64 [M], ascending within a sample; those of sample i are
                 codes[offsets[i]:offsets[i + 1]]
    offsets      int64 [D + 1]
    policy       float32 [M], improved policy
    outcome      float32 [D, n], value of the end, by absolute seat
    root_value   float32 [D, n]
    mover        int64 [D], seat to act
    weight       float32 [D]
    order_bound  bool [D], only half-turn symmetry applies (`ringrift.nets.symmetry`)
    key          uint64 [D], key of the sample's game
    game         int64 [D], index of the sample's game among the G games of the window

    The ends of the games, targets of the auxiliary heads, are computed by replaying:

    plies_left   int32 [D], moves from the sample to the end of its game
    ranks        int8 [G, n], final rank of each absolute seat, from 1; ties share a rank
    owners       int8 [G, cells], owner of each cell at the end, 0 for none; cells in the geometry's
                 order
    """

    config: Config
    states: States
    codes: Codes
    offsets: Int64s
    policy: Floats
    outcome: Floats
    root_value: Floats
    mover: Int64s
    weight: Floats
    order_bound: Bools
    key: NDArray[np.uint64]
    game: Int64s
    plies_left: Int32s
    ranks: Int8s
    owners: Int8s

    def __len__(self) -> int:
        return len(self.states)

    def validating(self, fraction: float) -> Bools:
        """Return which samples are validation samples, [D]: whole games, the same in every
        training."""
        return np.asarray(self.key < np.uint64(min(int(fraction * KEY_SPAN), 2**64 - 1)))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the samples; a resumed training must have the same."""
        digest = sha256(self.config.key.encode())
        for name in ("states", "codes", "policy", "outcome", "root_value", "weight"):
            digest.update(np.ascontiguousarray(getattr(self, name)).data)
        return digest.hexdigest()


def open_window(shards: Sequence[Shard], samples_max: int) -> Window:
    """Return the newest `samples_max` samples of `shards`, given oldest first. Raises
    ShardError."""
    if not shards:
        raise ShardError("a window needs at least one shard")
    config = shards[0].config
    if any(shard.config != config for shard in shards):
        keys = sorted({shard.config.key for shard in shards})
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


def _join(parts: list[Window]) -> Window:
    """The parts as one; each column of theirs is let go once it is copied, as they are large."""
    names = [field.name for field in fields(Window) if field.name != "config"]
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    before = np.cumsum([0, *(len(part.ranks) for part in parts[:-1])])
    of_games = np.repeat(before, [len(part) for part in parts])
    columns = [{name: getattr(part, name) for name in names} for part in parts]
    config = parts[0].config
    parts.clear()
    joined = {name: np.concatenate([part.pop(name) for part in columns]) for name in names}
    joined["offsets"] = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    joined["game"] += of_games
    return Window(config, **joined)


def _expand(shard: Shard, first: int) -> Window:
    """Return the samples of `shard` from index `first` on."""
    column, geo = shard.columns, geometry(shard.config)
    games = Games(*(column[name] for name in Games._fields))
    count = shard.samples - first
    game, ply = column["game"][first:], column["ply"][first:]
    states = np.zeros((count, geo.state_size), la.STATE_DTYPE)
    ends = np.zeros((shard.games, geo.state_size), la.STATE_DTYPE)
    offsets = np.zeros(count + 1, np.int64)
    order_bound = np.zeros(count, np.bool_)
    buffer = np.empty(geo.moves_max, np.int64)
    bad = replay(geo, games, game, ply, buffer, states, offsets, order_bound, ends)
    # a game that was stopped has no end, and is worth 0 to every seat
    endless = (ends[:, la.PHASE] != la.OVER) & column["outcome"].any(1)
    bad = bad if bad >= 0 else next(iter(np.flatnonzero(endless).tolist()), -1)
    if bad >= 0:
        raise ShardError(f"game {bad} is against the rules of this build: export the shard again")
    codes = np.empty(offsets[-1], np.int64)
    list_moves_of(geo, states, offsets, buffer, codes)
    for start, end in pairwise(offsets.tolist()):
        codes[start:end].sort()
    ranks = [ranks_of(Position(shard.config, state)) for state in ends]
    cells = ends[:, CELLS_AT + geo.cell_of]
    return Window(
        config=shard.config,
        states=states,
        codes=codes,
        offsets=offsets,
        policy=_policies(shard, first, offsets),
        outcome=column["outcome"][game],
        root_value=column["root_value"][first:],
        mover=states[:, la.TURN].astype(np.int64),
        weight=column["weight"][first:],
        order_bound=order_bound,
        key=column["game_key"].astype(np.uint64)[game],
        game=game.astype(np.int64),
        plies_left=(np.diff(column["ply_start"])[game] - ply).astype(np.int32),
        ranks=np.array(ranks, np.int8).reshape(-1, shard.config.seats),
        owners=np.where(cells & la.WALL, cells & la.SEAT_BITS, 0).astype(np.int8),
    )


def _policies(shard: Shard, first: int, offsets: Int64s) -> Floats:
    """Return the policies of the samples from `first` on, over all their legal moves."""
    starts = shard.columns["entry_start"][first:]
    move, share = (shard.columns[name][starts[0] :].astype(np.int64) for name in ("move", "share"))
    sample = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    if (move >= np.diff(offsets)[sample]).any():
        raise ShardError(
            "a policy has a move that is not legal: the shard was made with other rules; "
            "export it again"
        )
    policy = np.zeros(offsets[-1], np.float32)
    policy[offsets[sample] + move] = share / np.bincount(sample, share)[sample]
    return policy


class Games(NamedTuple):
    """The games of a shard, for compiled code; the moves of game g are
    `codes[ply_start[g]:ply_start[g + 1]]`."""

    pie: NDArray[np.uint8]
    codes: Codes
    ply_start: Int64s


@compiled
def replay(
    geo: Geometry,
    games: Games,
    game: Int32s,
    ply: Int32s,
    buffer: Codes,
    states: States,
    offsets: Int64s,
    order_bound: Bools,
    ends: States,
) -> int:
    """Play all games; return the first that has an illegal move, -1 if there is none.

    Writes the position of each decision `(game[i], ply[i])`, given in ascending order, to
    `states[i]` and the last state of each game to `ends[g]`. `offsets[i + 1]` counts the legal
    moves so far, `order_bound[i]` is whether recovery slides may be legal. The arrays written to
    are all zero; `buffer` is scratch."""
    i = 0
    for g in range(ends.shape[0]):
        state, start = ends[g], games.ply_start[g]
        la.init_state(geo, state, int(games.pie[g]), LPS_ROUNDS_DEFAULT)
        for at in range(games.ply_start[g + 1] - start):
            count = legal_moves(geo, state, buffer)
            code = games.codes[start + at]
            if state[la.PHASE] == la.OVER or not is_among(code, buffer, count):
                return g
            if i < game.size and game[i] == g and ply[i] == at:
                la.copy_state(states[i], state)
                offsets[i + 1] = offsets[i] + count
                if state[la.PHASE] == la.MOVEMENT:
                    for k in range(count):
                        order_bound[i] |= move_type(buffer[k]) == SKIP_RECOVERY
                i += 1
            apply_move(geo, state, code)
    return -1


@compiled
def list_moves_of(
    geo: Geometry, states: States, offsets: Int64s, buffer: Codes, codes: Codes
) -> None:
    """Write the legal moves of each state to `codes[offsets[i]:offsets[i + 1]]`; `buffer` is
    scratch."""
    for i in range(states.shape[0]):
        count = legal_moves(geo, states[i], buffer)
        for k in range(count):
            codes[offsets[i] + k] = buffer[k]
