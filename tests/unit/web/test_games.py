"""Games in the browser: searching them, and stepping through one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import pytest
import pytest_asyncio
from msgspec.structs import replace
from support.games import play_game, recorded_game
from support.pages import Site, site

from ringrift.events import draft
from ringrift.events.facts import GameCompleted, Seat
from ringrift.rules import Record
from ringrift.tools.memory_log import MemoryLog
from ringrift.web import games as games_module
from ringrift.web.games import Games, Wanted
from ringrift.web.games_graph import Blunder, graph

EVIL = "<script>alert(1)</script>"


async def write(log: MemoryLog, *games: GameCompleted) -> None:
    drafts = [draft(game, cause=None, source="test", key=game.game) for game in games]
    await log.append_each(drafts)


def players(*names: str) -> tuple[Seat, ...]:
    return tuple(Seat(participant=name, harness="gumbel", simulations=8) for name in names)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(games_module, "PIECE", 4)
    monkeypatch.setattr(games_module, "PIECES_PER_SEARCH_MAX", 2)


ALL = Wanted()


async def numbers(games: Games, wanted: Wanted = ALL, **limits: int) -> list[int]:
    return [game.seq for game in (await games.search(wanted, **limits)).games]


async def test_games_come_newest_first_and_in_pages() -> None:
    log = MemoryLog()
    await write(log, *(recorded_game(number) for number in range(5)))
    games = Games(log)
    assert await numbers(games, limit=3) == [5, 4, 3]
    assert await numbers(games, before=3, limit=3) == [2, 1]


async def test_new_games_are_found_at_once(small_pieces: None) -> None:
    log = MemoryLog()
    games = Games(log)
    for number in range(6):
        await write(log, recorded_game(number))
        assert (await numbers(games))[0] == number + 1


async def test_a_search_reads_a_bounded_part_and_goes_on_from_there(small_pieces: None) -> None:
    log = MemoryLog()
    rare = recorded_game(0, node="rare")
    await write(log, rare, *(recorded_game(number) for number in range(1, 20)))
    games = Games(log)
    first = await games.search(Wanted(node="rare"))
    assert (first.games, first.reached) == ([], 13)  # pieces 17-20 and 13-16
    second = await games.search(Wanted(node="rare"), before=first.reached)
    assert (second.games, second.reached) == ([], 5)
    third = await games.search(Wanted(node="rare"), before=second.reached)
    assert ([game.seq for game in third.games], third.reached) == ([1], 1)
    assert await numbers(games, Wanted(node="rare")) == [1]  # all pieces are kept now


async def test_kept_pieces_are_bounded(small_pieces: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(games_module, "PIECES_MAX", 2)
    log = MemoryLog()
    await write(log, *(recorded_game(number) for number in range(12)))
    games = Games(log)
    for before in (13, 9, 5):
        await games.search(Wanted(), before=before, limit=4)
    assert len(list(games._pieces.values())) == 2


GAME = recorded_game(
    0, node="gpu-1", origin="evaluation", seats=players("aaa:gumbel:s8", "bbb:minimax:s8")
)


@pytest.mark.parametrize(
    "wanted",
    [
        {"config": "hex8_2p"},
        {"player": "minimax"},
        {"origin": "evaluation", "node": "gpu-1"},
        {"winner": str(GAME.winner)},
        {"winner": GAME.seats[GAME.winner - 1].participant[:3]},
        {"reason": GAME.reason},
        {"longer": GAME.plies, "shorter": GAME.plies},
    ],
)
async def test_a_game_is_found_by(wanted: dict[str, Any]) -> None:
    log = MemoryLog()
    await write(log, GAME)
    assert await numbers(Games(log), Wanted(**wanted)) == [1]


@pytest.mark.parametrize(
    "wanted",
    [
        {"config": "square8_2p"},
        {"player": "ccc"},
        {"winner": str(3 - GAME.winner)},
        {"winner": GAME.seats[2 - GAME.winner].participant[:3]},
        {"longer": GAME.plies + 1},
        {"shorter": GAME.plies - 1},
    ],
)
async def test_a_game_is_not_found_by(wanted: dict[str, Any]) -> None:
    log = MemoryLog()
    await write(log, GAME)
    assert await numbers(Games(log), Wanted(**wanted)) == []


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    async with site() as found:
        game = play_game("square8_2p", 3)
        await write(found.log, game, replace(game, game="evil", node="n", seats=players(EVIL, "b")))
        yield found


async def test_the_list_links_to_the_games(pages: Site) -> None:
    assert 'href="/games/1"' in await pages.get("/games")
    assert "No game matches" in await pages.get("/games?node=elsewhere")
    await pages.get("/games?longer=x", 400)


async def test_hostile_names_are_text(pages: Site) -> None:
    for path in ("/games", "/games/2", "/games/2/board.svg", f"/games?player={EVIL}"):
        assert EVIL not in await pages.get(path)


async def test_a_game_is_found_by_its_id_too(pages: Site) -> None:
    assert "game 1" in await pages.get("/games/square8_2p-3")
    assert "has no game &#39;nothing&#39;" in await pages.get("/games/nothing", 404)


async def test_a_position_shows_the_shares_of_the_search(pages: Site) -> None:
    found = await Games(pages.log).get("1")
    ply = min(found.decisions)
    board = found.at(ply)
    candidates = found.candidates(board)
    assert sum(one.share for one in candidates) == pytest.approx(1.0, abs=1e-3)
    assert {one.token for one in candidates} <= set(board.position.legal())
    assert [one.share for one in candidates] == sorted((c.share for c in candidates), reverse=True)
    text = await pages.get(f"/games/1/position?ply={ply}")
    assert candidates[0].token in text


async def test_the_played_move_is_marked(pages: Site) -> None:
    found = await Games(pages.log).get("1")
    marked = {
        (ply, one.token)
        for ply in found.decisions
        for one in found.candidates(found.at(ply))
        if one.played
    }
    assert marked
    assert all(found.moves[ply] == token for ply, token in marked)


async def test_every_ply_has_a_position_and_no_other(pages: Site) -> None:
    plies = play_game("square8_2p", 3).plies
    assert f"ply {plies} of {plies}" in await pages.get(f"/games/1?ply={plies + 9}")
    assert f"ply 0 of {plies}" in await pages.get("/games/1?ply=0")
    await pages.get("/games/1?ply=-1", 400)


async def test_the_downloads_are_whole(pages: Site) -> None:
    game = play_game("square8_2p", 3)
    record = await pages.get("/games/1/record.txt")
    assert Record.parse(record).moves == tuple(game.moves.split())
    document = (await pages.client.get("/games/1/record.json")).json()
    assert " ".join(document["moves"]) == game.moves
    assert document["decisions"][0]["values"]
    ElementTree.fromstring(await pages.get("/games/1/board.svg?ply=9"))


async def test_the_turns_hold_every_move_once(pages: Site) -> None:
    found = await Games(pages.log).get("1")
    turns = found.turns
    assert [move for _, _, moves in turns for _, move in moves] == list(found.moves)
    assert [ply for _, _, moves in turns for ply, _ in moves] == list(
        range(1, len(found.moves) + 1)
    )
    assert [turn for turn, _, _ in turns] == list(range(1, len(turns) + 1))


async def test_a_position_is_the_same_from_the_nearest_kept_one(pages: Site) -> None:
    found = await Games(pages.log).get("1")
    for ply in (0, 1, 31, 32, 33, 64, len(found.moves)):
        kept, whole = found.at(ply), found.recorded.at(ply)
        assert kept.position.text() == whole.position.text()
        assert (kept.last_turn, kept.seats, kept.title) == (
            whole.last_turn,
            whole.seats,
            whole.title,
        )


async def test_unreadable_targets_are_reported(pages: Site) -> None:
    await write(pages.log, replace(play_game("square8_2p", 3), game="odd", targets=b"\x09\x02"))
    assert "targets of version 9" in await pages.get("/games/3")


def test_the_graph_has_a_line_for_each_seat_and_links_its_blunders() -> None:
    values = {0: [0.0, 0.0, 0.0], 10: [1.0, -1.0, 0.5]}
    drawn = graph(values, 20, ply=5, blunders=[Blunder(10, 2, 0.7)], link="/a?ply=")
    root = ElementTree.fromstring(drawn)
    lines = [one.attrib["points"].split() for one in root.iter("polyline")]
    assert [len(line) for line in lines] == [2, 2, 2]
    assert lines[0][1].split(",")[1] < lines[1][1].split(",")[1]
    assert [one.attrib["href"] for one in root.iter("a")] == ["/a?ply=10"]
    assert graph({}, 20, ply=0) == ""
