"""`ringrift web`."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from ringrift.cli.common import Source, opened
from ringrift.cluster.pages import TOKEN_VARIABLE, listen
from ringrift.cluster.supervisor import stop_on_signals
from ringrift.errors import CommandError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
Token = Annotated[str | None, Parameter(env_var=TOKEN_VARIABLE)]


async def web(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: Token = None,
    name: tuple[str, ...] = (),
    source: Source = Source(),  # noqa: B008
) -> None:
    """Serve the pages: watch it learn, play against it, look at any time of the log.

    Nothing is written to the log, so the credentials of the role `viewer` suffice.

    Args:
        host: Address to listen on; any but loopback needs a token.
        port: Port to listen on; by default 8780, or a free one.
        token: Operator's token, needed to change something; by default a random one.
        name: Host name under which browsers reach this server; may be repeated.
    """
    if host not in LOOPBACK and not token:
        raise CommandError(f"--host {host} is seen by other machines: give --token as well")
    from ringrift.cli.reference import commands
    from ringrift.web.app import State, make_app
    from ringrift.web.cache import default_folder
    from ringrift.web.guard import Guard
    from ringrift.web.server import serve
    from ringrift.web.view import View

    listening = listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    async with opened(source) as log:
        guard = Guard(token, (host, *name) if host in LOOPBACK else (host, "*", *name))
        where = f"the log at {log.servers[0].rpartition('@')[2]}"
        state = State(
            log=log, view=View(log, default_folder()), guard=guard, where=where, commands=commands
        )
        app = make_app(state)
        print(f"pages: {address}/", flush=True)
        if not token:
            print(f"sign in: {address}/login?token={guard.token}", flush=True)
        stopping = asyncio.Event()
        stop_on_signals(stopping.set)
        await serve(app, listening, stopping)
