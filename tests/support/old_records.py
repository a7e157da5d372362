"""Games of ours as the old system wrote them."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ringrift.events.facts import GameCompleted
from ringrift.rules import Config, Position, geometry, moves as mv
from ringrift.rules.move_cells import move_cells
from ringrift.rules.notation import fields

_NAMES = {
    mv.PLACE: "place_ring",
    mv.SKIP_PLACE: "skip_placement",
    mv.NO_PLACE: "no_placement_action",
    mv.SWAP: "swap_sides",
    mv.WALK: "move_stack",
    mv.LEAP: "overtaking_capture",
    mv.CHAIN: "continue_capture_segment",
    mv.NO_MOVE: "no_movement_action",
    mv.SKIP_RECOVERY: "skip_recovery",
    mv.SKIP_CAPTURE: "skip_capture",
    mv.LINE: "process_line",
    mv.LINE_ALL: "choose_line_option",
    mv.LINE_PART: "choose_line_option",
    mv.NO_LINE: "no_line_action",
    mv.CLAIM: "choose_territory_option",
    mv.SKIP_TERRITORY: "skip_territory_processing",
    mv.NO_TERRITORY: "no_territory_action",
    mv.FORCED: "forced_elimination",
}
_CONTEXTS = {mv.ELIM_LINE: "line", mv.ELIM_TERRITORY: "territory", mv.ELIM_RECOVERY: "recovery"}
_MODES = {
    mv.RECOVERY_ALL: "line",
    mv.RECOVERY_PART: "line",
    mv.RECOVERY_FALLBACK: "fallback",
    mv.RECOVERY_STRIKE: "stack_strike",
}


def old_moves(key: str, tokens: Iterable[str], *, pie: bool = False) -> list[dict[str, Any]]:
    """The moves of a game in camel case, with what the old programs recorded of them."""
    position, found = Position.start(Config.parse(key), pie), []
    for token in tokens:
        code = position.code(token)
        found.append(_move(position, code))
        position.play_code(code)
    return found


def _move(position: Position, code: int) -> dict[str, Any]:
    kind, a, b, c, d, n = fields(code)
    move: dict[str, Any] = {"id": "simulated", "player": position.seat, "timestamp": "2026-01-01"}
    place = {cell: _place(position.config, cell) for cell in (a, b, c, d) if cell}
    if kind in _CONTEXTS:
        context = {"eliminationContext": _CONTEXTS[kind]}
        return move | {"type": "eliminate_rings_from_stack", "to": place[a]} | context
    if kind in _MODES:
        move |= {"type": "recovery_slide", "from": place[a], "to": place[b]}
        move |= {"recoveryMode": _MODES[kind], "recoveryOption": 1}
        if kind == mv.RECOVERY_PART:
            return move | {"recoveryOption": 2, "collapsePositions": [place[c], place[d]]}
        if kind != mv.RECOVERY_ALL:  # the old program does not say who pays for a line
            move["extractionStacks"] = [
                ",".join(str(v) for v in place[c].values() if v is not None)
            ]
        return move
    move["type"] = _NAMES[kind]
    if kind == mv.PLACE:
        return move | {"to": place[a], "placementCount": n}
    if kind == mv.WALK:
        return move | {"from": place[a], "to": place[b]}
    if kind in (mv.LEAP, mv.CHAIN):
        return move | {"from": place[a], "captureTarget": place[b], "to": place[c]}
    if kind in (mv.LINE, mv.LINE_ALL, mv.LINE_PART):
        line = [place[a], place[b]]
        window = [place[c], place[d]] if kind == mv.LINE_PART else line
        lines = {"formedLines": [{"positions": line[::-1]}], "to": line[0]}
        return move | lines | ({"collapsedMarkers": window} if kind != mv.LINE else {})
    if kind == mv.CLAIM:
        cells = np.empty(position.geometry.n_cells, np.int16)
        count = move_cells(position.geometry, position.state, code, cells)
        spaces = [_place(position.config, cell) for cell in cells[:count].tolist()]
        region = {"spaces": spaces[::-1], "controllingPlayer": position.seat}
        return move | {"to": spaces[-1], "disconnectedRegions": [region]}
    return move | {"to": place[a] if kind == mv.FORCED else {"x": 0, "y": 0, "z": None}}


def _place(config: Config, cell: int) -> dict[str, Any]:
    index = int(geometry(config).scan_of[cell])
    x, y = (value - config.shape.radius for value in config.shape.cells[index])
    return {"x": x, "y": y, "z": -x - y if config.shape.hex else None}


def old_record(game: GameCompleted, **changes: Any) -> dict[str, Any]:
    """A line of `generate_gumbel_selfplay`."""
    board, seats = game.config.rsplit("_", 1)
    return {
        "game_id": game.game,
        "board_type": board,
        "num_players": int(seats[0]),
        "winner": game.winner,
        "status": "completed",
        "num_moves": game.plies,
        "moves": old_moves(game.config, game.moves.split(), pie=game.pie),
        "initial_state": {"rulesOptions": {"swapRuleEnabled": game.pie}},
        **changes,
    }


def snake(value: Any) -> Any:
    """The same with keys in snake case, as `run_self_play_soak` wrote them."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {"from": "from_pos"}
    words = ((names.get(key, key), item) for key, item in value.items())
    return {re.sub("([A-Z])", r"_\1", key).lower(): snake(item) for key, item in words}


def write_lines(path: Path, records: Iterable[Any], *, packed: bool = False) -> Path:
    """A file with one record a line."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def write_database(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """A database with the tables and columns that every version of the schema has."""
    with sqlite3.connect(path) as database:
        database.executescript(
            """CREATE TABLE games (game_id TEXT PRIMARY KEY, board_type TEXT, num_players INTEGER,
                created_at TEXT, game_status TEXT, winner INTEGER, termination_reason TEXT,
                total_moves INTEGER, duration_ms INTEGER, source TEXT, schema_version INTEGER);
            CREATE TABLE game_players (game_id TEXT, player_number INTEGER, player_type TEXT,
                ai_type TEXT, PRIMARY KEY (game_id, player_number));
            CREATE TABLE game_initial_state (game_id TEXT PRIMARY KEY, initial_state_json TEXT,
                compressed INTEGER);
            CREATE TABLE game_moves (game_id TEXT, move_number INTEGER, turn_number INTEGER,
                player INTEGER, phase TEXT, move_type TEXT, move_json TEXT,
                PRIMARY KEY (game_id, move_number));"""
        )
        for record in records:
            name, moves = record["game_id"], record["moves"]
            row = (name, record["board_type"], record["num_players"], "", record["status"])
            total = record["num_moves"]
            row += (record["winner"], "", total, 1500, "self_play", 1)
            database.execute(f"INSERT INTO games VALUES ({','.join('?' * 11)})", row)
            database.execute("INSERT INTO game_players VALUES (?, 1, 'ai', 'random')", (name,))
            state = gzip.compress(json.dumps(record["initial_state"]).encode())
            database.execute("INSERT INTO game_initial_state VALUES (?, ?, 1)", (name, state))
            rows = [
                (name, at, 0, move["player"], "", move["type"], json.dumps(move))
                for at, move in enumerate(moves)
            ]
            database.executemany("INSERT INTO game_moves VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()
    return path
