"""`ringrift cluster up|down|status|kill|partition|heal`: a cluster on this machine, for trials."""

import os
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from msgspec import Struct

from ringrift.cli.common import TABLE, Form, Source, opened, show_rows
from ringrift.cluster.local import NO_ANSWER, LocalCluster, health
from ringrift.cluster.streams import stream_infos
from ringrift.cluster.terminal import complain
from ringrift.deciders.fleet.resilience import quorum_level
from ringrift.errors import CommandError
from ringrift.insight.describe import table
from ringrift.log.errors import StreamError
from ringrift.runtime.cluster_view import voters_in
from ringrift.server.ensure import ensure

ClusterData: TypeAlias = Annotated[
    Path, Parameter(name="--data", help="Folder of the cluster, by default in RINGRIFT_DATA.")
]
DATA = Path(os.environ.get("RINGRIFT_DATA", ".ringrift")) / "cluster"


class StreamView(Struct, frozen=True):
    """A stream: its leader, the number of its copies and how many of them are current."""

    name: str
    leader: str | None
    replicas: int
    current: int


async def up(
    *, nodes: int = 3, users: bool = False, tls: bool = False, data: ClusterData = DATA
) -> None:
    """Start the cluster on this machine, and create it if it does not exist.

    Args:
        nodes: Number of servers of a new cluster, 3 or 5.
        users: Create it with users and permissions.
        tls: Create it with TLS.
    """
    try:
        cluster = LocalCluster.read(data)
    except CommandError:
        cluster = LocalCluster.create(data, nodes, users=users, tls=tls)
    new = cluster.new
    cluster.keep_reserves(complain)
    cluster.start()
    await cluster.wait_until_healthy()
    with cluster.as_role("operator"):
        async with opened(Source(server=cluster.url)) as log:
            for drift in await ensure(log, replicas=None, new=new):
                complain(f"differs from its declaration: {drift}")
    print(f"{len(cluster.members)} servers run: ringrift up --server {cluster.url}")
    for name, value in cluster.environment("operator").items():
        print(f"with {name}={value}")


def down(*, data: ClusterData = DATA) -> None:
    """Stop the cluster on this machine; its data is kept."""
    LocalCluster.read(data).stop()
    print(f"stopped; its data is kept in {data}")


def kill(node: str, /, *, data: ClusterData = DATA) -> None:
    """Kill one server with SIGKILL.

    Args:
        node: Name of the server, such as n1.
    """
    LocalCluster.read(data).kill(node)
    print(f"{node} is killed; `ringrift cluster up` starts it")


def partition(*node: str, data: ClusterData = DATA) -> None:
    """Cut servers off from all others, and from each other.

    Args:
        node: Names of the servers, such as n1.
    """
    if not node:
        raise CommandError("name the servers to cut off, such as n1")
    LocalCluster.read(data).cut(node)
    print(f"cut off: {', '.join(node)}; `ringrift cluster heal` ends it")


def heal(*, data: ClusterData = DATA) -> None:
    """End all cuts."""
    LocalCluster.read(data).cut([])
    print("no server is cut off")


async def status(*, data: ClusterData = DATA, form: Form = TABLE) -> int:
    """Show the servers and streams of the cluster on this machine.

    The exit status is 1 unless all servers are healthy."""
    cluster = LocalCluster.read(data)
    states = {member.name: await health(member) for member in cluster.members}
    away = cluster.cut_off()
    alive = [name for name in states if states[name] != NO_ANSWER and name not in away]
    level = quorum_level(len(states), len(alive))
    streams: list[StreamView] = []
    problem = None
    try:
        with cluster.as_role("viewer"):
            async with opened(Source(server=cluster.url)) as log:
                for name, info in (await stream_infos(log)).items():
                    quorum, replicas = voters_in(info), info["config"]["num_replicas"]
                    streams.append(StreamView(name, quorum.leader, replicas, quorum.alive))
    except (StreamError, TimeoutError) as error:
        problem = str(error) or "no answer"

    rows = []
    for member in cluster.members:
        leads = ", ".join(view.name for view in streams if view.leader == member.name)
        state = "cut off" if member.name in away else states[member.name]
        url = f"127.0.0.1:{member.port}"
        rows.append({"voter": member.name, "url": url, "health": state, "leads": leads})
    found = table(("voter", "url", "health", "leads"), map(dict.values, rows), plain=True)
    late = [view for view in streams if view.current < view.replicas]
    behind = ", ".join(f"{view.name} {view.current}/{view.replicas}" for view in late)
    current = f"{len(streams)} streams, all replicas current"
    copies = f"replicas not current: {behind}" if late else current
    silent = f"the log does not answer: {problem}" if problem else None
    known = {"quorum": level, "voters": states, "cut_off": away, "streams": streams}
    texts = (f"quorum {level}", found, copies, silent)
    show_rows(form, {**known, "problem": problem}, rows, *texts)
    return 0 if level == "HEALTHY" and not problem else 1
