"""`ringrift node key`, `admit`, `revoke`, `list` and `require-signatures`: whose facts count."""

import asyncio
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from ringrift.cli.common import (
    HERE,
    TABLE,
    Data,
    Json,
    Source,
    Tabular,
    opened,
    parsed,
    show,
    show_rows,
    words,
)
from ringrift.cluster import accounts
from ringrift.cluster.files import forget, write_node
from ringrift.errors import CommandError
from ringrift.events.facts import OPERATOR
from ringrift.log.identity import find_key, key_path, make_key
from ringrift.server.accounts import Accounts, completed, write_secret
from ringrift.trust import admission

AdmittedRoles: TypeAlias = Annotated[
    tuple[str, ...], Parameter(converter=parsed(words), n_tokens=1, metavar="ROLE,...")
]


def key(
    *,
    make: bool = False,
    complete: Path | None = None,
    data: Data = Path(".ringrift"),
    json: Json = False,
) -> None:
    """Print the public key of this machine, by which an operator admits it.

    Args:
        make: Make a key if there is none, as `up` and `node run` do.
        complete: Add the seed to the credentials of an edge's server, which reads it there.
        data: Data directory of `ringrift up` or `ringrift node run`.
    """
    found = make_key(data) if make else find_key(data)
    if found is None:
        raise CommandError(f"{key_path(data)} does not exist: --make makes a key")
    if complete is not None:
        text = complete.read_text(errors="replace")
        write_secret(complete, completed(text, found))
    show({"key": found.key, "file": str(key_path(data))}, json, found.key)


async def admit(
    node: str,
    key: str,
    /,
    *,
    roles: AdmittedRoles,
    why: str = "",
    cluster: Path | None = None,
    source: Source = HERE,
) -> None:
    """Let facts that a key signs count as facts of a node, and let the node log in.

    The first time, the key of this machine becomes that of the operator, who admits all others.

    Args:
        node: Name of the node in facts.
        key: What `ringrift node key` prints there.
        roles: One or more of worker,trainer,evaluator,coordinator,archiver,auditor,renter,operator.
        why: The reason.
        cluster: The folder that `cluster init` wrote [default: that of the credentials in use].
    """
    folder = cluster or accounts.folder_in_use()
    async with opened(source) as log:
        written = await admission.admit(log, node, key, roles, why)
        path = None
        if folder is not None and (given := [role for role in roles if role != OPERATOR]):
            path = await asyncio.to_thread(write_node, folder, node, key, given)
            await accounts.send(folder, log.servers)
    print(f"{node} is admitted as {', '.join(roles)}" + ("" if written else " already"))
    if path is not None:
        print(f"{path}: copy it to {node}, and run there: ringrift node run --credentials ...")


async def revoke(
    name: str, /, *, why: str, cluster: Path | None = None, source: Source = HERE
) -> None:
    """Let no later fact of a node count, and disconnect it for good.

    Args:
        name: A node, for all its keys, or one key.
        why: The reason.
        cluster: The folder that `cluster init` wrote [default: that of the credentials in use].
    """
    folder = cluster or accounts.folder_in_use()
    async with opened(source) as log:
        known = folder is not None and Accounts(folder).knows(name)
        admitted = await admission.keys_of(log, name)
        if admitted or not known:
            print(f"revoked: {', '.join(await admission.revoke(log, name, why))}")
        if folder is not None:
            users = await asyncio.to_thread(Accounts(folder).revoke, [name], admitted)
            servers = await accounts.send(folder, log.servers)
            await asyncio.to_thread(forget, folder, users)
            print(f"logged out by {', '.join(servers)}: {', '.join(users) or 'no login'}")


async def list_nodes(*, session: Tabular = TABLE) -> None:
    """Show whose facts count, and whether signatures are required."""
    async with opened(session) as log:
        now = await admission.standing(log)
    nodes = sorted(now.admitted.values(), key=lambda one: (one.node, one.key))
    lines = [f"{one.node:<20} {one.key}  {', '.join(one.roles)}" for one in nodes]
    lines.append(f"signatures are {'required' if now.required else 'not required'}")
    found = [{"node": one.node, "key": one.key, "roles": one.roles} for one in nodes]
    show_rows(session, {"nodes": found, "required": now.required}, found, "\n".join(lines))


async def require(*, why: str, anyway: bool = False, source: Source = HERE) -> None:
    """Let only signed facts of admitted nodes count, from now on.

    Args:
        why: The reason.
        anyway: Also if recent facts would not have counted.
    """
    async with opened(source) as log:
        await admission.require_signatures(log, why, anyway=anyway)
    print("from now on, only signed facts of admitted nodes count")
