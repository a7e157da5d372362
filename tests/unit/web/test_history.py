"""When the values that a person compares changed."""

from __future__ import annotations

from support.pages import Site

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.web.fold import Fold
from ringrift.web.history import ALL, OF_ALL, OF_CONFIG, PAUSED


async def eventful(site: Site) -> None:
    pause = f.PipelinePaused(scope="hex8_2p", kind="all", why="w")
    failed = f.TrainingFailed(config="hex8_2p", generation=4, ticket="t", node="n1", reason="r")
    await site.record(
        pause,
        pause,
        failed,
        f.DeadLetterStored(
            consumer="trainer", stream="EVENTS", seq=3, dead_seq=1, reason="e", deliveries=1
        ),
        f.PipelinePaused(scope="all", kind="all", why="w"),
        f.PipelineResumed(scope="hex8_2p", kind="all", why="w"),
        failed,
    )


NOTHING = (None, "", 0, "starting")
"""values of what has not begun"""


def values(fold: Fold) -> dict[tuple[str, str], object]:
    """Every value of a fold, by scope and name, but for those that are nothing yet."""
    found = {(ALL, one.what): one.read(fold, ALL) for one in (*OF_ALL, PAUSED)}
    for config in fold.loop.configs:
        found |= {(config, one.what): one.read(fold, config) for one in (*OF_CONFIG, PAUSED)}
    return {key: value for key, value in found.items() if value not in NOTHING}


async def test_every_value_is_known_at_every_event_with_the_events_that_changed_it(
    turned: Site,
) -> None:
    await eventful(turned)
    history, fold, before = turned.view.history, Fold(), dict[tuple[str, str], object]()
    causes: dict[tuple[str, str], list[int]] = {}
    async for recorded in read.facts(turned.log):
        fold.take(recorded)
        now, seq = values(fold), recorded.meta.seq
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                causes.setdefault(key, []).append(seq)
        known = {
            (scope, what): changes.at(seq)
            for scope, of in history.scopes.items()
            for what, changes in of.items()
        }
        assert {key: value for key, value in known.items() if value not in NOTHING} == now, seq
        before = now
    for (scope, what), seqs in causes.items():
        assert set(seqs) <= set(history.scopes[scope][what].seqs), what
    assert len(causes) > 12


async def test_a_difference_names_the_newest_events_that_made_it(turned: Site) -> None:
    before = turned.view.fold.seq
    await eventful(turned)
    found = dict(turned.view.history.since(before))
    (trouble,) = [one for one in found[ALL] if one.what == "failures and setbacks"]
    assert (trouble.after, trouble.causes, trouble.events) == (
        "hex8_2p: training failed",
        [before + 3],
        1,
    )
    assert [one.causes for one in found[ALL] if one.what == "paused"] == [[before + 5]]
    assert [one for one in found["hex8_2p"] if one.what == "paused"] == []
    assert list(found)[-1] == ALL
    now = turned.view.history.since(turned.view.fold.seq)
    assert [different for _, different in now if different] == []
    page = await turned.get(f"/time?at={before}")
    assert f'href="/events/{before + 3}"' in page
