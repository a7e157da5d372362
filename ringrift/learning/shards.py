"""A shard: checked games as columns in one tensor file, a pure function of the games and byte for
byte the same on every machine.

It contains moves and targets instead of positions, which are a hundred times larger;
`ringrift.learning.window` replays positions at two million plies per second. Columns, for G games,
P plies, D decisions, E entries of policies, n seats:

    game_key      int64 [G]     selects validation games
    pie           uint8 [G]     1 if the game had the pie rule
    outcome       float32 [G, n]
    codes         int64 [P]     moves; those of game g are codes[ply_start[g]:ply_start[g + 1]]
    ply_start     int64 [G + 1]
    game, ply     int32 [D]     game and ply of a decision
    root_value    float32 [D, n]
    weight        float32 [D]   weight of the sample in the loss
    entry_start   int64 [D + 1]
    move, share   uint16 [E]    improved policy: index into the legal moves by ascending code, and
                  its probability in units of
                                1 / 65535 (rounded: readers divide by the sum)
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
from ringrift.nets.encoding import ENCODER
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules.config import Config
from ringrift.rules.errors import ConfigError
from ringrift.rules.version import RULES_VERSION

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift"
SHARE_UNIT: Final = 65535
_COLUMNS: Final = {
    "game_key": "<i8",
    "pie": "|u1",
    "outcome": "<f4",
    "codes": "<i8",
    "ply_start": "<i8",
    "game": "<i4",
    "ply": "<i4",
    "root_value": "<f4",
    "weight": "<f4",
    "entry_start": "<i8",
    "move": "<u2",
    "share": "<u2",
}


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
    """A checked shard; the columns are described above."""

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
    seats = config.seats
    columns: Arrays = {
        "game_key": np.array([game.key for game in games], np.uint64).astype(np.int64),
        "pie": np.array([game.pie for game in games], np.uint8),
        "outcome": np.array([game.outcome for game in games], np.float32).reshape(-1, seats),
        "codes": _joined([game.codes for game in games], np.int64),
        "ply_start": _starts([len(game.codes) for game in games]),
        "game": np.repeat(
            np.arange(len(games), dtype=np.int32), [len(game.decisions) for game in games]
        ),
        "ply": np.array([decision.ply for decision in decisions], np.int32),
        "root_value": np.array([decision.values for decision in decisions], np.float32).reshape(
            -1, seats
        ),
        "weight": np.ones(len(decisions), np.float32),
        "entry_start": _starts([len(decision.indices) for decision in decisions]),
        "move": _joined([decision.indices for decision in decisions], np.uint16),
        "share": _joined([shares(decision.probabilities) for decision in decisions], np.uint16),
    }
    return columns


def shares(probabilities: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return probabilities in the units of the column `share`."""
    units: NDArray[np.float32] = np.rint(probabilities * np.float32(SHARE_UNIT))
    return np.maximum(units, 1).astype(np.uint16)


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)


def _starts(lengths: Sequence[int]) -> NDArray[Any]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)


def read_shard(data: bytes) -> Shard:
    """Return the shard in `data`. Raises ShardError."""
    try:
        columns, metadata = unpack(data)
        header = msgspec.json.decode(metadata.get(HEADER_KEY, ""), type=ShardHeader)
        config = Config.parse(header.config_key)
    except (TensorError, msgspec.DecodeError, ConfigError) as error:
        raise ShardError(f"not a shard: {error}") from error
    if (
        header.format != FORMAT
        or header.encoder != ENCODER
        or header.rules_version != RULES_VERSION
    ):
        raise ShardError(
            f"shard of format {header.format}, encoder {header.encoder}, rules "
            f"{header.rules_version}; this build has {FORMAT}, {ENCODER}, {RULES_VERSION}: "
            "export it again"
        )
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
    return Shard(
        shard.config, {**shard.columns, "weight": shard.columns["weight"] * np.float32(weight)}
    )


def _check_columns(columns: Arrays, seats: int) -> None:
    """Check that the columns exist, have their types and are consistent, so that no index can be
    out of range later."""
    if columns.keys() != _COLUMNS.keys():
        raise ShardError(f"columns {sorted(columns)} are not those of a shard")
    for name, dtype in _COLUMNS.items():
        if columns[name].dtype != np.dtype(dtype):
            raise ShardError(f"column {name!r} has type {columns[name].dtype}, expected {dtype}")
    games, decisions = len(columns["game_key"]), len(columns["game"])
    shapes = {
        "pie": (games,),
        "outcome": (games, seats),
        "ply_start": (games + 1,),
        "codes": (_last(columns["ply_start"]),),
        "ply": (decisions,),
        "root_value": (decisions, seats),
        "weight": (decisions,),
        "entry_start": (decisions + 1,),
        "move": (_last(columns["entry_start"]),),
        "share": (_last(columns["entry_start"]),),
    }
    for name, shape in shapes.items():
        if columns[name].shape != shape:
            raise ShardError(f"column {name!r} has shape {columns[name].shape}, expected {shape}")
    game, ply, start = columns["game"], columns["ply"], columns["ply_start"]
    in_order = all(
        (np.diff(columns[name]) >= 0).all() for name in ("ply_start", "entry_start", "game")
    )
    if not in_order or start[0] != 0 or columns["entry_start"][0] != 0:
        raise ShardError("starts and games must ascend from 0")
    if decisions and (
        game.min() < 0
        or game.max() >= games
        or ply.min() < 0
        or (ply >= (start[1:] - start[:-1])[game]).any()
    ):
        raise ShardError("a decision lies outside its game")


def _last(starts: NDArray[Any]) -> int:
    return int(starts[-1]) if starts.ndim == 1 and len(starts) else -1
