"""A shard: games as columns in one tensor file, a pure function of the games and byte for byte the
same on every machine. Every game is replayed and checked before it is used.

It contains moves and targets instead of positions, which are a hundred times larger;
`ringrift.learning.window` replays positions at two million plies per second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ringrift.errors import Permanent
from ringrift.events.facts import GameCompleted
from ringrift.events.settings import MAX_MOVES_MIN
from ringrift.learning.compile import compiled
from ringrift.learning.ends import LIMIT, end_of, forced_end
from ringrift.learning.targets import PLIES_MAX, Decisions, TargetsError, decode_all, encode
from ringrift.nets.arrays import Codes, Floats, Int32s, Int64s
from ringrift.nets.encoding import ENCODER
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules import Config, ConfigError, Geometry, Position, RulesError, layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.legal import legal_moves
from ringrift.rules.moves import RESIGN, TIMEOUT
from ringrift.rules.notation import parse_token
from ringrift.rules.version import RULES_VERSION

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift"
SHARE_UNIT: Final = 65535
WEIGHT_MAX: Final = 1e3  # of a sample
_COLUMNS: Final = {
    # For G games, P plies, D decisions, E entries of policies, n seats
    "game_key": ("<i8", "G"),  # selects validation games
    "pie": ("|u1", "G"),  # 1 if the game had the pie rule
    "outcome": ("<f4", "G n"),
    "codes": ("<i8", "P"),  # moves; those of game g are codes[ply_start[g]:ply_start[g + 1]]
    "ply_start": ("<i8", "G+1"),
    "game": ("<i4", "D"),  # of a decision
    "ply": ("<i4", "D"),
    "root_value": ("<f4", "D n"),
    "weight": ("<f4", "D"),  # of the sample in the loss
    "entry_start": ("<i8", "D+1"),
    # The improved policy: index into the legal moves by ascending code, and its probability in
    # units of 1 / SHARE_UNIT (rounded: readers divide by the sum)
    "move": ("<u2", "E"),
    "share": ("<u2", "E"),
}
"""Type and shape of each column."""
GAMES_MAX: Final = 1 << 16  # of a shard, so that one of a few megabytes fills no memory
NONE_OF: Final = {seats: decode_all(encode(seats, []))[1] for seats in (2, 3, 4)}
TOKENS_MAX: Final = 1 << 16  # cached codes of tokens: a few thousand tokens recur


class GameRejected(ValueError):
    """A recorded game must not be used for training; the message gives the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedGame:
    """A game that replays to its recorded end.

    key        first 8 bytes of the SHA-256 of the game's id, which selects validation games
    codes      int64 [plies], the moves
    outcome    float32 [seats], value of the end for each seat (`outcome_values`)
    decisions  the searched decisions; none if some seat did not search
    """

    key: int
    pie: bool
    codes: Codes
    outcome: Floats
    decisions: Decisions


def outcome_values(winner: int, ranks: Sequence[int]) -> Floats:
    """Return the value of the end for each seat: +1 for the winner, 1 - 2 (rank - 1) / (n - 1) for
    the others.

    The winner's rank is ignored: the declared winner has won whatever the counters say. Without a
    winner (resignation with three or four seats, section 6.1) the ranks decide; all are 1 in a game
    that was stopped, which is worth 0 to every seat."""
    n, stopped = len(ranks), max(ranks) == 1
    values = [0.0 if stopped else 1.0 - 2.0 * (rank - 1) / (n - 1) for rank in ranks]
    if winner:
        values[winner - 1] = 1.0
    return np.array(values, np.float32)


def check_game(game: GameCompleted) -> CheckedGame:
    """Replay `game` and compare its end and targets with the record. Raises GameRejected.

    An imported game may stop within a turn that leads to its recorded winner in every case."""
    try:
        config, moves = Config.parse(game.config), game.moves.split()
        if len(moves) != game.plies or game.plies > PLIES_MAX:
            raise GameRejected(f"{len(moves)} moves, {game.plies} plies; at most {PLIES_MAX}")
        seats, decisions = decode_all(game.targets, game.plies)
        if game.rules_version != RULES_VERSION:
            this = f"this build has {RULES_VERSION}"
            raise GameRejected(f"rules version {game.rules_version}, {this}")
        if seats != config.seats or game.pie > (seats == 2):
            raise GameRejected(f"targets for {seats} seats of {config.seats}, pie rule {game.pie}")
        position = Position.start(config, pie=game.pie)
        codes = _replay(position, moves, decisions)
    except (RulesError, TargetsError) as error:
        raise GameRejected(str(error)) from error
    _compare_end(game, position)
    key = int.from_bytes(sha256(game.game.encode()).digest()[:8], "little")
    learnt = decisions if teaches(game) else NONE_OF[seats]
    return CheckedGame(key, game.pie, codes, outcome_values(game.winner, game.ranks), learnt)


