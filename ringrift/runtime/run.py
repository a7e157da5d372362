"""The life of a consumer process: connects, reports itself, runs its main coroutine, drains on
SIGTERM.

A consumer module calls `run("name", main)`; `main` is a coroutine over a `Process`. From any
directory:

    python -m ringrift.consumers.planner --server nats://127.0.0.1:4222 [--node NAME]
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import nats.errors

from ringrift.events.facts import ConsumerStarted, ConsumerStopped, LostEventsRepublished
from ringrift.log import marks
from ringrift.log.errors import StreamError
from ringrift.log.holdings import blank, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import check_name, servers_here
from ringrift.log.republish import republish
from ringrift.runtime.decide import act
from ringrift.runtime.endpoints import serve_health
from ringrift.runtime.heartbeat import beat, beat_once
from ringrift.runtime.host import node_name, version, yield_to_others
from ringrift.runtime.logs import configure_logs
from ringrift.runtime.notify import READY, keep_alive, notify
from ringrift.runtime.process import Job, Process, cancel
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.service import serving

FAREWELL_SECONDS_MAX = 5.0
"""to report that the process leaves; the server may be gone for good"""
Main = Callable[[Process], Awaitable[None]]


def run(name: str, main: Main, arguments: Sequence[str] | None = None) -> None:
    """Run a consumer as this process until SIGTERM, SIGINT or SIGHUP. Exits with status 1 and one
    line if it cannot run."""
    parser = argparse.ArgumentParser(prog=f"python -m ringrift.consumers.{name}")
    parser.add_argument("--server", help="URL of a NATS server")
    node = os.environ.get("RINGRIFT_NODE", node_name())
    parser.add_argument("--node", default=node, help="name of this machine in facts")
    options = parser.parse_args(arguments)
    configure_logs()
    if name in PROCESSES:
        yield_to_others(PROCESSES[name].nice)
    try:
        check_name(options.node)
        asyncio.run(_connect_and_live(name, options.node, options.server or servers_here(), main))
    except StreamError as error:
        sys.exit(f"{name}: {error}")


def deciding(name: str) -> Main:
    """The main coroutine of a process that only runs its deciders; of a leased process only the
    holder of the lease decides, the others stand by."""

    async def main(process: Process) -> None:
        spec = PROCESSES[name]
        await act(process, spec.deciders, role=name if spec.leased else None)

    return main


async def _connect_and_live(name: str, node: str, server: str, main: Main) -> None:
    source, edge = f"{name}@{node}", os.environ.get("RINGRIFT_EDGE")
    async with contextlib.AsyncExitStack() as connections:
        log = await JetStreamLog.open(server, name=source)
        connections.push_async_callback(log.close)
        process = Process(name, node, log)
        if edge:
            process.edge = await JetStreamLog.open(edge, name=source)
            connections.push_async_callback(process.edge.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as after `nohup`
                asyncio.get_running_loop().add_signal_handler(number, process.stop)
        connections.enter_context(serving(process, server))
        await live(process, main)


async def live(process: Process, main: Main) -> None:
    """Run `main` with everything that a process does in the background. Raises StreamError, and
    writes nothing, if the log of a coordinator has lost its end or is on a voter that stands by."""
    if process.name in PROCESSES and PROCESSES[process.name].role == "coordinator":
        if text := blank(await holdings(process.log.servers) or ()):
            raise StreamError(text)
        await marks.refuse_losses(process.log)
    try:
        server, process.health_address = await serve_health(process)
    except OSError as error:
        raise StreamError(str(error)) from error
    # reported from the beginning, because reading the controls waits for the server
    watchdog = keep_alive(lambda: process.condition.alive(process.clock.monotonic()))
    reports = [asyncio.create_task(beat(process)), asyncio.create_task(watchdog)]
    node, name, instance = process.node, process.name, process.instance
    program = version()
    started = ConsumerStarted(node=node, consumer=name, instance=instance, version=program)
    await process.append(started, key=instance)
    why = "failed"
    try:
        position = await process.controls.load()
        jobs: dict[str, Job] = {
            "controls": lambda: process.controls.follow(position),
            "republish lost events": lambda: republish_lost(process),
        }
        async with process.background(jobs):
            notify(READY)
            await _until_done(process, main)
        why = process.why_stopped
    finally:
        server.close()
        await cancel(*reports)
        stopped = ConsumerStopped(node=node, consumer=name, instance=instance, why=why)
        with contextlib.suppress(StreamError, TimeoutError, nats.errors.Error):
            async with asyncio.timeout(FAREWELL_SECONDS_MAX):
                await process.append(stopped, key=instance)
                await beat_once(process, left=True)


async def republish_lost(process: Process) -> None:
    """After each reconnect, republish the acknowledged events that the server has lost and record
    the loss, until cancelled."""
    log = process.log
    while True:
        await log.reconnected.wait()
        log.reconnected.clear()
        try:
            for found in await republish(log):
                lost = msgspec.structs.asdict(found)
                process.logger.error("acknowledged events were lost", **lost)
                fact = LostEventsRepublished(node=process.node, consumer=process.name, **lost)
                moment = f"{process.clock.wall():.6f}"
                key = f"{process.instance}.{found.stream}.{found.first_seq}.{moment}"
                await process.append(fact, key=key)
        except Exception:
            log.reconnected.set()  # the next run of this job looks again
            raise


async def _until_done(process: Process, main: Main) -> None:
    """Run `main` to its end. A hot standby has nothing to finish, so it is cancelled on stop."""
    running = asyncio.ensure_future(main(process))
    stopped = asyncio.ensure_future(process.wait_for_stop())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if process.stopping and process.standing_by:
        await cancel(running)
        return
    await running
