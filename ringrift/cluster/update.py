"""`ringrift update --safe`: a new program on every node and server, while the loop runs.

Nodes kept by `ringrift node run` are asked through the bucket `control`: they drain, run the update
command they were started with and restart. Those without the coordinator role update together,
those with it one by one; before them all one is updated alone and compared with itself
(`ringrift.cluster.canary`). Then servers restart one at a time, each only while all others are up
and every stream is current on all of them: those of a local cluster by this command, others by
hand. A step that fails is rolled back and ends the update."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec import Struct

from ringrift.cluster import canary
from ringrift.cluster.local import LocalCluster, health
from ringrift.cluster.streams import stream_infos
from ringrift.errors import CommandError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence, UpdateRequest, update_subject
from ringrift.log.topology import CONTROL_BUCKET, EVENTS
from ringrift.runtime.cluster_view import Voters, voters_in
from ringrift.runtime.condition import LAG_READY_MAX

LOOK_SECONDS = 0.5
HAND_OVER_SECONDS = 3.0
"""a server about to stop hands over its leaderships in less than a second, as measured"""


class UpdateFailed(CommandError):
    """A step of the update was not completed in time."""


class Steps(Struct, frozen=True, kw_only=True):
    """The steps of an update: the canary, if there is one, the other nodes at once, then nodes one
    by one, then servers of a local cluster one by one; servers that a person restarts."""

    canary: str
    together: tuple[str, ...]
    one_by_one: tuple[str, ...]
    servers: tuple[str, ...]
    by_hand: tuple[str, ...]


async def find_steps(
    log: JetStreamLog, cluster: LocalCluster | None, *, skip_voters: bool, canary: bool
) -> Steps:
    """The steps for the nodes that are up and the servers, which are those of `cluster` if it is
    given; with a `canary`, one node comes first."""
    beats = await Presence(log).all()
    machines = {beat.node: beat.machine for beat in beats if beat.machine is not None}
    servers = [] if skip_voters else await _servers(log, cluster)
    return plan(machines, servers, local=cluster is not None, canary=canary)


def plan(
    machines: dict[str, Machine], servers: Sequence[str], *, local: bool, canary: bool = False
) -> Steps:
    """The steps for these nodes and servers; `local`: the servers are those of a local cluster. The
    canary is a node that plays, if there is one: its speed can be measured."""
    coordinators = sorted(name for name in machines if "coordinator" in machines[name].roles)
    together = tuple(sorted(machines.keys() - set(coordinators)))
    here, elsewhere = (tuple(servers), ()) if local else ((), tuple(servers))
    first = min(together, key=lambda name: "worker" not in machines[name].roles, default="")
    first = first if canary else ""
    return Steps(
        canary=first,
        together=tuple(name for name in together if name != first),
        one_by_one=tuple(coordinators),
        servers=here,
        by_hand=elsewhere,
    )


def describe(steps: Steps) -> str:
    """The steps in words."""
    lines = []
    if steps.canary:
        lines.append(f"node {steps.canary} first, whose errors and speed are compared with before")
    if steps.together:
        lines.append(f"nodes, all at once: {', '.join(steps.together)}")
    lines += [f"then node {name} alone, a coordinator" for name in steps.one_by_one]
    lines += [f"then restart server {name}, once all others are current" for name in steps.servers]
    if steps.by_hand:
        lines.append(f"servers to restart by hand, one at a time: {', '.join(steps.by_hand)}")
        restart = "systemctl restart ringrift-nats"
        lines.append(f"on each: `{restart}`, then wait until `ringrift status` says HEALTHY")
    return "\n".join(lines) or "nothing to update: there is no `ringrift node run` and no cluster"


async def update_nodes(
    log: JetStreamLog, steps: Steps, seconds: float, watched_seconds: float = 0.0
) -> None:
    """Update the nodes and wait until they are back, each at most `seconds`; watch the canary for
    `watched_seconds`.

    Raises UpdateFailed after rolling back the nodes that were updated."""
    done: list[str] = []
    singles = [(name,) for name in steps.one_by_one]
    for names in filter(None, ((steps.canary,) if steps.canary else (), steps.together, *singles)):
        done += names
        try:
            if names == (steps.canary,):
                await _update_canary(log, steps.canary, seconds, watched_seconds)
            else:
                await _request(log, names, "update", seconds)
        except UpdateFailed as error:
            print(f"{error}; rolling back {', '.join(done)}", file=sys.stderr)
            with contextlib.suppress(UpdateFailed):
                await _request(log, done, "rollback", seconds)
            raise


async def _update_canary(
    log: JetStreamLog, name: str, seconds: float, watched_seconds: float
) -> None:
    before = await canary.look_back(log, name, watched_seconds)
    await _request(log, (name,), "update", seconds)
    print(f"{name}: watched for {watched_seconds:,.0f} s")
    verdict = await canary.watch(log, before, watched_seconds)
    if not verdict.passed:
        raise UpdateFailed(f"{name}: {verdict.why}")
    print(f"{name}: {verdict.why}, so the others follow")


async def _request(log: JetStreamLog, names: Sequence[str], action: str, seconds: float) -> None:
    request = msgspec.convert({"id": uuid.uuid4().hex[:12], "action": action}, UpdateRequest)
    body = msgspec.json.encode(request)
    for name in names:
        await log.publish(f"KV_{CONTROL_BUCKET}", update_subject(name), body)
    await asyncio.gather(*(_converged(log, name, request.id, seconds) for name in names))
    for name in names:
        print(f"{name}: {action} done")


async def _converged(log: JetStreamLog, name: str, request: str, seconds: float) -> None:
    """Return when the node has carried out the request and its processes have caught up. Raises
    UpdateFailed."""
    deadline = time.monotonic() + seconds
    why = "it has not answered"
    while time.monotonic() < deadline:
        beats = [beat for beat in await Presence(log).all() if beat.node == name]
        machines = [beat.machine for beat in beats if beat.machine]
        machine = next((each for each in machines if each.update == request), None)
        if machine is not None:
            if machine.update_problem:
                raise UpdateFailed(f"{name}: {machine.update_problem}")
            why = missing(machine, beats, await log.tail(EVENTS))
            if not why:
                return
        await asyncio.sleep(LOOK_SECONDS)
    raise UpdateFailed(f"{name}: not ready after {seconds:g} s: {why}")


def missing(machine: Machine, beats: Sequence[Heartbeat], tail: int) -> str:
    """What a node still lacks to work as planned, empty if nothing."""
    running = [beat.consumer for beat in beats]
    for consumer in machine.consumers:
        if running.count(consumer) < machine.consumers.count(consumer):
            return f"{consumer} is not running"
    late = [beat for beat in beats if beat.folds and tail - beat.seq > LAG_READY_MAX]
    return ", ".join(f"{beat.consumer} is {tail - beat.seq} events behind" for beat in late)


async def restart_server(
    log: JetStreamLog, cluster: LocalCluster, name: str, seconds: float
) -> None:
    """Restart one server of a local cluster: only while all are current, and until all are current
    again, each at most `seconds`. Raises UpdateFailed."""
    async with _within(seconds, f"{name} was not restarted: not all servers are current"):
        await _until_current(log, cluster)
    await asyncio.to_thread(cluster.hand_over, name)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HAND_OVER_SECONDS):
            while name in {view.leader for view in await _views(log)}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await asyncio.to_thread(cluster.stop_member, name)
    cluster.start_member(name)
    async with _within(seconds, f"{name} was restarted and is not current; others were skipped"):
        await _until_current(log, cluster)
    print(f"{name}: restarted, all streams current")


@contextlib.asynccontextmanager
async def _within(seconds: float, otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UpdateFailed(f"{otherwise} (waited {seconds:g} s)") from error


async def _until_current(log: JetStreamLog, cluster: LocalCluster) -> None:
    while True:
        healthy = [await health(member) == "ok" for member in cluster.members]
        if all(healthy) and all(view.leader and not view.away for view in await _views(log)):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _views(log: JetStreamLog) -> list[Voters]:
    """The voters of each stream."""
    return [voters_in(info) for info in (await stream_infos(log)).values()]


async def _servers(log: JetStreamLog, cluster: LocalCluster | None) -> list[str]:
    """Names of the servers. The leader of `EVENTS` comes last, so that its leaderships move only
    once."""
    info = await log.call(f"STREAM.INFO.{EVENTS}")
    leader = voters_in(info).leader
    if cluster:
        names = [member.name for member in cluster.members]
    else:
        replicas = (info.get("cluster") or {}).get("replicas") or []
        names = [str(item["name"]) for item in replicas]
        names += [leader] if leader not in (None, "single") else []
    return sorted(names, key=lambda name: (name == leader, name))
