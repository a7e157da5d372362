"""Analysis in the browser: what is asked about, what a search found, blunders."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.games import play_game
from support.pages import Site, site

from ringrift.analysis import searching
from ringrift.analysis.games import Review, ReviewedPly
from ringrift.analysis.positions import MoveInfo
from ringrift.events import draft
from ringrift.insight.board.recorded_game import RecordedGame
from ringrift.rules import Config, Position
from ringrift.web.analysis import blunders, curve, marks

START = Position.start(Config.parse("hex8_2p")).text()


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    async with site() as found:
        game = play_game("square8_2p", 3)
        await found.log.append([draft(game, cause=None, source="test", key="1")])
        yield found


async def pasted(pages: Site, text: str, by: str = "D2") -> str:
    answer = await pages.client.post("/analysis", data={"text": text, "by": by})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_pasted_position_is_shown(pages: Site) -> None:
    address = await pasted(pages, START)
    assert "hex8_2p, ply 0" in await pages.get(address)


async def test_a_pasted_record_is_stepped_through(pages: Site) -> None:
    record = str(RecordedGame.of(play_game("square8_2p", 3)).record)
    address = await pasted(pages, record)
    text = await pages.get(f"{address}&ply=3")
    assert "ply 3 of" in text
    assert "Find the blunders" in text


@pytest.mark.parametrize(
    "text", ["", "hello", "[Game", START.replace("hex8", "hex9"), "x" * 200_001]
)
async def test_other_texts_are_refused(pages: Site, text: str) -> None:
    answer = await pages.client.post("/analysis", data={"text": text})
    assert answer.status_code == 400


async def test_a_forgotten_text_and_an_unknown_player_are_named(pages: Site) -> None:
    assert "paste it again" in await pages.get("/analysis?text=0123456789abcdef", 404)
    assert "no player" in await pages.get("/analysis?game=1&by=a@b", 400)
    await pages.get("/analysis?game=77", 404)
    await pages.get("/analysis?play=77", 404)


async def test_the_result_is_shown_without_script(pages: Site) -> None:
    ply = 0
    text = await pages.get(f"/analysis?game=1&ply={ply}&by=D3&wait=1")
    assert "played" in text
    assert text.count('<th scope="row"') == 12


async def test_a_game_that_is_over_is_not_searched(pages: Site) -> None:
    text = await pages.get("/analysis/live?game=1&ply=9999&by=D3")
    assert "The game is over." in text
    assert "searching on" not in text
    assert "0 positions" not in text


async def test_the_parts_of_a_growing_search_are_sent_until_its_end(pages: Site) -> None:
    text = await pages.get("/analysis/live?game=1&ply=0&by=gumbel:32")
    parts = re.findall(r"^data: (.*)$", text, re.M)
    assert len(parts) == 3  # 8 and 32 simulations, and the end
    assert "searching on" in parts[0]
    assert "searching on" not in parts[1]
    assert text.endswith("event: end\ndata: 1\n\n")


async def test_what_goes_wrong_in_a_search_is_sent(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SEARCH_BYTES_MAX", 1)
    text = await pages.get("/analysis/live?game=1&ply=0&by=gumbel:8")
    assert "event: trouble" in text
    assert "memory" in text


async def test_other_machines_need_the_token_to_search(pages: Site) -> None:
    pages.client._transport.client = ("10.0.0.7", 1)  # type: ignore[attr-defined]
    await pages.get("/analysis/live?game=1&ply=0&by=D3", 401)
    await pages.get("/analysis?game=1&ply=0&by=D3&wait=1", 401)
    await pages.get("/analysis?game=1&ply=0&by=D3")


async def test_a_review_is_kept_and_shown_again(pages: Site) -> None:
    text = await pages.get("/analysis/review?game=1&by=D2")
    assert "event: end" in text
    shown = await pages.get("/analysis?game=1&by=D2&ply=0")
    assert "Find the blunders" not in shown
    assert "class='graph'" in shown


def move(token: str, policy: float | None, visits: int = 1) -> MoveInfo:
    return MoveInfo(move=token, order=0, visits=visits, values=[0.0, 0.0], improved_policy=policy)


def test_the_best_moves_are_drawn_and_the_played_one_always() -> None:
    moves = tuple(move(f"@a{row}", share) for row, share in enumerate([0.5, 0.3, 0.1, 0.001], 1))
    assert [(one.token, one.played) for one in marks(moves, "@a4")] == [
        ("@a1", False),
        ("@a2", False),
        ("@a3", False),
        ("@a4", True),
    ]
    assert [one.share for one in marks((move("@a1", None, 3), move("@a2", None, 1)), "")] == [
        0.75,
        0.25,
    ]


def test_a_review_becomes_a_graph_with_blunders() -> None:
    plies = (
        ReviewedPly(ply=0, seat=1, move="@a1", values=[0.5, -0.5], loss=0.75, blunder=True),
        ReviewedPly(ply=1, seat=1, move="a1-a2", values=[None, None]),
    )
    found = Review(
        config="square8_2p", participant="p", blunder_loss=0.25, plies=plies, final=[-1.0, 1.0]
    )
    assert [(one.ply, one.seat, one.loss) for one in blunders(found)] == [(0, 1, 0.75)]
    assert curve(found) == {0: [0.5, -0.5], 2: [-1.0, 1.0]}
