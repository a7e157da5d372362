"""The processes of the simulator on real servers, and the check of what they wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from simulator import checker
from simulator.checker import Acknowledged, Sample
from simulator.workload import DECIDERS, HELD, MAINS, MODELS, VERDICTS
from support.waiting import eventually

from chaos.writers import Writer
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.folds import Folded
from ringrift.runtime.process import Process

SETTLE_SECONDS_MAX = 180.0
RESTART_SECONDS = 0.5


class Worker(Process):
    """A real process that keeps samples of its folds."""

    def __init__(self, name: str, node: str, log: JetStreamLog, samples: list[Sample]) -> None:
        super().__init__(name, node, log)
        self._samples = samples

    def folded(self, seq: int, folds: Mapping[str, Folded]) -> None:
        super().folded(seq, folds)
        self._samples += [Sample(name, seq, fold.fold_hash) for name, fold in folds.items()]


async def keep_running(
    url: str,
    name: str,
    consumer: str,
    main: Callable[[Process], Awaitable[None]],
    samples: list[Sample],
    kind: type[Worker] = Worker,
) -> None:
    """Run a process, and start it again when the log was away for too long, as a supervisor
    does."""
    life = 0
    while True:
        life += 1
        with contextlib.suppress(StreamError):
            log = await JetStreamLog.open(url, name=name)
            try:
                await main(kind(consumer, f"{name}-{life}", log, samples))
            finally:
                await log.close()
        await asyncio.sleep(RESTART_SECONDS)


@contextlib.asynccontextmanager
async def loop(url: str, samples: list[Sample]) -> AsyncIterator[None]:
    """Deciders on two hosts, dispatcher and workers, until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(keep_running(url, name, *main, samples))
            for name, main in MAINS.items()
        ]
        yield
        for task in running:
            task.cancel()


async def settled(log: JetStreamLog) -> checker.History:
    """The history once every network has its verdict, every ticket its outcome, and the queue is
    empty."""

    async def complete() -> checker.History | None:
        found = await checker.history(log)
        verdicts = sum(isinstance(event, VERDICTS) for event, _ in found["EVENTS"])
        done = verdicts == len(MODELS) and not checker.undone(found)
        return found if done and not await log.queued() else None

    found = await eventually(complete, SETTLE_SECONDS_MAX, every_seconds=1.0)
    assert found is not None
    return found


def broken(
    found: checker.History, writers: Sequence[Writer], samples: Sequence[Sample]
) -> list[str]:
    """What the loop and the writers lost, doubled or decided wrongly."""
    ledgers = [writer.acknowledged for writer in writers]
    kept = [*checker.lost(found, ledgers, at_seq=True), *checker.doubled(found)]
    return [*kept, *others_broken(found, ledgers, samples)]


def others_broken(
    found: checker.History, ledgers: Sequence[Sequence[Acknowledged]], samples: Sequence[Sample]
) -> list[str]:
    """Promises that are broken, other than that nothing is lost or doubled."""
    events = found["EVENTS"]
    others = [
        *checker.disordered(ledgers),
        *checker.uncaused(found),
        *checker.overheld(events, HELD),
    ]
    for decider in DECIDERS:
        others += checker.misdecided(events, decider, samples, until=events[-1].meta.seq)
    return others
