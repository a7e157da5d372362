"""The log as data for other programs: games, training samples or facts, as the files of a folder.

    <output>/part-00000.parquet    at most `PART_ROWS` rows; also .jsonl or .npz
    <output>/README.md             the columns, also a dataset card of Hugging Face
    <output>/manifest.json         content and SHA-256 of every file; written last

Rows are written as they are read, so the memory needed does not grow with the log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from ringrift.consumers.shards.building import games_in, retractions_until
from ringrift.consumers.shards.upkeep import READS, ShardsInForce
from ringrift.deciders.loop.retraction import retracted
from ringrift.errors import CommandError
from ringrift.events import Recorded, facts as f
from ringrift.learning.shards import GameRejected, check_game
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION

What = Literal["games", "samples", "facts"]
Format = Literal["parquet", "npz", "jsonl"]
PART_ROWS: Final = {"games": 2_000, "samples": 20_000, "facts": 20_000}
"""rows of a part: some 20 to 100 MB in memory"""
DIGEST_CHUNK_BYTES: Final = 1 << 20


class Column(NamedTuple):
    """A column: its name, type and meaning. The types are those of Arrow: `list<...>` has one value
    for each seat or move."""

    name: str
    type: str
    meaning: str


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "games": (
        Column("seq", "int64", "sequence in the stream GAMES"),
        Column("time", "timestamp", "when the server stored the game (UTC)"),
        Column("game", "string", "id"),
        Column("config", "string", "board and seats, such as hex8_2p"),
        Column("origin", "string", "selfplay, evaluation, tournament, human or import"),
        Column("node", "string", "where it was played"),
        Column("participants", "list<string>", "name of the player of each seat"),
        Column("pie", "bool", "whether the pie rule was on"),
        Column("moves", "string", "tokens of the notation, separated by blanks"),
        Column("plies", "int64", "number of moves"),
        Column("winner", "int64", "seat, 0 for none"),
        Column("reason", "string", "how the game ended"),
        Column("ranks", "list<int64>", "rank of each seat; ties share one"),
        Column("removed", "list<int64>", "removed rings credited to each seat"),
        Column("territory", "list<int64>", "collapsed cells of each seat"),
        Column("retracted", "bool", "whether the game was retracted since"),
    ),
    "samples": (
        Column("game", "string", "id of the game"),
        Column("ply", "int64", "moves before the decision"),
        Column("seat", "int64", "the seat that decides"),
        Column("position", "string", "the position, in the notation of the rules"),
        Column("played", "string", "token of the move that was played"),
        Column("moves", "list<string>", "tokens of the moves of the improved policy"),
        Column("policy", "list<float>", "probability of each of these moves; the sum is 1"),
        Column("values", "list<float>", "root value of the search for each seat, -1 to 1"),
        Column("outcome", "list<float>", "value of the end of the game for each seat, -1 to 1"),
    ),
    "facts": (
        Column("seq", "int64", "sequence in the stream EVENTS"),
        Column("time", "timestamp", "when the server stored the fact (UTC)"),
        Column("type", "string", "name of the fact, such as ModelPromoted"),
        Column("subject", "string", "subject of the message"),
        Column("source", "string", "who wrote it"),
        Column("cause", "string", "position of the message that led to it, empty if none"),
        Column("data", "string", "the fact as JSON"),
    ),
}
Row = dict[str, Any]


class Part(Struct):
    """A file of the folder."""

    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(Struct, kw_only=True):
    """Content of an export: `until` is the newest message of `stream` that it takes into account,
    `since` what was asked for."""

    what: What
    format: Format
    config: str | None
    stream: str
    since: str | None
    until: int
    rows: int
    rules_version: int
    columns: list[Column]
    parts: list[Part]


async def export(
    log: Log,
    what: What,
    output: Path,
    *,
    config: str | None,
    format: Format,
    since: int | datetime | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write the rows that were stored at or after `since`, a sequence or a time, of one config
    (facts: of all if none is given). Raises CommandError for a folder that is not empty, or if
    there is nothing to write."""
    _prepare(output)
    stream = EVENTS if what == "facts" else GAMES
    until, parts, waiting = await log.tail(stream), list[Part](), list[Row]()
    part: read.Part = {"until": until, "progress": progress}
    if isinstance(since, int):
        part["after"] = since - 1
    elif since is not None:
        part["since"] = since
    async for row in _rows(log, what, config, part):
        waiting.append(row)
        if len(waiting) == PART_ROWS[what]:
            parts.append(_write(output, len(parts), what, format, waiting))
            waiting = []
    if waiting:
        parts.append(_write(output, len(parts), what, format, waiting))
    if not parts:
        raise CommandError(f"there are no {what} to export{f' of {config}' if config else ''}")
    manifest = Manifest(
        what=what,
        format=format,
        config=config,
        stream=stream,
        since=None if since is None else str(since),
        until=until,
        rows=sum(one.rows for one in parts),
        rules_version=RULES_VERSION,
        columns=list(COLUMNS[what]),
        parts=parts,
    )
    _describe(output, manifest)
    return manifest


def _describe(output: Path, manifest: Manifest) -> None:
    (output / "README.md").write_text(card(manifest), encoding="utf-8")
    document = msgspec.json.format(msgspec.json.encode(manifest))
    (output / "manifest.json").write_bytes(document + b"\n")


