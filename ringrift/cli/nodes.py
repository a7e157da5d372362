"""`ringrift node run` and `ringrift update`."""

import contextlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from ringrift.cli import WORDS
from ringrift.cli.common import HERE, Data, Duration, Source, opened, parsed
from ringrift.cluster.machine import parse_roles
from ringrift.cluster.terminal import complain
from ringrift.errors import CommandError
from ringrift.events.settings_sources import old_variables
from ringrift.log.login import CREDENTIALS, SERVER, servers_here

Roles: TypeAlias = Annotated[
    tuple[str, ...], Parameter(converter=parsed(parse_roles), n_tokens=1, metavar="ROLE,...")
]


async def run(
    *,
    roles: Roles,
    server: Annotated[str | None, Parameter(env_var=SERVER)] = None,
    edge: Annotated[str | None, Parameter(env_var="RINGRIFT_EDGE")] = None,
    credentials: Path | None = None,
    data: Data = Path(".ringrift"),
    node: Annotated[str | None, Parameter(env_var="RINGRIFT_NODE")] = None,
    provider: Annotated[str, Parameter(env_var="RINGRIFT_PROVIDER")] = "",
    price: Annotated[float, Parameter(env_var="RINGRIFT_PRICE")] = 0.0,
    update_command: str = "",
    rollback_command: str = "",
    notice_command: str = "",
    notice: Annotated[Duration | None, Parameter(env_var="RINGRIFT_NOTICE")] = None,
) -> int:
    """Keep running the processes that the roles, the GPU and the memory of this machine allow.

    Args:
        roles: One or more of worker,trainer,evaluator,coordinator,archiver,auditor,renter.
        server: URLs of the voters [default: those in the credentials].
        edge: URL of this node's own server, which keeps its games.
        credentials: File that `ringrift node admit` wrote for this node.
        data: Folder for its key and for the logs of the processes.
        node: Name of this machine in facts [default: that in the credentials, or its host name].
        provider: Who rents it out.
        price: Its price per hour.
        update_command: Shell command for `ringrift update`, such as 'git pull'.
        rollback_command: Shell command that undoes the update.
        notice_command: Shell command that succeeds once the provider takes this machine away.
        notice: Time between that, or SIGTERM, and the end, such as 30s.
    """
    for line in old_variables(os.environ):
        complain(line)
    from ringrift.cluster import node as nodes
    from ringrift.cluster.machine import this_machine
    from ringrift.runtime.host import node_name

    if credentials is not None:
        os.environ[CREDENTIALS] = str(credentials)
    options = nodes.NodeOptions(
        name=node or node_name(),
        server=server or servers_here(),
        data=data,
        edge=edge,
        update_command=update_command,
        rollback_command=rollback_command,
        notice_command=notice_command,
        notice_seconds=notice.total_seconds() if notice else 0.0,
        command=WORDS.get(),
    )
    return await nodes.run(options, this_machine(roles, provider=provider, price=price))


async def update(
    *,
    safe: bool = False,
    dry_run: bool = False,
    skip_voters: bool = False,
    convergence_timeout: Annotated[float, Parameter(metavar="SECONDS")] = 180.0,
    canary: Annotated[Duration, Parameter(metavar="TIME")] = timedelta(minutes=5),
    source: Source = HERE,
) -> None:
    """Run a new program on every node and server, one quorum-safe step at a time.

    The exit status is 1 if a step failed and was rolled back.

    Args:
        safe: Carry out the update.
        dry_run: Only print the steps.
        skip_voters: Do not restart servers.
        convergence_timeout: Time in which a node or server must be back and current.
        canary: Time for which one node runs the new program before the others get it; 0s: none.
    """
    from ringrift.cluster import accounts, update as updating
    from ringrift.cluster.local import LocalCluster
    from ringrift.trust import admission

    if not safe and not dry_run:
        raise CommandError("give --safe to carry out the update, or --dry-run to see its steps")
    here = source.data / "cluster.json"
    cluster = LocalCluster.read(source.data) if here.exists() else None
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            source = Source(data=source.data, server=source.server or cluster.url)
            stack.enter_context(cluster.as_role("operator"))
        async with opened(source) as log:
            first = canary > timedelta()
            steps = await updating.find_steps(log, cluster, skip_voters=skip_voters, canary=first)
            print(updating.describe(steps))
            if dry_run:
                return
            await admission.record_rights(log)
            await accounts.send_rights(log.servers)
            await updating.update_nodes(log, steps, convergence_timeout, canary.total_seconds())
            for name in steps.servers:
                assert cluster is not None
                await updating.restart_server(log, cluster, name, convergence_timeout)
    print("updated" + (", except for the servers above" if steps.by_hand else ""))
