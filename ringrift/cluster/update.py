"""`ringrift update --safe`: every node and every server runs the new program, and the loop goes on
meanwhile.

Nodes that `ringrift node run` keeps are asked through the bucket `control`: they drain, run the
update command they were started with and start anew; those without the coordinator at once, those
with it one by one. Servers are started anew one at a time, each only when all are there and every
stream is current on all of them. Those of a local cluster by this command; on other machines it
cannot, and says what to type there. What fails is taken back and ends the update."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ringrift.cli.cluster import as_role
from ringrift.cli.source import opened
from ringrift.cluster import local as local_cluster
from ringrift.errors import CommandError
from ringrift.log import api
from ringrift.log.errors import ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence, UpdateRequest, update_subject
from ringrift.log.topology import CONTROL_BUCKET, EVENTS, STREAMS
from ringrift.runtime.condition import LAG_READY_MAX
from ringrift.runtime.voters import Voters, voters_in

LOOK_SECONDS = 0.5
HAND_OVER_SECONDS = 3.0
"""a server that is about to leave hands its leaderships over first; more than a second was not
seen"""


class UpdateFailed(CommandError):
    """A step did not come to its end in time."""


class Steps(Struct, frozen=True, kw_only=True):
    """What will be done: nodes at once, nodes one by one, servers one by one (of a local cluster),
    and what a person must do."""

    together: tuple[str, ...]
    one_by_one: tuple[str, ...]
    servers: tuple[str, ...]
    by_hand: tuple[str, ...]


async def update(options: argparse.Namespace) -> int:
    """Carry it out, or with `--dry-run` tell. Raises CommandError; 1 if a step failed and was taken
    back."""
    if not options.safe and not options.dry_run:
        raise CommandError(
            "there is no update that is not safe: say --safe, or --dry-run to see what would be done"
        )
    cluster = _local_cluster(options)
    async with contextlib.AsyncExitStack() as stack:
        if cluster is not None:
            options.server = options.server or cluster.url
            stack.enter_context(as_role(options.data, cluster, "operator"))
        log = await stack.enter_async_context(opened(options))
        steps = plan(
            await _machines(log),
            [] if options.skip_voters else await _servers(log, cluster),
            local=cluster is not None,
        )
        _tell(steps)
        if options.dry_run:
            return 0
        try:
            await update_nodes(log, steps, options.convergence_timeout)
            if cluster is not None:
                for name in steps.servers:
                    await restart_server(
                        log, options.data, cluster, name, options.convergence_timeout
                    )
        except UpdateFailed as error:
            print(f"stopped: {error}", file=sys.stderr)
            return 1
    print("updated" + (", but for the servers above" if steps.by_hand else ""))
    return 0


def plan(machines: dict[str, Machine], servers: Sequence[str], *, local: bool) -> Steps:
    """The steps for these nodes and servers; `local`: the servers are those of a local cluster."""
    coordinators = tuple(
        sorted(name for name, machine in machines.items() if "coordinator" in machine.roles)
    )
    others = tuple(sorted(machines.keys() - set(coordinators)))
    return Steps(
        together=others,
        one_by_one=coordinators,
        servers=tuple(servers) if local else (),
        by_hand=() if local else tuple(servers),
    )


async def update_nodes(log: JetStreamLog, steps: Steps, seconds: float) -> None:
    """Ask the nodes and wait until they are back. Raises UpdateFailed after those that were updated
    have been taken back."""
    done: list[str] = []
    for names in (steps.together, *((name,) for name in steps.one_by_one)):
        try:
            done += names
            await _all(log, names, "update", seconds)
        except UpdateFailed as error:
            print(f"{error}; taking back {', '.join(done)}", file=sys.stderr)
            with contextlib.suppress(UpdateFailed):
                await _all(log, done, "rollback", seconds)
            raise


async def _all(log: JetStreamLog, names: Sequence[str], action: str, seconds: float) -> None:
    request = msgspec.convert({"id": uuid.uuid4().hex[:12], "action": action}, UpdateRequest)
    for name in names:
        await log.publish(
            f"KV_{CONTROL_BUCKET}", update_subject(name), msgspec.json.encode(request)
        )
    await asyncio.gather(*(_converged(log, name, request.id, seconds) for name in names))
    for name in names:
        print(f"{name}: {action} done")


async def _converged(log: JetStreamLog, name: str, request: str, seconds: float) -> None:
    """Return when the node has carried out the request, and all it keeps is there and has caught
    up. Raises UpdateFailed."""
    deadline = time.monotonic() + seconds
    why = "it has not answered"
    while time.monotonic() < deadline:
        beats = [beat for beat in await Presence(log).all() if beat.node == name]
        machine = next(
            (beat.machine for beat in beats if beat.machine and beat.machine.update == request),
            None,
        )
        if machine is not None and machine.update_problem:
            raise UpdateFailed(f"{name}: {machine.update_problem}")
        if machine is not None:
            why = missing(machine, beats, await log.tail(EVENTS))
            if not why:
                return
        await asyncio.sleep(LOOK_SECONDS)
    raise UpdateFailed(f"{name}: not there after {seconds:g} s: {why}")


def missing(machine: Machine, beats: Sequence[Heartbeat], tail: int) -> str:
    """What a node still lacks before it works as it should, empty for nothing."""
    running = [beat.consumer for beat in beats]
    for consumer in machine.consumers:
        if running.count(consumer) < machine.consumers.count(consumer):
            return f"{consumer} is not there"
    late = [beat for beat in beats if beat.folds and tail - beat.seq > LAG_READY_MAX]
    return ", ".join(f"{beat.consumer} is {tail - beat.seq} events behind" for beat in late)


async def restart_server(
    log: JetStreamLog, data: Path, cluster: local_cluster.LocalCluster, name: str, seconds: float
) -> None:
    """Start one server of a local cluster anew: only while all are there, and until all are there
    again. Raises UpdateFailed."""
    async with _within(
        seconds, f"{name} is left alone: not all servers and streams are current before it"
    ):
        await _until_current(log, cluster)
    await asyncio.to_thread(local_cluster.hand_over, data, cluster, name)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HAND_OVER_SECONDS):
            while name in await _leaders(log):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await asyncio.to_thread(local_cluster.stop_member, data, cluster, name)
    local_cluster.start_member(data, cluster, name)
    async with _within(
        seconds, f"{name} was started anew and is not current; the others were left alone"
    ):
        await _until_current(log, cluster)
    print(f"{name}: started anew, all streams current")


@contextlib.asynccontextmanager
async def _within(seconds: float, otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UpdateFailed(f"{otherwise} (waited {seconds:g} s)") from error


async def _until_current(log: JetStreamLog, cluster: local_cluster.LocalCluster) -> None:
    while True:
        healthy = [await local_cluster.is_healthy(member) == "ok" for member in cluster.members]
        if all(healthy) and all(view.leader and not view.away for view in await _views(log)):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _leaders(log: JetStreamLog) -> set[str | None]:
    return {view.leader for view in await _views(log)}


async def _views(log: JetStreamLog) -> list[Voters]:
    """Who leads each stream, and who of its voters is away or behind."""
    found = []
    for stream in STREAMS:
        try:
            found.append(voters_in(await log.call(f"STREAM.INFO.{stream.name}")))
        except ServerRefused as error:
            if error.code != api.NO_STREAM:
                raise
    return found


async def _machines(log: JetStreamLog) -> dict[str, Machine]:
    return {
        beat.node: beat.machine for beat in await Presence(log).all() if beat.machine is not None
    }


async def _servers(log: JetStreamLog, cluster: local_cluster.LocalCluster | None) -> list[str]:
    """Names of the servers, the one that leads `EVENTS` last: its leaderships move once."""
    info = await log.call(f"STREAM.INFO.{EVENTS}")
    leader = voters_in(info).leader
    names = (
        [member.name for member in cluster.members]
        if cluster
        else [str(item["name"]) for item in (info.get("cluster") or {}).get("replicas") or []]
        + ([leader] if leader not in (None, "single") else [])
    )
    return sorted(names, key=lambda name: (name == leader, name))


def _local_cluster(options: argparse.Namespace) -> local_cluster.LocalCluster | None:
    return local_cluster.read(options.data) if (options.data / "cluster.json").exists() else None


def _tell(steps: Steps) -> None:
    """Say what will be done."""
    if steps.together:
        print(f"nodes, all at once: {', '.join(steps.together)}")
    for name in steps.one_by_one:
        print(f"then node {name}, which has the coordinator, alone")
    for name in steps.servers:
        print(f"then server {name}, while all others are there and current")
    if steps.by_hand:
        print(
            f"servers on other machines, by hand and one at a time: {', '.join(steps.by_hand)}. On each: `systemctl restart"
        )
        print("ringrift-nats`, and go on when `ringrift status` says HEALTHY")
    if not (steps.together or steps.one_by_one or steps.servers or steps.by_hand):
        print("nothing to update: no `ringrift node run` and no servers of a cluster were found")
