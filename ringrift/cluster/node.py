"""`ringrift node run --roles worker,evaluator`: what a node's roles, GPU and memory allow, kept
running.

It tells in the bucket `nodes` what the machine is and costs, drains its consumers on SIGTERM, and
carries out the updates that an operator asks for (`ringrift.cluster.update`) with the commands it
was started with: nothing that comes over the network is run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import nats.errors
import structlog
from msgspec.structs import replace

import ringrift
from ringrift.cluster.supervisor import Child, supervise
from ringrift.errors import CommandError
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import CREDENTIALS
from ringrift.log.presence import (
    HEARTBEAT_SECONDS,
    Heartbeat,
    Machine,
    Presence,
    UpdateRequest,
    update_subject,
)
from ringrift.log.topology import CONTROL_BUCKET
from ringrift.runtime.machine import memory_bytes, node_name
from ringrift.runtime.machine import threads as process_threads
from ringrift.runtime.notify import READY, STOPPING, keep_alive, notify
from ringrift.runtime.processes import MIB, ROLES, of_roles

UPDATED = "RINGRIFT_UPDATED"
"""id of the update that this process is the outcome of, kept over the exec"""
COMMAND_SECONDS_MAX = 900.0
PROBE_SECONDS_MAX = 60.0


class Planned(msgspec.Struct, frozen=True):
    """A process that the node will keep: consumer, the role whose credentials it has, threads
    (None: as it likes)."""

    consumer: str
    role: str
    threads: int | None


def parse_roles(text: str) -> tuple[str, ...]:
    """Roles of `worker,trainer`, each once. Raises CommandError."""
    roles = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise CommandError(f"--roles {text!r}: give one or more of {','.join(ROLES)}")
    return roles


def plan(machine: Machine) -> list[Planned]:
    """What this machine can run of its roles. Raises CommandError if the memory does not do for one
    process of each."""
    wanted = of_roles(machine.roles)
    least = sum(spec.memory for spec in wanted)
    if least > machine.memory_bytes:
        have = f"{machine.memory_bytes / MIB:,.0f} MB of memory"
        raise CommandError(
            f"{have} are too little for {','.join(machine.roles)}, which need {least / MIB:,.0f}: give fewer roles"
        )
    each = sum(spec.memory for spec in wanted if spec.per_core)
    copies = 1
    if each and not machine.gpu:
        copies = min(machine.cores, 1 + (machine.memory_bytes - least) // each)
    return [
        Planned(spec.name, spec.role, None if machine.gpu or not spec.per_core else 1)
        for spec in wanted
        for _ in range(copies if spec.per_core else 1)
    ]


def machine_of(options: argparse.Namespace) -> Machine:
    """This machine, as far as it can be known; provider and price are the operator's word."""
    import torch

    gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return Machine(
        roles=parse_roles(options.roles),
        cores=process_threads(),
        memory_bytes=memory_bytes(),
        gpu=gpu.name if gpu else "",
        vram_bytes=int(gpu.total_memory) if gpu else 0,
        provider=options.provider,
        price_per_hour=options.price,
        version=version(),
        update=os.environ.get(UPDATED, ""),
    )


def version() -> str:
    """Of the program, with the commit where it runs from a checkout."""
    try:
        root = Path(ringrift.__file__).parents[1]
        said = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return ringrift.__version__
    commit = said.stdout.strip()
    return (
        f"{ringrift.__version__}+{commit}"
        if (root / ".git").exists() and commit
        else ringrift.__version__
    )


