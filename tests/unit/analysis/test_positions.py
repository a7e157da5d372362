"""Analysis of positions with every harness: candidates, values, growing reports."""

import asyncio

import pytest
from support.positions import random_positions

from ringrift.analysis.participants import Library
from ringrift.analysis.positions import Analysis, analyse, budgets
from ringrift.analysis.searching import Searcher
from ringrift.errors import CommandError
from ringrift.rules import Config, IllegalMove, Position

HEX8 = Config.parse("hex8_2p")


async def analysed(searching, who, position, **options) -> list[Analysis]:
    return [found async for found in analyse(searching, who, position, **options)]


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p"])
@pytest.mark.parametrize(
    "text", ["gumbel:24", "minimax:64", "maxn:64", "brs:64", "descent:64", "heuristic", "random"]
)
async def test_an_analysis_is_complete(
    text: str, key: str, searching: Searcher, library: Library
) -> None:
    config = Config.parse(key)
    if text[:3] in ("min", "max", "brs") and (text[:3] == "min") != (config.seats == 2):
        pytest.skip("not for this number of seats")
    who = await library.participant(config, text)
    for position in random_positions(key, count=3, seed=4):
        before = position.text()
        (found,) = await analysed(searching, who, position)
        assert position.text() == before == found.position
        assert found.root.seat == position.seat
        assert len(found.root.values) == config.seats
        assert {move.move for move in found.moves} == set(position.legal())
        assert [move.order for move in found.moves] == list(range(len(found.moves)))
        decision, _ = await searching.search(who, position)
        assert found.best is not None
        assert found.best.move == position.token(decision.move)
        assert found.root.visits == decision.nodes
        for move in found.moves:
            assert all(value is None or -1 <= value <= 1 for value in move.values)
            assert not move.pv or move.pv[0] == move.move
        if found.moves[0].prior is not None:
            assert sum(move.prior for move in found.moves) == pytest.approx(1, abs=0.02)
            assert sum(move.improved_policy for move in found.moves) == pytest.approx(1, abs=0.02)


async def test_a_growing_analysis_ends_with_the_whole_budget(
    searching: Searcher, library: Library
) -> None:
    who = await library.participant(HEX8, "gumbel:128")
    (position,) = random_positions("hex8_2p", count=1)
    found = await analysed(searching, who, position, growing=True)
    assert [one.simulations for one in found] == budgets(who) == [8, 32, 128]
    assert [one.is_during_search for one in found] == [True, True, False]
    assert [found[-1]] == await analysed(searching, who, position)


async def test_forced_plies_are_played_first(searching: Searcher, library: Library) -> None:
    position = Position.start(HEX8)
    position.play("@e5")
    position.play("e5-e6")
    assert len(position.legal()) == 1
    (found,) = await analysed(searching, await library.participant(HEX8, "heuristic"), position)
    assert found.forced == ("-l", "-t")
    assert found.root.seat == 2


async def test_only_allowed_moves_are_considered(searching: Searcher, library: Library) -> None:
    who = await library.participant(HEX8, "gumbel:32")
    position = Position.start(HEX8)
    (found,) = await analysed(searching, who, position, allow=["@e5", "@a5"])
    assert {move.move for move in found.moves} == {"@e5", "@a5"}
    assert found.root.values == found.moves[0].values
    assert all(move.pv[0] == move.move for move in found.moves)
    with pytest.raises(IllegalMove):
        await analysed(searching, who, position, allow=["e5-e6"])


async def test_a_finished_game_has_the_values_of_its_ranks(
    searching: Searcher, library: Library
) -> None:
    position = Position.start(HEX8)
    position.play("resign")
    (found,) = await analysed(searching, await library.participant(HEX8, "D3"), position)
    assert (found.root.seat, found.root.values, found.moves) == (0, [-1.0, 1.0], ())


async def test_positions_that_wait_are_searched_together(
    searching: Searcher, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    search = searching._search
    monkeypatch.setattr(
        searching, "_search", lambda batch: sizes.append(len(batch)) or search(batch)
    )
    who, other = [await library.participant(HEX8, f"gumbel:{n}") for n in (8, 16)]
    positions = random_positions("hex8_2p", count=5)
    asked = [searching.search(who, position) for position in positions]
    await asyncio.gather(*asked, searching.search(other, positions[0], priority=1))
    assert sizes == [1, 5]


async def test_a_withdrawn_search_is_not_made(searching: Searcher, library: Library) -> None:
    who = await library.participant(HEX8, "gumbel:8")
    (position,) = random_positions("hex8_2p", count=1)
    asking = asyncio.create_task(searching.search(who, position))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await searching.search(who, position)
    assert searching.waiting == 0


async def test_a_search_larger_than_memory_is_refused(
    searching: Searcher, library: Library
) -> None:
    config = Config.parse("hexagonal_4p")
    who = await library.participant(config, "gumbel:100000")
    with pytest.raises(
        CommandError, match="1,000,000 simulations on hexagonal need more than 1 GiB"
    ):
        await searching.search(who.with_budget(10**6), Position.start(config))
