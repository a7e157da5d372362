"""`ringrift cluster`: the files of a real cluster, growing onto one, and a local one that can be
killed and cut."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.table import Table

from ringrift.cli.source import console, opened
from ringrift.cluster import local as local_cluster
from ringrift.cluster.files import (
    LEAF_PORTS_ABOVE,
    parse_nodes,
    write_certificates,
    write_cluster,
    write_edge,
)
from ringrift.deciders.fleet.resilience import quorum_level
from ringrift.errors import CommandError
from ringrift.log import api
from ringrift.log.errors import ServerRefused, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.log.topology import STREAMS
from ringrift.server.backup import Backup, save
from ringrift.server.edge import ensure_edge, source_edge
from ringrift.server.ensure import ensure
from ringrift.server.grow import Live, copy, set_replicas


class StreamView(Struct, frozen=True):
    """A stream of the cluster: who leads it, how many copies it has and how many of them are
    current."""

    name: str
    leader: str | None
    replicas: int
    current: int


def init(options: argparse.Namespace) -> int:
    """Write the files of a cluster."""
    nodes = parse_nodes(options.nodes)
    voters = write_cluster(options.output, nodes, users=not options.no_users, tls=options.tls)
    for node in nodes:
        print(
            f"{options.output}/voters/{node.name}: copy it to {node.host}; there, in it: nats-server -c nats.conf"
        )
    scheme = "tls" if options.tls else "nats"
    servers = ",".join(f"{scheme}://{voter.advertise}" for voter in voters)
    print(f"clients: RINGRIFT_SERVER={servers}")
    if not options.no_users:
        print(f"         {CREDENTIALS}={options.output}/credentials/ROLE.txt")
    if options.tls:
        print(f"         {AUTHORITY}={options.output}/authority/ca.pem")
    return 0


def certs(options: argparse.Namespace) -> int:
    """New certificates for the voters."""
    for node in parse_nodes(options.nodes):
        write_certificates(options.output, node.name, node.host)
        print(
            f"{options.output}/voters/{node.name}/ops/tls: copy it there, then `systemctl reload ringrift-nats`"
        )
    return 0


def edge(options: argparse.Namespace) -> int:
    """The server of an edge."""
    hubs = [f"{node.host}:{node.port + LEAF_PORTS_ABOVE}" for node in parse_nodes(options.nodes)]
    home = write_edge(options.output, options.name, hubs, port=options.port, tls=options.tls)
    print(f"{home}: copy it to {options.name}; there, in it: nats-server -c nats.conf")
    print(
        f"then once: ringrift cluster join --name {options.name} --edge nats://127.0.0.1:{options.port} --server VOTERS"
    )
    return 0


async def join(options: argparse.Namespace) -> int:
    """Make the edge's buffer and let the cluster fetch from it."""
    with _as_nobody():
        local = await JetStreamLog.open(options.edge, name="ringrift")
    await ensure_edge(local.ask)
    await local.close()
    async with opened(options) as log:
        fresh = await source_edge(log.ask, options.name)
    print(f"GAMES fetches from {options.name}" + ("" if fresh else ", as it did already"))
    return 0


async def grow(options: argparse.Namespace) -> int:
    """More replicas, or the whole of a single server onto this cluster."""
    async with opened(options) as log:
        if options.origin:
            with _as_nobody():
                origin = await JetStreamLog.open(options.origin, name="ringrift")
            await copy(Live(origin), log, replicas=options.replicas, report=_report)
            await origin.close()
        changed = await set_replicas(log.ask, options.replicas, report=_report)
    done = (
        "copied"
        if options.origin
        else f"{len(changed)} streams changed"
        if changed
        else "nothing to do"
    )
    print(f"{done}: every stream has {options.replicas} replicas, all current")
    return 0


async def backup(options: argparse.Namespace) -> int:
    """All streams into a directory, while the cluster works."""
    async with opened(options) as log:
        await save(Live(log), options.to, report=_report)
    print(f"all streams are in {options.to}: ringrift cluster restore --from {options.to}")
    return 0


async def restore(options: argparse.Namespace) -> int:
    """All streams of a backup onto a new server or cluster."""
    source = Backup(options.origin)
    async with opened(options) as log:
        await copy(source, log, replicas=options.replicas, report=_report)
    print(f"restored: every stream has {options.replicas} replicas, all current")
    return 0


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def up(options: argparse.Namespace) -> int:
    """Start a local cluster, a new one or the one that is there, with all streams."""
    try:
        cluster = local_cluster.read(options.data)
    except CommandError:
        cluster = local_cluster.create(
            options.data, options.nodes, users=options.users, tls=options.tls
        )
    local_cluster.start(options.data, cluster)
    await local_cluster.wait_until_healthy(options.data, cluster)
    with as_role(options.data, cluster, "operator"):
        log = await JetStreamLog.open(cluster.url, name="ringrift")
        for drift in await ensure(log.ask, replicas=None):
            print(f"not as declared: {drift}", file=sys.stderr)
        await log.close()
    print(f"{len(cluster.members)} servers run: ringrift up --server {cluster.url}")
    for name, value in environment(options.data, cluster, "operator").items():
        print(f"with {name}={value}")
    return 0


