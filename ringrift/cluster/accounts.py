"""Sending changed accounts to the servers of a running cluster: who was revoked, other rights."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client

from ringrift.errors import CommandError
from ringrift.log.holdings import connected
from ringrift.log.login import beside, read_login
from ringrift.runtime.processes import AUTHORS
from ringrift.server.accounts import Accounts
from ringrift.server.roles import roles

QUIET_SECONDS, ANSWER_SECONDS_MAX = 0.5, 5.0
_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"


def folder_in_use() -> Path | None:
    """The folder of the cluster whose credentials this process uses, if it has the operator's keys:
    on the operator's machine, not on a node."""
    found = beside("..")
    return found if found and Accounts(found).exist else None


async def send(folder: Path, servers: Sequence[str]) -> list[str]:
    """Send the accounts of a cluster to its servers, and return the names of those that took them;
    one that is away takes them from the others. Raises CommandError, Unreachable."""
    client = await connected(servers, read_login(folder / "credentials" / "system.creds"))
    try:
        taken = [await _sent(client, token) for token in Accounts(folder).tokens().values()]
    finally:
        with contextlib.suppress(Exception):
            await client.close()
    return sorted(set.intersection(*taken))


async def send_rights(servers: Sequence[str]) -> list[str]:
    """Give every role the rights that this program knows, on the servers too, if this is the
    operator's machine; return the names of the servers that took them."""
    folder = folder_in_use()
    if folder is None:
        return []
    Accounts(folder).grant(roles(AUTHORS))
    return await send(folder, servers)


async def _sent(client: Client, token: str) -> set[str]:
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox = client.new_inbox()

    async def take(message: Any) -> None:
        await answers.put(msgspec.json.decode(message.data))

    subscription = await client.subscribe(inbox, cb=take)
    await client.publish(_UPDATE, token.encode(), reply=inbox)
    found = set[str]()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS_MAX) as limit:
            while True:
                answer = await answers.get()
                server = str(answer["server"]["name"])
                if error := answer.get("error"):
                    raise CommandError(f"{server} refuses the account: {error}")
                found.add(server)
                limit.reschedule(asyncio.get_running_loop().time() + QUIET_SECONDS)
    await subscription.unsubscribe()
    return found
