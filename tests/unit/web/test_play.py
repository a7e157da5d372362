"""Games in the browser: clicks that lead to moves, turns, undo, hints, keeping."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from support.pages import Site, site
from support.positions import random_positions
from support.waiting import eventually

from ringrift.analysis.choices import choices
from ringrift.analysis.sessions import Person, Session
from ringrift.events.facts import GameCompleted
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules import CONFIGS, Config
from ringrift.rules.notation import cell_names
from ringrift.web import play as play_module
from ringrift.web.play import Tables, choices_of, drawn, steps

FORM = {"config": "square8_2p", "seat1": "person", "seat2": "D1"}


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    async with site() as found:
        yield found


async def begun(pages: Site, **form: str) -> str:
    """The address of a new game."""
    answer = await pages.client.post("/play", data={**FORM, **form})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def act(pages: Site, game: str, action: str, status: int = 200, **form: str) -> str:
    headers = {"x-part": "1"}
    answer = await pages.client.post(f"{game}/{action}", data=form, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.text


def ply_of(text: str) -> int:
    found = re.search(r'data-ply="(\d+)"', text)
    assert found
    return int(found[1])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_clicks_and_labels_tell_all_moves_apart(config: Config) -> None:
    names = set(cell_names(config).values())
    for position in random_positions(config.key, count=25 if config.shape.width < 10 else 4):
        found = [(steps(one), one) for one in choices(position)]
        assert {cell for clicks, _ in found for step in clicks for cell in step} <= names
        assert all(step for clicks, _ in found for step in clicks)
        told = {(clicks, one.text) for clicks, one in found}
        assert len(told) == len(found)


def test_nobody_chooses_for_a_participant_or_after_the_end() -> None:
    session = Session(Config.parse("square8_2p"), [Person(), Person("b")])
    assert len(choices_of(session)) == 192
    session.resign()
    assert choices_of(session) == []


def test_the_last_turn_is_that_of_one_seat() -> None:
    session = Session(Config.parse("square8_2p"), [Person("a"), Person("b")])
    session.play("@a1*2")
    session.play("a1-a4")
    board = drawn(session)
    assert [move.token for move in board.last_turn] == ["@a1*2", "a1-a4", "-l", "-t"]
    session.play("@b1")
    assert [move.token for move in drawn(session).last_turn] == ["@b1"]


async def test_a_person_plays_and_the_opponent_answers(pages: Site) -> None:
    game = await begun(pages)
    assert "Place one to three rings" in await pages.get(game)
    await act(pages, game, "move", token="@a1", ply="0")
    text = await act(pages, game, "move", token="a1-a5", ply="1")
    assert ply_of(text) == 4

    async def answered() -> bool:
        return "Place one to three rings" in await pages.get(f"{game}/position")

    await eventually(answered, 60.0)
    assert ply_of(await pages.get(f"{game}/position")) > 4


async def test_a_participant_plays_another_game_every_time(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = iter(range(6))
    monkeypatch.setattr(play_module.secrets, "randbelow", lambda _: next(seeds))
    played = set()
    for _ in range(6):
        game = await begun(pages, seat1="gumbel:2", seat2="person")

        async def answered(game: str = game) -> bool:
            return "Place one to three rings" in await pages.get(f"{game}/position")

        await eventually(answered, 60.0)
        played.add(tuple(re.findall(r'class="mono[^"]*"[^>]*>([^<]+)<', await pages.get(game))))
    assert len(played) > 1
    assert () not in played


async def test_only_a_legal_move_of_this_position_is_played(pages: Site) -> None:
    game = await begun(pages)
    assert "192 other moves" in await act(pages, game, "move", 400, token="a1-a2", ply="0")
    assert "no move" in await act(pages, game, "move", 400, token="<b>", ply="0")
    await act(pages, game, "move", 409, token="@a1", ply="7")
    await act(pages, game, "dance", 404)
    assert ply_of(await pages.get(game)) == 0


async def test_a_choice_is_taken_back(pages: Site) -> None:
    game = await begun(pages, seat2="person")
    await act(pages, game, "undo", 400)
    await act(pages, game, "move", token="@a1")
    assert ply_of(await act(pages, game, "undo")) == 0


async def test_a_hint_names_moves_and_is_old_after_the_next(pages: Site) -> None:
    game = await begun(pages, seat2="person")
    text = await act(pages, game, "hint")
    assert "<h2>Hint</h2>" in text
    assert "percent" in text
    assert "<h2>Hint</h2>" not in await act(pages, game, "move", token="@a1")


async def test_the_pie_rule_is_offered_to_seat_two(pages: Site) -> None:
    game = await begun(pages, seat2="person", pie="1", name1="Ada", name2="Bob")
    await act(pages, game, "move", token="@a1")
    text = await act(pages, game, "move", token="a1-a5")
    assert "swap seats (pie rule)" in text
    text = await act(pages, game, "move", token="swap")
    assert "<strong>Ada:</strong>" in text  # who opened plays on as seat 2


async def test_a_resigned_game_leads_to_its_analysis(pages: Site) -> None:
    game = await begun(pages, seat2="person")
    text = await act(pages, game, "resign")
    assert "wins</strong> by resign" in text
    address = f"/analysis?play={game.removeprefix('/play/')}"
    assert address in text
    assert "Analysis of square8_2p" in await pages.get(address)
    await act(pages, game, "move", 409, token="@a1")


async def test_a_game_is_kept_by_the_operator_only(pages: Site) -> None:
    game = await begun(pages, seat2="person")
    pages.sign_in()
    await act(pages, game, "keep", 409)  # it is not over
    await act(pages, game, "resign")
    del pages.client.headers["authorization"]
    await act(pages, game, "keep", 401)
    pages.sign_in()
    assert "kept as GAMES/1" in await act(pages, game, "keep")
    await act(pages, game, "keep", 409)
    found = await read.fact_at(pages.log, "GAMES/1")
    assert found is not None
    assert isinstance(found.event, GameCompleted)
    assert (found.event.origin, found.event.reason) == ("human", "resign")


async def test_a_process_with_the_rights_of_a_viewer_says_that_it_cannot_keep(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringrift.log.errors import Forbidden

    async def refuse(*_: object, **__: object) -> list[int]:
        raise Forbidden("publish to", "ringrift.game.>", "viewer")

    game = await begun(pages, seat2="person")
    await act(pages, game, "resign")
    pages.sign_in()
    monkeypatch.setattr(pages.log, "append", refuse)
    assert "may only read the log" in await act(pages, game, "keep", 403)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"config": "hex9_2p"}, "unknown config"),
        ({"seat2": "a@b"}, "no player"),
        ({"seat2": "other"}, "name a network or a harness"),
        ({"seat2": "current"}, "no current network"),
        ({"seat2": "other", "other2": "/etc/passwd"}, "no player"),
        ({"name1": 'a"b'}, "a name has"),
        ({"seat2": "other", "other2": "minimax:999999"}, "budget"),
    ],
)
async def test_an_impossible_game_is_refused_with_the_reason(
    pages: Site, form: dict[str, str], reason: str
) -> None:
    answer = await pages.client.post("/play", data={**FORM, **form})
    assert answer.status_code == 400
    assert reason in answer.text.replace("&#39;", "'")


async def test_other_sites_and_other_machines_need_the_token(pages: Site) -> None:
    headers = {"origin": "http://evil.example"}
    assert (await pages.client.post("/play", data=FORM, headers=headers)).status_code == 403
    transport = pages.client._transport
    transport.client = ("10.0.0.7", 1)  # type: ignore[attr-defined]
    assert (await pages.client.post("/play", data=FORM)).status_code == 401
    pages.sign_in()
    assert (await pages.client.post("/play", data=FORM)).status_code == 303


async def test_games_are_bounded_and_the_unused_go_first(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play_module, "TABLES_MAX", 2)
    first, second = [await begun(pages, seat2="person") for _ in range(2)]
    await pages.get(first)
    third = await begun(pages, seat2="person")
    await pages.get(second, 404)
    await pages.get(first)
    await pages.get(third)


async def test_names_are_text(pages: Site) -> None:
    game = await begun(pages, seat2="person", name1="<i>Ada</i>")
    text = await pages.get(game)
    assert "<i>Ada" not in text
    assert "&lt;i&gt;Ada" in text


async def test_live_updates_begin_with_the_present_version(pages: Site) -> None:
    game = await begun(pages, seat2="person")
    tables: Tables = pages.client._transport.app.state.tables  # type: ignore[attr-defined]
    table = tables.get(game.removeprefix("/play/"))
    before = table.version
    await act(pages, game, "move", token="@a1")
    assert await table.changed(before) > before
    assert np.all(np.diff([before, table.version]) > 0)


async def test_the_link_of_a_network_names_it_as_the_opponent(pages: Site) -> None:
    text = await pages.get("/play?config=hex8_3p&model=c0ffee000000")
    assert 'value="c0ffee000000"' in text
    assert '<option value="hex8_3p" selected' in text


async def test_a_network_of_the_log_plays_and_a_damaged_one_is_refused(pages: Site) -> None:
    config = Config.parse("hex8_2p")
    tower = build("v2-micro", hex_board=True, seed=1)
    data = TowerCheckpoint.save(tower, architecture="v2-micro", config=config)
    digest = await Blobs(pages.log).put(MODEL_BUCKET, data)
    game = await begun(pages, config="hex8_2p", seat1="other", other1=f"{digest}:4", seat2="person")

    async def moved() -> bool:
        return "person 2:</strong>" in await pages.get(f"{game}/position")

    await eventually(moved, 60.0)
    assert f"network {digest[:12]}" in await pages.get(game)
    damaged = await Blobs(pages.log).put(MODEL_BUCKET, b"no network")
    form = {**FORM, "config": "hex8_2p", "seat2": "other", "other2": damaged}
    answer = await pages.client.post("/play", data=form)
    assert answer.status_code == 400, answer.text