def down(options: argparse.Namespace) -> int:
    """Stop a local cluster; its data stays."""
    cluster = local_cluster.read(options.data)
    local_cluster.stop(options.data, cluster)
    print("stopped; what it stored is still there")
    return 0


def kill(options: argparse.Namespace) -> int:
    """Kill one server."""
    local_cluster.kill(options.data, local_cluster.read(options.data), options.node)
    print(f"{options.node} is killed; `ringrift cluster up` starts it again")
    return 0


def partition(options: argparse.Namespace) -> int:
    """Cut servers off from the others, and from each other."""
    local_cluster.cut(options.data, local_cluster.read(options.data), options.node)
    print(f"cut off: {', '.join(options.node)}; `ringrift cluster heal` ends it")
    return 0


def heal(options: argparse.Namespace) -> int:
    """End all cuts."""
    local_cluster.cut(options.data, local_cluster.read(options.data), [])
    print("no voter is cut off")
    return 0


async def status(options: argparse.Namespace) -> int:
    """The servers and streams of a local cluster; 1 unless all is well."""
    cluster = local_cluster.read(options.data)
    health = {member.name: await local_cluster.is_healthy(member) for member in cluster.members}
    away = local_cluster.cut_off(options.data)
    alive = sum(
        state != local_cluster.NO_ANSWER and name not in away for name, state in health.items()
    )
    streams: list[StreamView] = []
    problem = None
    try:
        with as_role(options.data, cluster, "viewer"):
            streams = await _streams(cluster.url)
    except (StreamError, TimeoutError) as error:
        problem = str(error) or "no answer"
    level = quorum_level(len(health), alive)
    if options.json:
        shown = {
            "quorum": level,
            "voters": health,
            "cut_off": away,
            "streams": streams,
            "problem": problem,
        }
        print(msgspec.json.encode(shown).decode())
    else:
        _show(cluster, health, away, level, streams, problem)
    return 0 if level == "HEALTHY" and not problem else 1


def environment(data: Path, cluster: local_cluster.LocalCluster, role: str) -> dict[str, str]:
    """What a client of the local cluster needs in its environment."""
    found = {}
    if cluster.users:
        found[CREDENTIALS] = str(data / "credentials" / f"{role}.txt")
    if cluster.tls:
        found[AUTHORITY] = str(data / "authority" / "ca.pem")
    return found


@contextlib.contextmanager
def as_role(data: Path, cluster: local_cluster.LocalCluster, role: str) -> Iterator[None]:
    """Connections opened in the block are those of `role`, whoever runs the command."""
    with _environment(environment(data, cluster, role)):
        yield


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Connections opened in the block are without a user: an embedded server and an edge's know
    none."""
    kept = os.environ.pop(CREDENTIALS, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[CREDENTIALS] = kept


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


async def _streams(url: str) -> list[StreamView]:
    log = await JetStreamLog.open(url, name="ringrift")
    found = []
    try:
        for stream in STREAMS:
            with contextlib.suppress(ServerRefused):
                info = await api.call(log.ask, f"STREAM.INFO.{stream.name}")
                cluster = info.get("cluster") or {}
                current = sum(bool(peer.get("current")) for peer in cluster.get("replicas") or [])
                found.append(
                    StreamView(
                        stream.name,
                        cluster.get("leader"),
                        info["config"]["num_replicas"],
                        current + 1,
                    )
                )
    finally:
        await log.close()
    return found


def _show(
    cluster: local_cluster.LocalCluster,
    health: dict[str, str],
    away: list[str],
    level: str,
    streams: list[StreamView],
    problem: str | None,
) -> None:
    out = console()
    table = Table("voter", "url", "health", "leads", box=None)
    for member in cluster.members:
        leads = ", ".join(stream.name for stream in streams if stream.leader == member.name)
        state = "cut off" if member.name in away else health[member.name]
        table.add_row(member.name, f"127.0.0.1:{member.port}", state, leads)
    out.print(f"quorum {level}")
    out.print(table)
    behind = [
        f"{stream.name} {stream.current}/{stream.replicas}"
        for stream in streams
        if stream.current < stream.replicas
    ]
    out.print(
        f"replicas not current: {', '.join(behind)}"
        if behind
        else f"{len(streams)} streams, all replicas current"
    )
    if problem:
        out.print(f"the log does not answer: {problem}")
