"""A process as a NATS service: `nats micro ls|info|stats|ping` lists the fleet, through any NAT.

Endpoints, each at `fleet.<process>.<node>.<instance>.<endpoint>`:

    health, metrics   as at /health and /metrics
    level             the level of its log lines; a request that names one sets it
    stack             where every thread and task is

A thread with a connection of its own answers, so that a process whose work hangs answers too. Only
requests are answered whose answer goes to an inbox: a consumer that delivers here, or a request
with another subject for the answer, gets none."""

import asyncio
import contextlib
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from nats.micro import add_service
from nats.micro.request import Request, ServiceError
from nats.micro.service import ServiceConfig

import ringrift
from ringrift.log.connect import Connection, connect
from ringrift.log.errors import StreamError
from ringrift.log.topology import FLEET, FLEET_INBOX
from ringrift.runtime.endpoints import Endpoints
from ringrift.runtime.host import commit
from ringrift.runtime.logs import log_level, set_level
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES

CONNECT_RETRY_SECONDS, STOP_SECONDS_MAX = 10.0, 5.0
STACK_CHARS_MAX = 1_000_000
INBOXES = (f"{FLEET_INBOX}.", "_INBOX.")


@contextlib.contextmanager
def serving(process: Process, server: str) -> Iterator[None]:
    """Answer as a service until the block ends; called in the event loop of the work."""
    service = _Service(process, server, asyncio.get_running_loop())
    thread = threading.Thread(target=service.run, name="service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join(STOP_SECONDS_MAX)


class _Service:
    def __init__(self, process: Process, server: str, working: asyncio.AbstractEventLoop) -> None:
        self.process, self.server, self.working = process, server, working
        self.endpoints = Endpoints(process)
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """Answer until stopped; a process works without its service."""
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  the work goes on
            self.process.logger.warning("no service", error=str(error) or type(error).__name__)

    def stop(self) -> None:
        """Stop, from another thread."""
        self._stopping.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        client = await self._connected()
        if client is None:
            return
        process = self.process
        spec = PROCESSES.get(process.name)
        metadata = {"node": process.node, "instance": process.instance, "commit": commit()}
        config = ServiceConfig(
            name=process.name,
            version=ringrift.__version__,
            description=f"RingRift {spec.role if spec else 'process'}",
            metadata=metadata,
        )
        service = await add_service(_Asked(client), config)  # type: ignore[arg-type]
        prefix = f"{FLEET}.{process.name}.{process.node}.{process.instance}"
        group = service.add_group(name=prefix)
        for name, answer in self._answers().items():
            await group.add_endpoint(name=name, handler=_handler(answer))
        if not self._stopping.is_set():
            await self._stopped.wait()
        with contextlib.suppress(nats.errors.Error, OSError, AttributeError):
            await client.close()

    async def _connected(self) -> Connection | None:
        """A connection, or None if the process stops first."""
        while not self._stopping.is_set():
            try:
                return await connect(self.server, name=f"{self.process.source} service")
            except StreamError:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), CONNECT_RETRY_SECONDS)
        return None

    def _answers(self) -> dict[str, Callable[[bytes], Awaitable[bytes]]]:
        async def page(path: str) -> bytes:
            answer = await self.endpoints.respond(path)
            if answer.status != 200:
                raise ValueError(answer.body.decode().strip())
            return answer.body

        async def level(body: bytes) -> bytes:
            if wanted := body.decode(errors="replace").strip().lower():
                set_level(wanted)
                self.process.logger.warning("log level", level=wanted)
            return log_level().encode()

        async def stack(_: bytes) -> bytes:
            return stacks(self.working)[:STACK_CHARS_MAX].encode()

        return {
            "health": lambda _: page("/health"),
            "metrics": lambda _: page("/metrics"),
            "level": level,
            "stack": stack,
        }


def _handler(answer: Callable[[bytes], Awaitable[bytes]]) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        try:
            await request.respond(await answer(request.data))
        except ValueError as error:
            raise ServiceError("503", str(error)) from error  # which the service counts

    return handle


class _Asked:
    """A client whose subscriptions receive requests with an inbox only."""

    def __init__(self, client: Connection) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def subscribe(
        self, subject: str, queue: str = "", cb: Callable[[Msg], Awaitable[None]] | None = None
    ) -> Any:
        async def receive(message: Msg) -> None:
            if cb is not None and message.reply.startswith(INBOXES):
                await cb(message)

        return await self._client.subscribe(subject, queue=queue, cb=receive)


def stacks(working: asyncio.AbstractEventLoop) -> str:
    """Where every thread is, and every task of an event loop."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        lines = "".join(traceback.format_stack(frame))
        parts.append(f"thread {names.get(ident, ident)}\n{lines}")
    with contextlib.suppress(RuntimeError):  # tasks began meanwhile
        for task in asyncio.all_tasks(working):
            frames = (traceback.format_stack(frame, 1)[0] for frame in task.get_stack())
            parts.append(f"task {task.get_name()} {task.get_coro()}\n{''.join(frames)}")
    return "\n".join(parts)
