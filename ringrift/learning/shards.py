"""A shard: checked games as columns in one tensor file, a pure function of the games and byte for
byte the same on every machine.

It contains moves and targets instead of positions, which are a hundred times larger;
`ringrift.learning.window` replays positions at two million plies per second.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ringrift.events.facts import GameCompleted
from ringrift.learning.samples import CheckedGame, GameRejected, check_game
from ringrift.learning.targets import Decision
from ringrift.nets.arrays import Floats, Int64s
from ringrift.nets.encoding import ENCODER
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules import Config, ConfigError
from ringrift.rules.version import RULES_VERSION

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift"
SHARE_UNIT: Final = 65535
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


class ShardError(ValueError):
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
    decisions: list[Decision] = [decision for game in games for decision in game.decisions]
    counts = [len(game.decisions) for game in games]
    values: dict[str, Any] = {
        "game_key": np.array([game.key for game in games], np.uint64),
        "pie": [game.pie for game in games],
        "outcome": np.array([game.outcome for game in games]).reshape(-1, config.seats),
        "codes": _joined(game.codes for game in games),
        "ply_start": _starts(len(game.codes) for game in games),
        "game": np.repeat(np.arange(len(games)), counts),
        "ply": [decision.ply for decision in decisions],
        "root_value": np.array([item.values for item in decisions]).reshape(-1, config.seats),
        "weight": np.ones(len(decisions)),
        "entry_start": _starts(len(decision.indices) for decision in decisions),
        "move": _joined(decision.indices for decision in decisions),
        "share": _joined(shares(decision.probabilities) for decision in decisions),
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
        raise ShardError(
            f"{header.games} games and {header.samples} samples in the header, {shard.games} and "
            f"{shard.samples} in the columns"
        )
    return shard


def weighed(shard: Shard, weight: float) -> Shard:
    """Return the shard with the weights of its samples multiplied by `weight`."""
    if weight == 1.0:
        return shard
    weights = shard.columns["weight"] * np.float32(weight)
    return Shard(shard.config, {**shard.columns, "weight": weights})


def _check_columns(columns: Arrays, seats: int) -> None:
    """Check that the columns exist, have their types and are consistent, so that no index can be
    out of range later."""
    if columns.keys() != _COLUMNS.keys():
        raise ShardError(f"columns {sorted(columns)} are not those of a shard")
    games, decisions = len(columns["game_key"]), len(columns["game"])
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
    ascending = ("ply_start", "entry_start", "game")
    in_order = all((np.diff(columns[name]) >= 0).all() for name in ascending)
    if not in_order or start[0] != 0 or columns["entry_start"][0] != 0:
        raise ShardError("starts and games must ascend from 0")
    in_range = (game >= 0).all() and (game < games).all() and (ply >= 0).all()
    if not in_range or (ply >= np.diff(start)[game]).any():
        raise ShardError("a decision is outside its game")


def _last(starts: NDArray[Any]) -> int:
    return int(starts[-1]) if starts.ndim == 1 and len(starts) else -1
