"""`ringrift node run`: keeps the processes of a node's roles running.

It announces the machine in the bucket `nodes`, drains its processes on SIGTERM, and carries out the
updates that an operator requests (`ringrift.cluster.update`) with the shell commands it was started
with: it runs nothing that comes over the network."""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import nats.errors
import structlog
from msgspec import Struct
from msgspec.structs import replace

from ringrift.cluster.machine import Planned, children_of, plan
from ringrift.cluster.supervisor import Child, Say, background, stop_on_signals, supervise
from ringrift.log import presence
from ringrift.log.archive import CACHE
from ringrift.log.errors import StreamError
from ringrift.log.identity import KEY, key_path, make_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import check_name
from ringrift.log.presence import Machine
from ringrift.log.topology import CONTROL_BUCKET
from ringrift.runtime.notify import READY, STOPPING, keep_alive, notify

UPDATED = "RINGRIFT_UPDATED"
"""the environment variable with the id of the update that started this process"""
COMMAND_SECONDS_MAX = 900.0
PROBE_SECONDS_MAX = 60.0
SERVER_AWAY = (StreamError, TimeoutError, nats.errors.Error)


class NodeOptions(Struct, frozen=True, kw_only=True):
    """How a node runs. `edge` is the URL of the node's own server; its key and the logs of its
    processes are in `data`. `command` is the command line that starts it again after an
    update."""

    name: str
    server: str
    data: Path
    edge: str | None = None
    update_command: str = ""
    rollback_command: str = ""
    command: tuple[str, ...] = ()


class Node:
    """The processes of one `ringrift node run`, its heartbeat, and the update requested of it."""

    def __init__(
        self, log: JetStreamLog, options: NodeOptions, machine: Machine, children: Sequence[Child]
    ) -> None:
        self.log, self.options, self.machine, self.children = log, options, machine, children
        self.stopping = asyncio.Event()
        self.request: presence.UpdateRequest | None = None
        """the update that it drains for, None if it stops for good"""
        self._presence, self._instance = presence.Presence(log), uuid.uuid4().hex[:12]
        self.say: Say = structlog.get_logger().bind(node=options.name).info
        """writes one line to the log of the node"""

    def stop(self) -> None:
        """Drain, then leave."""
        notify(STOPPING)
        self.request = None
        self.stopping.set()

    async def run(self) -> None:
        """Keep the processes running until `stop` is called or an update is requested, then drain
        them."""
        jobs = (self._send_heartbeats(), self._follow_updates(), keep_alive(lambda: True))
        async with background(*jobs):
            notify(READY)
            await supervise(self.children, self.stopping, self.say)

    async def send_heartbeat(self, *, left: bool = False) -> None:
        """Send one heartbeat, the last if `left`. Raises StreamError."""
        doing = "draining" if self.stopping.is_set() else f"keeps {len(self.children)} processes"
        beat = presence.Heartbeat(
            consumer="node",
            node=self.options.name,
            instance=self._instance,
            pid=os.getpid(),
            doing=doing,
            seq=0,
            errors=sum(child.restarts for child in self.children),
            folds={},
            left=left,
            draining=self.stopping.is_set(),
            machine=self.machine,
        )
        await self._presence.beat(beat)

    async def _send_heartbeats(self) -> None:
        while True:
            with contextlib.suppress(*SERVER_AWAY):
                await self.send_heartbeat()
            await asyncio.sleep(presence.HEARTBEAT_SECONDS)

    async def _follow_updates(self) -> None:
        stream, subject = f"KV_{CONTROL_BUCKET}", presence.update_subject(self.options.name)
        start = await self.log.tail(stream) + 1  # older requests were for the process before
        async for entry in self.log.follow(stream, filters=[subject], start_seq=start):
            with contextlib.suppress(msgspec.DecodeError):  # not written by `ringrift update`
                self.request = msgspec.json.decode(entry.body, type=presence.UpdateRequest)
                self.say(f"draining for {self.request.action} {self.request.id}")
                self.stopping.set()


async def run(options: NodeOptions, machine: Machine) -> int:
    """Run a node until it is stopped; an update replaces the program in this process.

    Raises CommandError if the memory does not suffice for its roles."""
    machine = replace(machine, update=os.environ.get(UPDATED, ""))
    check_name(options.name)
    planned = plan(machine)
    key = await asyncio.to_thread(make_key, options.data)
    os.environ[KEY] = str(key_path(options.data).resolve())
    log = await JetStreamLog.open(options.server, name=f"node@{options.name}")
    log.signer = key
    try:
        while True:
            consumers = tuple(item.consumer for item in planned)
            own = partial(environment, options)
            children = children_of(planned, options.server, options.data, own)
            node = Node(log, options, replace(machine, consumers=consumers), children)
            node.say(f"roles {','.join(machine.roles)}: {', '.join(consumers)}")
            stop_on_signals(node.stop)
            await node.run()
            if node.request is None:
                with contextlib.suppress(*SERVER_AWAY):
                    await node.send_heartbeat(left=True)
                return 0
            problem = await carry_out(options, node.request)
            if not problem:
                await node.send_heartbeat(left=True)
                os.environ[UPDATED] = node.request.id
                program = [sys.executable, "-m", "ringrift.cli.main", *options.command]
                os.execv(sys.executable, program)
            node.say(f"{node.request.action} failed: {problem}; continuing with this version")
            machine = replace(machine, update=node.request.id, update_problem=problem)
    finally:
        await log.close()


def environment(options: NodeOptions, _: Planned) -> dict[str, str]:
    """The environment variables of a process of the node."""
    own = {"RINGRIFT_NODE": options.name}
    own[CACHE] = os.environ.get(CACHE) or str(options.data / "cache")
    if options.edge:
        own["RINGRIFT_EDGE"] = options.edge
    return own


async def carry_out(options: NodeOptions, request: presence.UpdateRequest) -> str:
    """Run the node's own command for the request; return its failure, empty if it succeeded.

    An update is rolled back at once if its command fails or the new program does not start, for
    then no process would be left to receive a rollback request."""
    command = options.update_command if request.action == "update" else options.rollback_command
    problem = await _shell(command, COMMAND_SECONDS_MAX) if command else ""
    probe = f'"{sys.executable}" -m ringrift.cli.main node run --help'
    problem = problem or await _shell(probe, PROBE_SECONDS_MAX)
    if problem and request.action == "update" and options.rollback_command:
        await _shell(options.rollback_command, COMMAND_SECONDS_MAX)
    return problem


async def _shell(command: str, seconds: float) -> str:
    """Run a shell command; return how it failed, empty if it did not."""
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command!r} took more than {seconds:g} s"
    last = output.decode(errors="replace").strip().rpartition("\n")[2]
    return (
        f"{command!r} ended with status {process.returncode}: {last}" if process.returncode else ""
    )
