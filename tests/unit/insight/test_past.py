"""The system as it was at any point, and what changed in between."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringrift.errors import CommandError
from ringrift.events.facts import ModelPromoted, PipelinePaused
from ringrift.insight.past import MISSING, at, changes, diff
from ringrift.insight.replay import rebuild_elo, replayed_runs
from ringrift.log import read
from ringrift.runtime.processes import deciders

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner) | st.tuples(inner),
)


@settings(max_examples=50, deadline=None)
@given(values, values)
def test_values_differ_exactly_where_changes_say(before: Any, after: Any) -> None:
    found = list(changes(before, after))
    assert (not found) == (before == after)
    assert list(changes(before, copy.deepcopy(before))) == []
    assert all(
        change.before is MISSING or change.after is MISSING or change.before != change.after
        for change in found
    )


async def test_every_decider_is_a_projection(world: Any) -> None:
    document = (await at(world.log, 0)).document()
    assert document.keys() == {"ratings", "generations", "settings", "pauses", *deciders()}


async def test_a_projection_that_does_not_exist_is_refused(world: Any) -> None:
    with pytest.raises(CommandError, match="no projection is called 'nonsense'; there are ratings"):
        await at(world.log, 0, "nonsense")


async def test_at_the_end_it_is_what_live_deciders_hold(world: Any) -> None:
    past = await at(world.log, await world.log.tail("EVENTS"))
    live = {run.decider.name: run.fold_hash for run in world.runs}
    assert {
        run.decider.name: run.fold_hash for run in past.runs if run.decider.name in live
    } == live


async def test_at_every_point_it_is_the_fold_to_there(world: Any) -> None:
    for seq in range(0, await world.log.tail("EVENTS"), 7):
        past = await at(world.log, seq)
        found = {run.decider.name: run.fold_hash for run in past.runs}
        runs = await replayed_runs(world.log, deciders().values(), seq)
        assert found == {run.decider.name: run.fold_hash for run in runs}


async def test_the_ratings_are_those_of_the_rebuilt_table(world: Any) -> None:
    promoted = [item async for item in read.facts(world.log, ModelPromoted)][1].meta.seq
    past = await at(world.log, promoted, "ratings")
    (table,) = await rebuild_elo(world.log, until=promoted)
    assert tuple(past.ratings["hex8_2p"].values()) == table.table.ratings
    assert list(past.document()) == ["ratings"]


async def test_the_network_was_another_before_the_promotion(world: Any) -> None:
    first, second, *_ = [item async for item in read.facts(world.log, ModelPromoted)]
    before, after = [
        (await at(world.log, seq, "generations")).document()
        for seq in (second.meta.seq - 1, second.meta.seq)
    ]
    assert before["generations"]["hex8_2p"]["current"] == first.event.model
    assert after["generations"]["hex8_2p"]["current"] == second.event.model


async def test_settings_and_pauses_as_they_were(world: Any) -> None:
    before = await world.log.tail("EVENTS")
    await world.put(PipelinePaused(scope="hex8_2p", kind="training", why="test"))
    assert (await at(world.log, before, "pauses")).document() == {"pauses": ()}
    assert (await at(world.log, before + 1, "pauses")).document() == {
        "pauses": (("hex8_2p", "training"),)
    }
    assert (await at(world.log, 0, "settings")).document()["settings"]["version"] == 0
    assert (await at(world.log, 1, "settings")).document()["settings"]["version"] == 1


async def test_a_diff_names_the_event_that_did_it(world: Any) -> None:
    promoted = [item async for item in read.facts(world.log, ModelPromoted)][1]
    found = await diff(world.log, promoted.meta.seq - 1, promoted.meta.seq)
    (current,) = [
        item
        for item in found
        if item.projection == "generations" and item.change.path[-1] == "current"
    ]
    assert current.change.after == promoted.event.model
    assert [meta.position for meta in current.causes] == [promoted.meta.position]


async def test_a_diff_leads_from_one_state_to_the_other(world: Any) -> None:
    tail = await world.log.tail("EVENTS")
    for first, second in ((0, tail), (tail // 2, tail), (3, tail // 2)):
        old, new = [await at(world.log, seq, "training") for seq in (first, second)]
        expected = list(changes(old.runs[0].state, new.runs[0].state))
        assert [
            item.change for item in await diff(world.log, first, second, "training")
        ] == expected
        assert all(item.causes for item in await diff(world.log, first, second, "training"))


async def test_nothing_changes_between_a_point_and_itself(world: Any) -> None:
    assert await diff(world.log, 5, 5) == []
    assert await diff(world.log, await world.log.tail("EVENTS"), 10_000) == []


async def test_a_time_is_a_sequence(world: Any) -> None:
    tail = await world.log.tail("EVENTS")
    for seq in (1, tail // 2, tail):
        entry = await world.log.get("EVENTS", seq)
        assert seq <= await read.seq_at(world.log, entry.time) <= tail
    assert await read.seq_at(world.log, 10_000) == tail
