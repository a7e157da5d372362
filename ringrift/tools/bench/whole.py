"""A whole loop of several processes for a while: the share of the cores that it used by work, what
the rest waited for, and the memory of all its processes."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ringrift.errors import CommandError
from ringrift.insight.usage import Used, used_since
from ringrift.log.jetstream import JetStreamLog
from ringrift.server.embedded import EmbeddedServer
from ringrift.tools.bench.harness import Benchmark

SECONDS_MIN = 60.0
"""less has no sample of the cores"""
LOOK_SECONDS = 5.0
WORK = ("selfplay", "evaluation", "training", "export")
WAITS = ("a-ticket", "a-process")
SHARES = ("cores used", *WORK, *(f"waiting for {what.replace('-', ' ')}" for what in WAITS))
UNITS = dict.fromkeys((*SHARES, "waiting for others"), "%")
UNITS |= dict.fromkeys(("memory", "memory at the end"), "MB")


def benchmark(configs: Sequence[str], seconds: float) -> Benchmark:
    """`ringrift up` of these configs for this long, in a new directory."""
    name = f"loop/{'+'.join(configs)}"
    return Benchmark(name, UNITS, lambda: _run(configs, seconds), runs_max=3)


async def _run(configs: Sequence[str], seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        words = [word for config in configs for word in ("--config", config)]
        words += ["--for", f"{seconds:.0f}s", "--data", folder, "--plain", "--no-web"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ringrift.cli.main", "up", *words),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        ended = asyncio.ensure_future(process.communicate())
        memory = [0.0]
        while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
            memory.append(proportional_bytes(process.pid) / 1e6)
        if process.returncode:
            raise CommandError(f"`ringrift up` failed: {ended.result()[1].decode().strip()}")
        *_, whole = (await _used(Path(folder))).values()
    waited = [whole.waited.get(what, 0.0) for what in WAITS]
    parts = [whole.share * whole.total, *(whole.busy.get(what, 0.0) for what in WORK), *waited]
    parts.append(sum(whole.waited.values()) - sum(waited))
    shares = [100.0 * each / whole.total for each in parts]
    return dict(zip(UNITS, (*shares, max(memory), max(memory[-3:])), strict=True))


async def _used(data: Path) -> dict[str, Used]:
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="bench")
        try:
            return await used_since(log)
        finally:
            await log.close()
    finally:
        await server.stop()


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
