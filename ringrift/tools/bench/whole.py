"""A whole loop of several processes for a while: the share of the cores that it used by work, what
the rest waited for, and the memory of all its processes; with moments, how strong its networks were
then. Or the same of the logs of earlier runs, but for the memory."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from ringrift.errors import CommandError
from ringrift.insight.usage import Used, used_since
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.server.embedded import EmbeddedServer
from ringrift.tools.bench import strength
from ringrift.tools.bench.harness import Benchmark

SECONDS_MIN = 60.0
"""less has no sample of the cores"""
LOOK_SECONDS = 5.0
WORK = ("selfplay", "evaluation", "training", "export")
WAITS = ("a-ticket", "a-process")
SHARES = ("cores used", *WORK, *(f"waiting for {what.replace('-', ' ')}" for what in WAITS))
USED = dict.fromkeys((*SHARES, "waiting for others"), "%")
MEMORY = dict.fromkeys(("memory", "memory at the end"), "MB")
NOTHING = Used(total=1.0, busy={}, waited={})
"""of a log of a program that recorded no shares"""


def benchmark(configs: Sequence[str], seconds: float, minutes: Sequence[float]) -> Benchmark:
    """`ringrift up` of these configs for this long, in a new directory, with the seeds 1, 2, ...;
    and its networks after so many minutes."""
    seeds = count(1)

    async def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
            memory = await _run(configs, seconds, next(seeds), Path(folder))
            return await _found(Path(folder), configs, minutes) | memory

    units = USED | strength.units(configs, minutes) | MEMORY
    return Benchmark(f"loop/{'+'.join(configs)}", units, run, runs_max=3)


def of_logs(configs: Sequence[str], data: Sequence[Path], minutes: Sequence[float]) -> Benchmark:
    """The same of the logs of `ringrift up` in these directories."""
    left = iter(data)

    async def run() -> dict[str, float]:
        return await _found(next(left), configs, minutes)

    units = USED | strength.units(configs, minutes)
    return Benchmark(f"loop/{'+'.join(configs)}", units, run, runs_max=len(data))


async def _run(configs: Sequence[str], seconds: float, seed: int, folder: Path) -> dict[str, float]:
    words = [word for config in configs for word in ("--config", config)]
    words += ["--for", f"{seconds:.0f}s", "--data", str(folder), "--set", f"seed={seed}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringrift.cli.main", "up", *words, "--plain", "--no-web"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = asyncio.ensure_future(process.communicate())
    memory = [0.0]
    try:
        while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
            memory.append(proportional_bytes(process.pid) / 1e6)
    finally:
        if not ended.done():
            process.terminate()  # its directory is removed next
            await ended
    if process.returncode:
        raise CommandError(f"`ringrift up` failed: {ended.result()[1].decode().strip()}")
    return dict(zip(MEMORY, (max(memory), max(memory[-3:])), strict=True))


async def _found(data: Path, configs: Sequence[str], minutes: Sequence[float]) -> dict[str, float]:
    """The shares of the cores in a log, and how strong its networks are."""
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="bench")
        try:
            *_, whole = (await used_since(log)).values() or (NOTHING,)
            states = await strength.states_at(log, configs, minutes)
            digests = {then.model for then in states.values() if then.model}
            networks = {one: await Blobs(log).get(MODEL_BUCKET, one) for one in digests}
        finally:
            await log.close()
    finally:
        await server.stop()
    waited = [whole.waited.get(what, 0.0) for what in WAITS]
    parts = [whole.share * whole.total, *(whole.busy.get(what, 0.0) for what in WORK), *waited]
    parts.append(sum(whole.waited.values()) - sum(waited))
    shares = [100.0 * each / whole.total for each in parts]
    found = await asyncio.to_thread(lambda: dict(strength.figures(states, networks)))
    return dict(zip(USED, shares, strict=True)) | found


def proportional_bytes(pid: int, proc: Path = Path("/proc")) -> float:
    """Proportional set size of a process and its descendants: a page that n processes share counts
    as 1/n of a page for each."""
    parents: dict[int, int] = {}
    for status in proc.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # the name in brackets may hold blanks
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found, total = {pid}, 0.0
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    for one in found:
        with contextlib.suppress(OSError):  # it ended in between
            for line in (proc / str(one) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += 1024.0 * int(line.split()[1])
    return total
