"""Evaluators for measuring matches: started where none run, and drained afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from ringrift.cluster.supervisor import Child, supervise
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.runtime.host import threads


@contextlib.asynccontextmanager
async def evaluators(log: JetStreamLog, data: Path) -> AsyncIterator[None]:
    """Ensure that a dispatcher and evaluators run until the block ends: one evaluator per core, or
    one for the GPU. Their logs are written to `data`/logs."""
    import torch  # takes seconds, and most matches find evaluators running

    running = {beat.consumer for beat in await Presence(log).all()}
    logs = data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    gpu = torch.cuda.is_available()
    wanted = {"dispatcher": 1, "evaluator": 1 if gpu else threads()}
    children = [
        Child(name, log.servers[0], logs / f"{name}-{number}.log", None if gpu else 1)
        for name, count in wanted.items()
        if name not in running
        for number in range(count)
    ]
    stopping = asyncio.Event()
    supervising = asyncio.create_task(supervise(children, stopping, _say))
    try:
        yield
    finally:
        stopping.set()
        await supervising


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
