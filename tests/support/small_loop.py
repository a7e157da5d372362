"""Settings under which the whole loop runs a generation in seconds, and that loop."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

FINISH_SECONDS_MAX = 300.0
SETTINGS = {
    "training.architecture": "v2-micro",
    "selfplay.games": 16,
    "selfplay.bootstrap_games": 24,
    "selfplay.games_per_ticket": 8,
    "selfplay.simulations": 4,
    "selfplay.considered": 4,
    "shard.games": 8,
    "training.min_samples": 100,
    "training.epochs": 1.0,
    "training.batch": 64,
    "training.checkpoint_steps": 5,
    "evaluation.simulations": 4,
    "evaluation.starts_per_ticket": 4,
    "evaluation.baseline_starts": 4,
    "promotion.starts_max": 8,
}


def options() -> list[str]:
    """The settings as options of `ringrift up`."""
    return [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


async def run(server: str, data: Path, *words: str) -> str:
    """Run `ringrift up` with these settings and `words` on a server to its end; return what it
    printed."""
    loop = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringrift.cli.main", "up", "--server", server, "--plain"),
        *("--data", str(data), *options(), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(FINISH_SECONDS_MAX):
            output, _ = await loop.communicate()
    finally:
        if loop.returncode is None:
            loop.terminate()
            await loop.wait()
    assert loop.returncode == 0, output.decode()
    return output.decode()
