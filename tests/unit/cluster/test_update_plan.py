"""The order in which nodes and servers are updated, and when a node is ready."""

from __future__ import annotations

from ringrift.cluster.update import describe, missing, plan
from ringrift.log.presence import Heartbeat, Machine
from ringrift.runtime.condition import LAG_READY_MAX


def machine(*roles: str, consumers: tuple[str, ...] = ()) -> Machine:
    return Machine(roles=roles, cores=1, memory_bytes=1, consumers=consumers)


def beat(consumer: str, seq: int = 0, folds: dict[str, str] | None = None) -> Heartbeat:
    return Heartbeat(
        consumer=consumer,
        node="n",
        instance="i",
        pid=1,
        doing="",
        seq=seq,
        errors=0,
        folds=folds or {},
    )


def test_workers_update_together_and_coordinators_one_by_one() -> None:
    machines = {
        "b": machine("coordinator"),
        "w2": machine("worker"),
        "a": machine("worker", "coordinator"),
        "w1": machine("trainer"),
    }
    steps = plan(machines, ["n1", "n2", "n3"], local=True)
    assert (steps.together, steps.one_by_one) == (("w1", "w2"), ("a", "b"))
    assert (steps.servers, steps.by_hand) == (("n1", "n2", "n3"), ())


def test_the_canary_is_a_node_that_plays_if_there_is_one() -> None:
    machines = {"t": machine("trainer"), "w": machine("worker"), "x": machine("worker")}
    steps = plan(machines, [], local=True, canary=True)
    assert (steps.canary, steps.together) == ("w", ("t", "x"))
    assert plan({"t": machine("trainer")}, [], local=True, canary=True).canary == "t"
    alone = plan({"c": machine("coordinator")}, [], local=True, canary=True)
    assert (alone.canary, alone.one_by_one) == ("", ("c",))
    first = describe(steps).splitlines()[0]
    assert first == "node w first, whose errors and speed are compared with before"


def test_servers_on_other_machines_are_restarted_by_hand() -> None:
    steps = plan({}, ["n1"], local=False)
    assert (steps.servers, steps.by_hand) == ((), ("n1",))


def test_a_node_is_ready_when_all_its_processes_run_and_have_caught_up() -> None:
    node = machine("worker", "coordinator", consumers=("selfplay", "selfplay", "planner"))
    playing, tail = [beat("selfplay"), beat("selfplay")], 500
    assert missing(node, playing[:1], tail) == "selfplay is not running"
    assert missing(node, playing, tail) == "planner is not running"
    late = beat("planner", tail - LAG_READY_MAX - 1, {"fold": "0"})
    assert missing(node, [*playing, late], tail) == f"planner is {LAG_READY_MAX + 1} events behind"
    assert (
        missing(node, [*playing, beat("planner", tail - LAG_READY_MAX, {"fold": "0"})], tail) == ""
    )


def test_the_steps_are_described_in_their_order() -> None:
    steps = plan({"w": machine("worker"), "c": machine("coordinator")}, ["n1"], local=True)
    assert describe(steps).splitlines() == [
        "nodes, all at once: w",
        "then node c alone, a coordinator",
        "then restart server n1, once all others are current",
    ]
    assert describe(plan({}, [], local=True)).startswith("nothing to update")