def _prepare(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CommandError(f"{output} exists already and is not empty: name another folder")
    output.mkdir(parents=True, exist_ok=True)


def _rows(log: Log, what: What, config: str | None, part: read.Part) -> AsyncIterator[Row]:
    if what == "facts":
        return _facts(log, config, part)
    if config is None:
        raise CommandError(f"give the config of the {what}, such as --config hex8_2p")
    return _games(log, config, part) if what == "games" else _samples(log, config, part)


async def _facts(log: Log, config: str | None, part: read.Part) -> AsyncIterator[Row]:
    async for event, meta in read.facts(log, **part):
        if config is None or getattr(event, "config", None) == config:
            yield {
                "seq": meta.seq,
                "time": meta.time,
                "type": type(event).__name__,
                "subject": meta.subject,
                "source": meta.source,
                "cause": meta.cause or "",
                "data": msgspec.json.encode(event).decode(),
            }


async def _games(log: Log, config: str, part: read.Part) -> AsyncIterator[Row]:
    retractions = await retractions_until(log, config, await log.tail(EVENTS))
    copied = ("game", "config", "origin", "node", "pie", "moves", "plies", "winner", "reason")
    lists = ("ranks", "removed", "territory")
    async for game, meta in read.facts(log, f.GameCompleted, scope=config, **part):
        yield {
            "seq": meta.seq,
            "time": meta.time,
            **{name: getattr(game, name) for name in copied},
            "participants": [seat.participant for seat in game.seats],
            **{name: list(getattr(game, name)) for name in lists},
            "retracted": retracted(retractions, game, meta.seq),
        }


async def _samples(log: Log, config: str, part: read.Part) -> AsyncIterator[Row]:
    """The samples of the shards in force, each with its newest targets, without retracted games."""
    in_force = ShardsInForce()
    async for event, meta in read.facts(log, *READS, until=await log.tail(EVENTS)):
        in_force.take(event, meta)
    known = [one for one in in_force.shards.values() if one.event.config == config]
    chosen = sorted((one for one in known if _wanted(one, part)), key=lambda one: one.event.index)
    report = part.get("progress")
    for number, (shard, _) in enumerate(chosen, start=1):
        retractions = await retractions_until(log, config, shard.events_seq)
        games, _ = await games_in(log, shard, retractions, shard.targets_seq)
        for game in games:
            for row in samples_of(game):
                yield row
        if report:
            report(number, len(chosen))


def _wanted(shard: Recorded[f.ShardExported], part: read.Part) -> bool:
    since = part.get("since")
    return shard.event.last_seq > part.get("after", 0) and (
        since is None or shard.meta.time >= since
    )


def samples_of(game: f.GameCompleted) -> list[Row]:
    """The training samples of a game; none if it does not replay to its recorded end."""
    try:
        checked = check_game(game)
    except GameRejected:
        return []
    decisions, rows = {one.ply: one for one in checked.decisions.each()}, list[Row]()
    position = Position.start(Config.parse(game.config), pie=game.pie)
    for ply, code in enumerate(checked.codes.tolist()):
        if decision := decisions.get(ply):
            legal = position.legal_codes()
            rows.append(
                {
                    "game": game.game,
                    "ply": ply,
                    "seat": position.seat,
                    "position": position.text(),
                    "played": position.token(code),
                    "moves": [position.token(legal[index]) for index in decision.indices],
                    "policy": decision.probabilities.tolist(),
                    "values": decision.values.tolist(),
                    "outcome": checked.outcome.tolist(),
                }
            )
        position.play_code(code)
    return rows


def _write(output: Path, number: int, what: What, format: Format, rows: Sequence[Row]) -> Part:
    """Write one part."""
    path = output / f"part-{number:05}.{format}"
    if format == "jsonl":
        path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    elif format == "npz":
        np.savez_compressed(path, allow_pickle=False, **arrays(COLUMNS[what], rows))
    else:
        _write_parquet(path, COLUMNS[what], rows)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(DIGEST_CHUNK_BYTES):
            digest.update(data)
    return Part(path.name, len(rows), path.stat().st_size, digest.hexdigest())


def _write_parquet(path: Path, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = {"timestamp": pa.timestamp("us", tz="UTC"), "float": pa.float32()}

    def typed(name: str) -> Any:
        if name.startswith("list<"):
            return pa.list_(typed(name[5:-1]))
        return named.get(name) or pa.type_for_alias(name)

    fields = [
        pa.field(one.name, typed(one.type), metadata={"meaning": one.meaning}) for one in columns
    ]
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(fields))
    pq.write_table(table, path, compression="zstd")


def arrays(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, np.ndarray[Any, Any]]:
    """The rows as arrays that need no pickle to be read. A list column is one array of all values;
    those of row i are `name[name_start[i]:name_start[i + 1]]`. Times are seconds since 1970."""
    dtypes = {"int64": np.int64, "float": np.float32, "bool": np.bool_, "timestamp": np.float64}
    found = {}
    for name, kind, _ in columns:
        values = [row[name] for row in rows]
        if kind == "timestamp":
            values = [value.timestamp() for value in values]
        if kind.startswith("list<"):
            kind = kind[5:-1]
            found[f"{name}_start"] = np.cumsum([0, *map(len, values)], dtype=np.int64)
            values = [value for row in values for value in row]
        found[name] = np.array(values, dtypes.get(kind, np.str_))
    return found


def card(manifest: Manifest) -> str:
    """The page that describes an export."""
    name = f"{manifest.what} of {manifest.config or 'all configs'}"
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        f'  data_files: "part-*.{manifest.format}"',
    ]
    lines += ["---", "", f"# RingRift: {name}", ""]
    until = f"{manifest.stream}/{manifest.until}"
    lines += [f"{manifest.rows:,} rows, up to {until}; files: {len(manifest.parts)}.", ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{one.name}` | {one.type} | {one.meaning} |" for one in manifest.columns]
    if manifest.format == "npz":
        start = "`name[name_start[i]:name_start[i + 1]]`"
        lines += ["", f"A list column is one array; the values of row i are {start}."]
    return "\n".join((*lines, ""))
