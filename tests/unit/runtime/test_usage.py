"""How much of each machine works, from heartbeats: whole cores, by work, and reasons for the
rest."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from ringrift.deciders.fleet.alerts import NO_TICKET
from ringrift.insight.usage import used
from ringrift.log.presence import Heartbeat
from ringrift.runtime.usage import NO_PROCESS, SAMPLE_SECONDS, Usage

IDLE = Heartbeat(
    consumer="selfplay",
    node="n",
    instance="i",
    pid=1,
    doing="waiting for work",
    seq=0,
    errors=0,
    folds={},
    cores=2,
    busy=False,
)


def sample(*looks: tuple[float, list[Heartbeat]]):
    usage = Usage(0.0)
    for now, beats in looks:
        usage.look(beats, now)
    found = usage.sample(looks[-1][0])
    assert found is not None
    return found.nodes


def test_a_node_is_used_by_those_that_work_and_waits_for_what_idle_players_say():
    playing = replace(IDLE, busy=True, doing="playing")
    (node,) = sample((30.0, [playing, IDLE]), (60.0, [playing, playing])).values()
    assert node.busy == {"selfplay": 90.0}
    assert node.waited == {NO_TICKET: 30.0}
    paused = replace(IDLE, doing="waiting: selfplay is paused")
    (node,) = sample((60.0, [paused, replace(IDLE, consumer="evaluator")])).values()
    assert node.waited == {"selfplay-is-paused": 120.0}


def test_more_threads_than_cores_share_them():
    training = replace(IDLE, consumer="trainer", busy=True, threads=2)
    playing = replace(IDLE, busy=True)
    (node,) = sample((60.0, [training, playing, playing])).values()
    assert node.busy == {"training": 60.0, "selfplay": 60.0}
    assert node.waited == {}


def test_a_core_without_a_worker_waits_for_one():
    (node,) = sample((60.0, [replace(IDLE, busy=True)])).values()
    assert node.waited == {NO_PROCESS: 60.0}


def test_others_do_not_count_and_older_programs_say_nothing():
    usage = Usage(0.0)
    usage.look([replace(IDLE, consumer="rater", busy=None), replace(IDLE, cores=0)], 60.0)
    assert usage.sample(SAMPLE_SECONDS) is None


WORKERS = st.lists(
    st.builds(
        lambda name, busy, threads, node: replace(
            IDLE, consumer=name, busy=busy, threads=threads, node=node
        ),
        st.sampled_from(["selfplay", "evaluator", "trainer", "exporter"]),
        st.booleans(),
        st.integers(1, 8),
        st.sampled_from(["a", "b"]),
    ),
    max_size=6,
)


@given(st.lists(WORKERS, min_size=1, max_size=8))
def test_busy_and_waiting_core_seconds_sum_to_all(looks):
    usage = Usage(0.0)
    seconds = {"a": 0.0, "b": 0.0}
    for number, beats in enumerate(looks, start=1):
        usage.look(beats, number * SAMPLE_SECONDS)
        for node in {beat.node for beat in beats}:
            seconds[node] += SAMPLE_SECONDS
    found = usage.sample(len(looks) * SAMPLE_SECONDS)
    for name, node in (found.nodes if found else {}).items():
        total = sum(node.busy.values()) + sum(node.waited.values())
        assert total == pytest.approx(node.cores * seconds[name], abs=0.1)


def test_shares_of_several_nodes_are_summed():
    usage = Usage(0.0)
    usage.look([replace(IDLE, busy=True), replace(IDLE, node="m")], 60.0)
    (fact,) = [usage.sample(60.0)]
    found = used([fact])
    assert str(found["n"]) == "50% used (selfplay 50%); the rest waited for a process 50%"
    assert found["all"].share == 0.25
    assert list(used([])) == []
