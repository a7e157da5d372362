"""`ringrift cluster replace|add`: voters that join and leave a running cluster."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from ringrift.cli.common import Duration, Source, opened
from ringrift.cluster import membership
from ringrift.cluster.files import (
    Node,
    addresses,
    as_operator,
    parse_members,
    read_nodes,
    write_members,
)
from ringrift.cluster.local import environment
from ringrift.cluster.terminal import complain
from ringrift.errors import CommandError
from ringrift.server.configuration import Voter

WAIT = timedelta(minutes=30)


async def replace(old: str, /, *, by: str, output: Path, wait: Duration = WAIT) -> None:
    """Replace a voter by one on another machine while the cluster works.

    Run it again after an interruption: it goes on where it was.

    Args:
        old: Name of the voter that leaves; its machine may be gone.
        by: NAME=HOST[:PORT] of the new one, a name that no voter had.
        output: The folder that `cluster init` wrote.
        wait: How long to wait for servers to start, stop and copy.
    """
    (new,) = _one(by)
    nodes = read_nodes(output)
    names = {node.name for node in nodes}
    # with the same address: this command wrote its files before it was interrupted
    if old == new.name or (new.name in names and new not in nodes):
        raise CommandError(f"{new.name} is a voter already; give the new voter a name of its own")
    before = [node for node in nodes if node.name not in (old, new.name)]
    if len(before) == len(nodes):
        raise CommandError(f"{old} is no voter of {output}; it has {', '.join(sorted(names))}")
    with environment(as_operator(output)):
        async with opened(Source(server=addresses(output, before))) as log, _within(wait):
            await membership.refuse_without_quorum(log, old, [new.name])
            voters = write_members(output, [*before, new], [new])
            _say_files(output, [new], before)
            await membership.wait_for(log, [new.name], complain)
            await membership.wait_for_end(log, old, complain)
            await membership.remove(log, old)
            await membership.wait_for_copies(log, old, complain)
    home = output / "voters" / old
    if await asyncio.to_thread(home.exists):
        await asyncio.to_thread(home.rename, output / f"{old}.replaced")
    print(f"{new.name} has replaced {old}: every stream has all its copies")
    _say_servers(output, voters)


async def add(*, nodes: str, output: Path, wait: Duration = WAIT) -> None:
    """Add voters to a running cluster, from three to five.

    Args:
        nodes: NAME=HOST[:PORT],... of the new ones.
        output: The folder that `cluster init` wrote.
        wait: How long to wait for their servers to start.
    """
    added = parse_members(nodes)
    names = {node.name for node in added}
    before = [node for node in read_nodes(output) if node.name not in names]
    if len(before) + len(added) not in (3, 5):
        raise CommandError(f"{len(before)} voters and {len(added)} more: a cluster has 3 or 5")
    with environment(as_operator(output)):
        async with opened(Source(server=addresses(output, before))) as log, _within(wait):
            voters = write_members(output, [*before, *added], added)
            _say_files(output, added, before)
            await membership.wait_for(log, sorted(names), complain)
    print(f"{', '.join(sorted(names))} take part; `ringrift cluster grow --replicas 5` uses them")
    _say_servers(output, voters)


def _one(by: str) -> list[Node]:
    nodes = parse_members(by)
    if len(nodes) != 1:
        raise CommandError("give one voter with --by, as NAME=HOST[:PORT]")
    return nodes


def _within(wait: timedelta) -> asyncio.Timeout:
    return asyncio.timeout(wait.total_seconds())


def _say_files(output: Path, added: Sequence[Node], others: Sequence[Node]) -> None:
    for node in added:
        print(f"{output}/voters/{node.name}: copy it to {node.host}, and start its server there")
    for node in others:
        files = f"{output}/voters/{node.name}/ops/voter.conf"
        print(f"{files}: copy it to {node.host}, then `systemctl reload ringrift-nats` (kill -HUP)")


def _say_servers(output: Path, voters: Sequence[Voter]) -> None:
    scheme = "tls" if (output / "authority" / "ca.pem").exists() else "nats"
    servers = ",".join(f"{scheme}://{voter.advertise}" for voter in voters)
    print(f"clients learn the new address by themselves; from now on: RINGRIFT_SERVER={servers}")
