"""`ringrift node run`: keeps the processes of a node's roles running.

It announces the machine in the bucket `nodes`, drains its processes on SIGTERM, and carries out the
updates that an operator requests (`ringrift.cluster.update`) with the shell commands it was started
with: it runs nothing that comes over the network.

When its provider takes it away (a command of the operator says so, or SIGTERM on a node with a
notice), or when its drain is requested, it takes no more tickets and stops once it has none, in
time to hand back the rest."""

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
from ringrift.cluster.supervisor import (
    DRAIN_SECONDS_MAX,
    Child,
    Say,
    background,
    stop_on_signals,
    supervise,
)
from ringrift.consumers import hook
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    NodeDrainRequested,
    NoticeSource,
    PreemptionNoticed,
    ProcessRestarted,
)
from ringrift.log import presence
from ringrift.log.archive import CACHE
from ringrift.log.errors import StreamError
from ringrift.log.identity import KEY, key_path, make_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import check_name
from ringrift.log.presence import Machine
from ringrift.log.read import follow
from ringrift.log.topology import CONTROL_BUCKET, EVENTS
from ringrift.runtime.authorship import NODE
from ringrift.runtime.notify import READY, STOPPING, keep_alive, notify

UPDATED = "RINGRIFT_UPDATED"
"""the environment variable with the id of the update that started this process"""
DRAINED_STATUS = 3
"""exit status after a drain, so that systemd does not start the node again"""
COMMAND_SECONDS_MAX = 900.0
NOTICE_LOOK_SECONDS = 5.0
"""between two runs of the command that says whether the node is taken away; notices of 30 s are
common"""
NOTICE_COMMAND_SECONDS_MAX = 10.0
BUSY_LOOK_SECONDS = 1.0
KNOWN_SECONDS = 2 * presence.HEARTBEAT_SECONDS
"""after which the processes know of a drain, and their heartbeats say whether they work"""
RECORD_SECONDS_MIN = 1.0
"""for the fact about a notice, however short that is"""
DRAINED_SHARE = 0.8
"""of a short notice in which the processes must have drained; then the node says goodbye"""
PROBE_SECONDS_MAX = 60.0
SERVER_AWAY = (StreamError, TimeoutError, nats.errors.Error)


class NodeOptions(Struct, frozen=True, kw_only=True):
    """How a node runs. `edge` is the URL of the node's own server; its key and the logs of its
    processes are in `data`. `command` is the command line that starts it again after an
    update. `notice_command` ends with status 0 once its provider takes it away, `notice_seconds`
    before it does so."""

    name: str
    server: str
    data: Path
    edge: str | None = None
    update_command: str = ""
    rollback_command: str = ""
    notice_command: str = ""
    notice_seconds: float = 0.0
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
        self.drain_seconds = DRAIN_SECONDS_MAX
        """in which its processes must end"""
        self._leaving: asyncio.Task[None] | None = None
        self._restarts: dict[int, int] = {}
        """of each child, as recorded"""
        self._presence, self._instance = presence.Presence(log), uuid.uuid4().hex[:12]
        self.say: Say = structlog.get_logger().bind(node=options.name).info
        """writes one line to the log of the node"""

    def stop(self) -> None:
        """Drain, then leave."""
        notify(STOPPING)
        self.request = None
        self.stopping.set()

    @property
    def drained(self) -> bool:
        """Whether it leaves because it was taken away, or its drain was requested."""
        return self._leaving is not None

    def terminate(self) -> None:
        """Stop; SIGTERM is the notice of a provider if the node has one."""
        if self.options.notice_seconds and self._leaving is None:
            self._leave(self.options.notice_seconds, "signal")
        else:
            self.stop()

    async def run(self) -> None:
        """Keep the processes running until `stop` is called or an update is requested, then drain
        them."""
        jobs = (self._send_heartbeats(), self._follow_updates(), keep_alive(lambda: True))
        async with background(*jobs, self._follow_drains(), self._look_for_notices()):
            notify(READY)
            await supervise(self.children, self.stopping, self.say, lambda: self.drain_seconds)

    def _leave(self, seconds: float, source: NoticeSource | None = None) -> None:
        """Begin to drain, within `seconds`, and record a notice of the provider."""
        if self._leaving is None and not self.stopping.is_set():
            self.say(f"leaves within {seconds:g} s")
            self.drain_seconds = min(DRAIN_SECONDS_MAX, seconds * DRAINED_SHARE)
            self._leaving = asyncio.create_task(self._drain(seconds, source))

    async def _drain(self, seconds: float, source: NoticeSource | None) -> None:
        """Stop once no process works, or as late as draining allows."""
        with contextlib.suppress(*SERVER_AWAY):
            async with asyncio.timeout(max(RECORD_SECONDS_MIN, seconds - self.drain_seconds)):
                if source is not None:
                    name = self.options.name
                    fact = PreemptionNoticed(node=name, seconds=seconds, source=source)
                    await self._record(fact)
                await asyncio.sleep(KNOWN_SECONDS)
                while await self._busy():  # noqa: ASYNC110  heartbeats have no event
                    await asyncio.sleep(BUSY_LOOK_SECONDS)
        self.stop()

    async def _record(self, fact: Fact, key: str = "") -> None:
        name = self.options.name
        whole = f"{name}.{self._instance}.{key}"
        await self.log.append([draft(fact, cause=None, source=f"{NODE}@{name}", key=whole)])

    async def _record_restarts(self) -> None:
        """Record what the supervisor started again since the last call."""
        for number, child in enumerate(self.children):
            if child.restarts > self._restarts.get(number, 0):
                fact = ProcessRestarted(
                    node=self.options.name,
                    consumer=child.name,
                    ended=child.ended,
                    restarts=child.restarts,
                )
                await self._record(fact, f"{number}.{child.restarts}")
                self._restarts[number] = child.restarts

    async def _busy(self) -> bool:
        beats = await self._presence.all()
        return any(beat.busy for beat in beats if beat.node == self.options.name)

    async def _follow_drains(self) -> None:
        name, tail = self.options.name, await self.log.tail(EVENTS)
        async for event, _ in follow(self.log, NodeDrainRequested, scope=name, after=tail):
            self._leave(event.seconds)

    async def _look_for_notices(self) -> None:
        """Ask the node's own command until it says that the provider takes the node away."""
        command, said = self.options.notice_command, ""
        while command and (problem := await _shell(command, NOTICE_COMMAND_SECONDS_MAX)):
            if problem != said and "ended with status 1:" not in problem:
                self.say(problem)
            said = problem
            await asyncio.sleep(NOTICE_LOOK_SECONDS)
        if command:
            self._leave(self.options.notice_seconds, "command")

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
                await self._record_restarts()
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
            stop_on_signals(node.stop, node.terminate)
            await node.run()
            if node.request is None:
                with contextlib.suppress(*SERVER_AWAY):
                    await node.send_heartbeat(left=True)
                return DRAINED_STATUS if node.drained else 0
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
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        await hook.end(process)
        return f"{command!r} took more than {seconds:g} s"
    last = output.decode(errors="replace").strip().rpartition("\n")[2]
    return (
        f"{command!r} ended with status {process.returncode}: {last}" if process.returncode else ""
    )
