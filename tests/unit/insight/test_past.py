"""The projections of a small loop at points of its log, and their changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import UNSET
from support.turning_loop import TurningLoop

from ringrift.errors import CommandError
from ringrift.events.facts import ModelPromoted, PipelinePaused
from ringrift.insight import past
from ringrift.insight.rebuild import rebuild_elo, replayed_runs
from ringrift.log import read
from ringrift.runtime.authorship import deciders

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner) | st.tuples(inner),
)


@settings(max_examples=50, deadline=None)
@given(values, values)
def test_values_have_changes_exactly_where_they_differ(before: Any, after: Any) -> None:
    found = list(past.changes(before, after))
    assert (not found) == (before == after)
    assert list(past.changes(before, copy.deepcopy(before))) == []
    for _, old, new in found:
        assert UNSET in (old, new) or old != new


async def test_every_decider_is_a_projection(loop: TurningLoop) -> None:
    document = (await past.at(loop.log, 0)).document()
    assert document.keys() == {"ratings", "generations", "settings", "pauses", *deciders()}


async def test_an_unknown_projection_is_refused(loop: TurningLoop) -> None:
    with pytest.raises(CommandError, match="no projection is called 'nonsense'; there are ratings"):
        await past.at(loop.log, 0, "nonsense")


async def test_the_end_is_the_state_of_the_live_deciders(loop: TurningLoop) -> None:
    found = {run.decider.name: run for run in (await past.at(loop.log, await loop.tail())).runs}
    for run in loop.runs:
        assert found[run.decider.name].fold_hash == run.fold_hash


async def test_every_point_is_the_fold_up_to_it(loop: TurningLoop) -> None:
    for seq in range(0, await loop.tail(), 7):
        found = {run.decider.name: run.fold_hash for run in (await past.at(loop.log, seq)).runs}
        runs = await replayed_runs(loop.log, deciders().values(), seq)
        assert found == {run.decider.name: run.fold_hash for run in runs}


async def test_ratings_equal_the_rebuilt_table(loop: TurningLoop) -> None:
    promoted = (await loop.all(ModelPromoted))[1].meta.seq
    found = await past.at(loop.log, promoted, "ratings")
    (table,) = await rebuild_elo(loop.log, until=promoted)
    assert tuple(found.ratings["hex8_2p"].values()) == table.table.ratings
    assert list(found.document()) == ["ratings"]


async def test_a_promotion_changes_the_current_network(loop: TurningLoop) -> None:
    first, second, *_ = await loop.all(ModelPromoted)
    before, after = [
        (await past.at(loop.log, seq, "generations")).document()["generations"]["hex8_2p"]
        for seq in (second.meta.seq - 1, second.meta.seq)
    ]
    assert (before["current"], after["current"]) == (first.event.model, second.event.model)


async def test_settings_and_pauses_are_those_in_force(loop: TurningLoop) -> None:
    before = await loop.tail()
    await loop.put(PipelinePaused(scope="hex8_2p", kind="training", why="test"))
    for seq, paused in ((before, ()), (before + 1, (("hex8_2p", "training"),))):
        assert (await past.at(loop.log, seq, "pauses")).document() == {"pauses": paused}
    for seq in (0, 1):
        found = (await past.at(loop.log, seq, "settings")).document()
        assert found["settings"]["version"] == seq


async def test_a_diff_names_the_event_that_caused_a_change(loop: TurningLoop) -> None:
    promoted = (await loop.all(ModelPromoted))[1]
    found = await past.diff(loop.log, promoted.meta.seq - 1, promoted.meta.seq, "generations")
    (current,) = [item for item in found if item.path.endswith(".current")]
    assert current.after == promoted.event.model
    assert [cause.position for cause in current.causes] == [promoted.meta.position]


@pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (0.5, 1.0), (0.05, 0.5)])
async def test_a_diff_is_the_difference_of_both_states(
    loop: TurningLoop, first: float, second: float
) -> None:
    points = [int(share * await loop.tail()) for share in (first, second)]
    states = [(await past.at(loop.log, seq, "training")).runs[0].state for seq in points]
    found = await past.diff(loop.log, points[0], points[1], "training")
    assert [(item.path, item.before, item.after) for item in found] == [
        (".".join(path), before, after) for path, before, after in past.changes(*states)
    ]
    assert all(item.causes for item in found)


async def test_nothing_changes_between_a_point_and_itself(loop: TurningLoop) -> None:
    assert await past.diff(loop.log, 5, 5, None) == []
    assert await past.diff(loop.log, await loop.tail(), 10_000, None) == []


async def test_a_time_is_the_newest_sequence_stored_by_then(loop: TurningLoop) -> None:
    tail = await loop.tail()
    for seq in (1, tail // 2, tail):
        entry = await loop.log.get("EVENTS", seq)
        assert entry is not None
        assert seq <= await read.seq_at(loop.log, entry.time) <= tail
    assert await read.seq_at(loop.log, 10_000) == tail


async def test_text_has_a_heading_per_projection(loop: TurningLoop) -> None:
    document = (await past.at(loop.log, await loop.tail())).document()
    headings = [str(line) for line in past.past_lines(document) if not isinstance(line, str)]
    assert headings == list(document)