class Node:
    """One `ringrift node run`: its children, its heartbeat, and the update it is asked for."""

    def __init__(
        self,
        log: JetStreamLog,
        options: argparse.Namespace,
        machine: Machine,
        children: Sequence[Child],
    ) -> None:
        self.log, self.options, self.machine, self.children = log, options, machine, children
        self.stopping = asyncio.Event()
        self.request: UpdateRequest | None = None
        """what it drains for, None for good"""
        self._presence, self._instance = Presence(log), uuid.uuid4().hex[:12]
        self._logger = structlog.get_logger().bind(node=options.node)

    def say(self, text: str) -> None:
        """One line for a person."""
        self._logger.info(text)

    def stop(self) -> None:
        """Drain, then leave."""
        notify(STOPPING)
        self.request = None
        self.stopping.set()

    async def run(self) -> None:
        """Until SIGTERM, or until an update has drained all."""
        background = [
            asyncio.create_task(job)
            for job in (self._beat(), self._follow_updates(), keep_alive(lambda: True))
        ]
        notify(READY)
        try:
            await supervise(self.children, self.stopping, self.say)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def tell(self, *, left: bool = False) -> None:
        """One heartbeat. Raises StreamError."""
        doing = "draining" if self.stopping.is_set() else f"keeps {len(self.children)} processes"
        beat = Heartbeat(
            consumer="node",
            node=self.options.node,
            instance=self._instance,
            pid=os.getpid(),
            doing=doing,
            seq=0,
            errors=sum(child.restarts for child in self.children),
            folds={},
            left=left,
            machine=self.machine,
        )
        await self._presence.beat(beat)

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(
                StreamError, TimeoutError, nats.errors.Error
            ):  # the next one may get through
                await self.tell()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _follow_updates(self) -> None:
        stream = f"KV_{CONTROL_BUCKET}"
        start = (
            await self.log.tail(stream) + 1
        )  # what was asked before we started was not asked of us
        async for entry in self.log.follow(
            stream, filters=[update_subject(self.options.node)], start_seq=start
        ):
            with contextlib.suppress(msgspec.DecodeError):  # nobody's request
                self.request = msgspec.json.decode(entry.body, type=UpdateRequest)
                self.say(f"asked to {self.request.action} ({self.request.id}): draining")
                self.stopping.set()


async def run(options: argparse.Namespace) -> int:
    """`ringrift node run`: returns when it was told to stop; an update starts this program anew in
    the same process."""
    options.node = options.node or node_name()
    machine = machine_of(options)
    planned = plan(machine)
    os.environ.update(credentials(options, machine.roles[0]))
    log = await JetStreamLog.open(options.server, name=f"node@{options.node}")
    try:
        while True:
            children = children_of(options, planned)
            node = Node(
                log,
                options,
                replace(machine, consumers=tuple(item.consumer for item in planned)),
                children,
            )
            node.say(
                f"roles {','.join(machine.roles)}: {', '.join(item.consumer for item in planned)}"
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, node.stop)
            await node.run()
            if node.request is None:
                with contextlib.suppress(StreamError, TimeoutError, nats.errors.Error):
                    await node.tell(left=True)
                return 0
            problem = await carry_out(options, node.request)
            if not problem:
                await node.tell(left=True)
                os.environ[UPDATED] = node.request.id
                os.execv(
                    sys.executable, [sys.executable, "-m", "ringrift.cli.main", *options.words]
                )
            node.say(f"{node.request.action} failed: {problem}; goes on as it was")
            machine = replace(machine, update=node.request.id, update_problem=problem)
    finally:
        await log.close()


def children_of(options: argparse.Namespace, planned: Sequence[Planned]) -> list[Child]:
    """The processes, each with the credentials of its role and the default port for its health."""
    logs: Path = options.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    found, numbers = [], dict[str, int]()
    for item in planned:
        number = numbers[item.consumer] = numbers.get(item.consumer, -1) + 1
        own = {"RINGRIFT_NODE": options.node} | (
            {"RINGRIFT_EDGE": options.edge} if options.edge else {}
        )
        own |= credentials(options, item.role)
        found.append(
            Child(
                item.consumer,
                options.server,
                logs / f"{item.consumer}-{number}.log",
                item.threads,
                own,
            )
        )
    return found


def credentials(options: argparse.Namespace, role: str) -> dict[str, str]:
    """Environment with the user of a role, if there is a folder of credentials. Raises CommandError
    if the role has none there."""
    if options.credentials is None:
        return {}
    path = options.credentials / f"{role}.txt"
    if not path.exists():
        raise CommandError(
            f"{path} does not exist: copy there what `ringrift cluster init` wrote for {role}"
        )
    return {CREDENTIALS: str(path)}


async def carry_out(options: argparse.Namespace, request: UpdateRequest) -> str:
    """Run this node's own command for the update, or the one that takes it back; what went wrong,
    empty if nothing.

    A program that does not start afterwards is a failure too, and taken back at once: else nobody
    would be here to be asked."""
    command = options.update_command if request.action == "update" else options.rollback_command
    problem = await _shell(command, COMMAND_SECONDS_MAX) if command else ""
    probe = f'"{sys.executable}" -m ringrift.cli.main node run --help'
    problem = problem or await _shell(probe, PROBE_SECONDS_MAX)
    if problem and request.action == "update" and options.rollback_command:
        await _shell(options.rollback_command, COMMAND_SECONDS_MAX)
    return problem


async def _shell(command: str, seconds: float) -> str:
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command!r} took more than {seconds:g} s"
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    return f"{command!r} ended with {process.returncode}: {last}" if process.returncode else ""
