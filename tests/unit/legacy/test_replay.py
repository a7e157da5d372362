"""Games of ours, written as the old system did, are read back as they were."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.games import play_game
from support.old_records import old_record, snake, write_database, write_lines

from ringrift.errors import CommandError
from ringrift.insight.board.recorded_game import RecordedGame
from ringrift.learning.ends import REASON, forced_end
from ringrift.legacy.files import games_of
from ringrift.legacy.importing import fact_of, name_of
from ringrift.legacy.replay import Verdict, judge
from ringrift.rules import CONFIGS, Config, Position

SAMPLES = Path(__file__).parents[2] / "data" / "legacy"
SMALL_BOARDS = [config.key for config in CONFIGS if config.board in ("square8", "hex8")]


def verdicts(path: Path) -> list[Verdict]:
    return [judge(game) for game, _ in games_of(path)]


def judged(tmp_path: Path, **changes: Any) -> Verdict:
    """The verdict on a random game whose record differs in these fields."""
    record = old_record(play_game("square8_2p", 3), **changes)
    (found,) = verdicts(write_lines(tmp_path / "game.jsonl", [record]))
    return found


@pytest.mark.parametrize("key", [*SMALL_BOARDS, "square19_2p"])
def test_a_game_is_read_back_move_for_move(key: str, tmp_path: Path) -> None:
    games = [play_game(key, seed) for seed in range(4)]
    records = [old_record(game) for game in games]
    files = [
        write_lines(tmp_path / "a.jsonl", records),
        write_lines(tmp_path / "b.jsonl", map(snake, records), packed=True),
        write_database(tmp_path / "c.db", records),
    ]
    for path in files:
        found = verdicts(path)
        assert [one.kind for one in found] == ["ok"] * 4
        assert [one.moves for one in found] == [game.moves for game in games]


def test_moves_in_wrappers_and_after_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    record = old_record(play_game("hex8_2p", 1))
    moves = [{"move": move, "policy": {}, "value": None} for move in record["moves"]]
    text = json.dumps({**record, "moves": moves, "value": float("nan")})
    path = tmp_path / "wrapped.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b'\r\n\r\n{"cut')
    assert [one.kind for one in verdicts(path)] == ["ok", "bad_json"]


def test_a_finished_game_that_stops_within_its_last_turn_is_taken(tmp_path: Path) -> None:
    """The old engine ends games after any move; the turn is completed to see who must win."""
    game = next(
        game
        for game in (play_game("square8_2p", seed) for seed in range(40))
        if forced_end(before_end(game.config, game.moves)) is not None
    )
    moves = old_record(game)["moves"][:-1]
    cut = {"moves": moves, "num_moves": len(moves)}
    (found,) = verdicts(write_lines(tmp_path / "a.jsonl", [old_record(game, **cut)]))
    assert found.kind == "ended_within_turn"
    assert (found.end["winner"], found.end["reason"]) == (game.winner, REASON)
    assert found.moves == game.moves.rpartition(" ")[0]  # no move is invented
    wrong = old_record(game, **cut, winner=3 - game.winner)
    assert [one.kind for one in verdicts(write_lines(tmp_path / "b.jsonl", [wrong]))] == [
        "wrong_winner"
    ]
    unfinished = old_record(game, **cut, status="active", winner=None)
    (found,) = verdicts(write_lines(tmp_path / "c.jsonl", [unfinished]))
    assert (found.kind, found.status) == ("open", "open")


def before_end(config: str, moves: str) -> Position:
    position = Position.start(Config.parse(config))
    for token in moves.split()[:-1]:
        position.play(token)
    return position


def test_a_cut_game_is_not_over_and_a_long_one_goes_on_after_its_end(tmp_path: Path) -> None:
    moves = old_record(play_game("square8_2p", 3))["moves"]
    assert judged(tmp_path, moves=moves[:20], num_moves=20).kind == "not_over"
    assert judged(tmp_path, moves=moves[:20]).kind == "fewer_moves_than_recorded"
    found = judged(tmp_path, moves=[*moves, moves[0]])
    assert (found.kind, found.at) == ("moves_after_end", len(moves))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"board_type": "square25"}, "unknown_board"),
        ({"board_type": None, "board_size": 8}, "ok"),
        ({"num_players": 5}, "bad_seats"),
        ({"moves": []}, "no_moves"),
        ({"moves": [7]}, "bad_move_json"),
        ({"winner": "0"}, "ok"),
        ({"winner": None, "outcome": {"1": 0.0, "2": 0.0}}, "ok"),
        ({"initial_state": {"board": {"stacks": {"0,0": {}}}}}, "not_from_start"),
    ],
)
def test_a_record_is_classified(changes: dict[str, Any], kind: str, tmp_path: Path) -> None:
    assert judged(tmp_path, **changes).kind == kind


def test_the_first_bad_move_is_named_with_the_position_and_what_was_legal(tmp_path: Path) -> None:
    moves = old_record(play_game("square8_2p", 3))["moves"]
    for change, kind in (
        ({"type": "teleport"}, "unknown_move_type"),
        ({"player": 2}, "wrong_seat"),
        ({"to": {"x": 99, "y": 0}}, "illegal_move"),
        ({"type": "no_line_action"}, "illegal_in_phase"),
    ):
        bad = [moves[0], moves[1] | change, *moves[2:]]
        found = judged(tmp_path, moves=bad)
        assert (found.kind, found.at) == (kind, 1)
        assert (found.position or "").startswith("square8/2")
        assert found.instead


def test_placements_without_counts_are_not_guessed(tmp_path: Path) -> None:
    record = old_record(play_game("square8_2p", 3))
    for move in record["moves"]:
        move.pop("placementCount", None)
    (found,) = verdicts(write_lines(tmp_path / "slim.jsonl", [record]))
    assert (found.kind, found.status) == ("counts_not_recorded", "rejected")


def test_a_missing_row_and_a_cut_row_are_named(tmp_path: Path) -> None:
    path = write_database(tmp_path / "a.db", [old_record(play_game("square8_2p", 3))])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE game_moves SET move_json = '{\"type\"' WHERE move_number = 9")
    database.close()
    assert [(one.kind, one.at) for one in verdicts(path)] == [("bad_move_json", 9)]
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM game_moves WHERE move_number = 5")
    database.close()
    assert [(one.kind, one.at) for one in verdicts(path)] == [("gap_in_moves", 5)]


def test_a_write_ahead_log_is_read_with_its_database_which_stays_as_it_is(tmp_path: Path) -> None:
    path = write_database(tmp_path / "a.db", [old_record(play_game("square8_2p", 3))])
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("UPDATE games SET board_type = 'sq8'")
    database.commit()
    for copied in ("copy.db", "copy.db-wal"):
        shutil.copy(path.with_name(copied.replace("copy", "a")), tmp_path / copied)
    database.close()
    before = {one: one.read_bytes() for one in tmp_path.glob("copy*")}
    assert [one.kind for one in verdicts(tmp_path / "copy.db")] == ["unknown_board"]
    assert {one: one.read_bytes() for one in tmp_path.glob("copy*")} == before


def test_a_database_that_another_program_is_writing_is_refused(tmp_path: Path) -> None:
    path = write_database(tmp_path / "a.db", [old_record(play_game("square8_2p", 3))])
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CommandError, match="another program is writing"):
        verdicts(path)
    writer.execute("ROLLBACK")
    writer.close()
    assert [one.kind for one in verdicts(path)] == ["ok"]


def test_the_name_of_a_game_follows_from_its_content(tmp_path: Path) -> None:
    first, second = judged(tmp_path), judged(tmp_path, game_id="another", players=[])
    assert name_of(first) == name_of(second)
    fact = fact_of(first, ticket="import-events-1", source="old", version=1)
    assert (fact.origin, fact.node, fact.seats[0].participant) == (
        "import",
        "import-old",
        "legacy:unknown",
    )


def test_a_record_of_ours_whose_game_ended_within_a_turn_is_read_back(tmp_path: Path) -> None:
    path = SAMPLES / "jsonl" / "square19_2p.jsonl.gz"
    (found,) = verdicts(path)
    fact = fact_of(found, ticket="import-events-1", source="old", version=1)
    record = tmp_path / "game.record"
    record.write_text(RecordedGame.of(fact).text())
    (again,) = verdicts(record)
    assert (again.kind, again.moves, again.end) == (found.kind, found.moves, found.end)
    assert name_of(again) == fact.game == again.game.id


@pytest.mark.parametrize("kind", ["db", "jsonl", "jsonl.gz"])
def test_damaged_bytes_never_stop_an_import(kind: str, tmp_path: Path) -> None:
    """Found by changing bytes at random: errors of libraries that are not those of damage."""
    record = old_record(play_game("square8_2p", 3))
    path = tmp_path / f"game.{kind}"
    if kind == "db":
        write_database(path, [record])
    else:
        write_lines(path, [record], packed=kind.endswith("gz"))
    whole, rng = path.read_bytes(), random.Random(1)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(12):
            data[rng.randrange(min(len(data), 4096))] = rng.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(CommandError):
            verdicts(path)


def test_a_seat_that_no_game_has_is_a_wrong_seat(tmp_path: Path) -> None:
    moves = old_record(play_game("square8_2p", 3))["moves"]
    for seat in (0, -1, 10**20):
        found = judged(tmp_path, moves=[moves[0] | {"player": seat}, *moves[1:]])
        assert (found.kind, found.at) == ("wrong_seat", 0)
