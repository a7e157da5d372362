"""Evaluators for measuring matches: started where none run, and drained afterwards."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from ringrift.cluster.machine import children_of, copies
from ringrift.cluster.supervisor import supervise
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.runtime.host import threads
from ringrift.runtime.processes import PROCESSES


@contextlib.asynccontextmanager
async def evaluators(log: JetStreamLog, data: Path) -> AsyncIterator[None]:
    """Ensure that a dispatcher and evaluators run until the block ends: one evaluator per core, or
    one for the GPU. Their logs are written to `data`/logs."""
    import torch  # takes seconds, and most matches find evaluators running

    running = {beat.consumer for beat in await Presence(log).all()}
    wanted = [PROCESSES[name] for name in ("dispatcher", "evaluator") if name not in running]
    planned = copies(wanted, threads(), gpu=torch.cuda.is_available())
    children = children_of(planned, log.servers[0], data)
    stopping = asyncio.Event()
    supervising = asyncio.create_task(supervise(children, stopping, _say))
    try:
        yield
    finally:
        stopping.set()
        await supervising


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