def teaches(game: GameCompleted) -> bool:
    """Whether values of a game teach: against an opponent that does not search nearly every
    position is won. Imported games have no budgets, and targets by reanalysis only."""
    return game.origin == "import" or all(seat.simulations for seat in game.seats)


def _replay(position: Position, tokens: Sequence[str], decisions: Decisions) -> Codes:
    """Play `tokens` from the start and return their codes. Checks that every policy is over legal
    moves."""
    codes = np.array([_parsed(position.config, text) for text in tokens], np.int64)
    legal = np.zeros(len(codes), np.int64)
    geo = position.geometry
    buffer = np.empty(geo.moves_max, np.int64)
    played = play_checked(geo, position.state, codes, buffer, legal, np.zeros_like(legal))
    if played < len(codes):
        position.play(tokens[played])  # raises with the reason
    last, counts = decisions.indices[decisions.starts[1:] - 1], legal[decisions.plies]
    for bad in np.flatnonzero(last >= counts)[:1]:
        where = f"ply {decisions.plies[bad]}"
        raise GameRejected(f"{where}: a target for move {last[bad]} of {counts[bad]} legal moves")
    return codes


_parsed = lru_cache(TOKENS_MAX)(parse_token)


@compiled
def is_among(code: int, legal: Codes, count: int) -> bool:
    """Return whether a move is one of the first `count` of `legal`; resigning and losing on time
    are legal in every phase."""
    known = code in (RESIGN, TIMEOUT)
    for k in range(count):
        known |= legal[k] == code
    return known


@compiled
def play_checked(
    geo: Geometry, state: Int32s, codes: Codes, buffer: Codes, legal: Int64s, seats: Int64s
) -> int:
    """Play `codes` on `state` up to the first illegal move; return the number of moves played.

    Writes the number of legal moves before move i to `legal[i]` and the seat that moves to
    `seats[i]`; `buffer` is scratch."""
    for i in range(codes.size):
        if state[la.PHASE] == la.OVER:
            return i
        legal[i] = legal_moves(geo, state, buffer)
        seats[i] = state[la.TURN]
        if not is_among(codes[i], buffer, legal[i]):
            return i
        apply_move(geo, state, codes[i])
    return codes.size


def _compare_end(game: GameCompleted, position: Position) -> None:
    forced = forced_end(position) if game.origin == "import" else None
    stopped = game.reason == LIMIT and game.plies >= MAX_MOVES_MIN
    if not position.over and forced is None and not stopped:
        raise GameRejected(f"not over after its {position.ply} plies")
    for name, found in end_of(position, forced).items():
        recorded = getattr(game, name)
        if recorded != found:
            raise GameRejected(f"{name}: {recorded} in the record, {found} in the replay")


class ShardError(ValueError, Permanent):
    """The bytes are not a shard of this build; the message says why and what to do."""


class ShardHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of a shard."""

    format: int
    config_key: str
    encoder: str
    rules_version: int
    games: int
    samples: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A checked shard; the columns are those of `_COLUMNS`."""

    config: Config
    columns: Arrays

    @property
    def games(self) -> int:
        return len(self.columns["game_key"])

    @property
    def samples(self) -> int:
        return len(self.columns["game"])


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Content of a shard: number of games and samples, and the rejected games with the reason."""

    games: int
    samples: int
    rejected: tuple[tuple[str, str], ...]


def build_shard(config: Config, games: Iterable[GameCompleted]) -> tuple[bytes, ShardCounts]:
    """Return the shard of `games` in their order. Games that do not replay to their recorded end
    are rejected and counted."""
    checked: list[CheckedGame] = []
    rejected: list[tuple[str, str]] = []
    for game in games:
        try:
            if game.config != config.key:
                raise GameRejected(f"a game of {game.config} in a shard of {config.key}")
            checked.append(check_game(game))
        except GameRejected as error:
            rejected.append((game.game, str(error)))
    columns = _columns(config, checked)
    samples = len(columns["game"])
    header = ShardHeader(
        format=FORMAT,
        config_key=config.key,
        encoder=ENCODER,
        rules_version=RULES_VERSION,
        games=len(checked),
        samples=samples,
    )
    data = pack(columns, {HEADER_KEY: msgspec.json.encode(header, order="sorted").decode()})
    return data, ShardCounts(len(checked), samples, tuple(rejected))


def _columns(config: Config, games: Sequence[CheckedGame]) -> Arrays:
    found = [game.decisions for game in games]
    counts = [len(one.plies) for one in found]
    values: dict[str, Any] = {
        "game_key": np.array([game.key for game in games], np.uint64),
        "pie": [game.pie for game in games],
        "outcome": np.array([game.outcome for game in games]).reshape(-1, config.seats),
        "codes": _joined(game.codes for game in games),
        "ply_start": _starts(len(game.codes) for game in games),
        "game": np.repeat(np.arange(len(games)), counts),
        "ply": _joined(one.plies for one in found),
        "root_value": np.concatenate([NONE_OF[config.seats].values, *(d.values for d in found)]),
        "weight": np.ones(sum(counts)),
        "entry_start": _starts(size for one in found for size in np.diff(one.starts)),
        "move": _joined(one.indices for one in found),
        "share": _joined(shares(one.probabilities) for one in found),
    }
    return {name: np.asarray(values[name]).astype(dtype) for name, (dtype, _) in _COLUMNS.items()}


def shares(probabilities: Floats) -> NDArray[np.uint16]:
    """Return probabilities in the units of the column `share`."""
    units: Floats = np.rint(probabilities * np.float32(SHARE_UNIT))
    return np.maximum(units, 1).astype(np.uint16)


def _joined(parts: Iterable[NDArray[Any]]) -> Int64s:
    return np.concatenate((np.empty(0, np.int64), *parts))


def _starts(lengths: Iterable[int]) -> Int64s:
    return np.cumsum([0, *lengths], dtype=np.int64)


def read_shard(data: bytes) -> Shard:
    """Return the shard in `data`. Raises ShardError."""
    try:
        columns, metadata = unpack(data)
        header = msgspec.json.decode(metadata.get(HEADER_KEY, ""), type=ShardHeader)
        config = Config.parse(header.config_key)
    except (TensorError, msgspec.DecodeError, ConfigError) as error:
        raise ShardError(f"not a shard: {error}") from error
    versions = f"format {header.format}, encoder {header.encoder}, rules {header.rules_version}"
    current = f"format {FORMAT}, encoder {ENCODER}, rules {RULES_VERSION}"
    if versions != current:
        raise ShardError(f"shard of {versions}; this build has {current}: export it again")
    shard = Shard(config, columns)
    _check_columns(columns, config.seats)
    if (shard.games, shard.samples) != (header.games, header.samples):
        counted = f"{shard.games} games with {shard.samples} samples"
        raise ShardError(f"{counted}, but {header.games} with {header.samples} in the header")
    return shard


def weighed(shard: Shard, weight: float) -> Shard:
    """Return the shard with the weights of its samples multiplied by `weight`."""
    if weight == 1.0:
        return shard
    weights = shard.columns["weight"] * np.float32(weight)
    return Shard(shard.config, {**shard.columns, "weight": weights})


def _check_columns(columns: Arrays, seats: int) -> None:
    """Check that the columns exist, have their types and are consistent, so that no index can be
    out of range later and no number spoils a training."""
    if columns.keys() != _COLUMNS.keys():
        raise ShardError(f"columns {sorted(columns)} are not those of a shard")
    games, decisions = len(columns["game_key"]), len(columns["game"])
    if games > GAMES_MAX:
        raise ShardError(f"{games} games; a shard has at most {GAMES_MAX}")
    plies, entries = _last(columns["ply_start"]), _last(columns["entry_start"])
    sizes = {"G": games, "G+1": games + 1, "D": decisions, "D+1": decisions + 1}
    sizes |= {"P": plies, "E": entries, "n": seats}
    for name, (dtype, axes) in _COLUMNS.items():
        column, shape = columns[name], tuple(sizes[axis] for axis in axes.split())
        if column.dtype != np.dtype(dtype):
            raise ShardError(f"column {name!r} has type {column.dtype}, expected {dtype}")
        if column.shape != shape:
            raise ShardError(f"column {name!r} has shape {column.shape}, expected {shape}")
    game, ply, start = columns["game"], columns["ply"], columns["ply_start"]
    entry = columns["entry_start"]
    if start[0] != 0 or entry[0] != 0 or (np.diff(start) < 0).any() or (np.diff(game) < 0).any():
        raise ShardError("starts and games must ascend from 0")
    if (np.diff(entry) < 1).any():
        raise ShardError("each policy needs a move")
    in_range = (game >= 0).all() and (game < games).all() and (ply >= 0).all()
    if not in_range or (ply >= np.diff(start)[game]).any():
        raise ShardError("a decision is outside its game")
    if (np.diff(start[game] + ply) <= 0).any():
        raise ShardError("decisions must ascend by game and ply")
    limits = {"outcome": (-1.0, 1.0), "root_value": (-1.0, 1.0), "weight": (0.0, WEIGHT_MAX)}
    for name, (low, high) in limits.items():
        if not ((columns[name] >= low) & (columns[name] <= high)).all():  # nor is it for NaN
            raise ShardError(f"column {name!r} has values outside of {low:g} to {high:g}")
    if not columns["share"].all() or (columns["pie"] > (seats == 2)).any():
        raise ShardError("a move of a policy has no share, or the pie rule has no two seats")


def _last(starts: NDArray[Any]) -> int:
    return int(starts[-1]) if starts.ndim == 1 and len(starts) else -1
