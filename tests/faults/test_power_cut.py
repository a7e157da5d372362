"""All servers lose power at once, and with it what they had not synced: the loss of acknowledged
events by `sync_interval`.

Each server has a disk that drops what was not synced to it (see `chaos.disks`). With our setting
nothing acknowledged is lost. With the server's default, two minutes, much is: so the test that
finds nothing with ours can find a loss."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from chaos import servers
from chaos.servers import SYNC_DEFAULT, SYNC_OURS, Servers, inject, recovered
from chaos.table import Row
from chaos.writers import watch_leader, writing
from simulator import checker

from ringrift.events import Recorded

WRITE_SECONDS = 5.0
KILLS, CUTS = 2, 2


async def written_through(made: Servers, kinds: list[str], name: str) -> Row:
    """Write while faults of these kinds happen, and compare the history with what was
    acknowledged. Without a leader nothing can be read."""
    plan, leaderless = random.Random(name), [0.0]
    found: dict[str, list[Recorded]] = {}
    watching = asyncio.create_task(watch_leader(made.cluster.url, leaderless))
    try:
        async with writing(made.cluster.url) as writers:
            for kind in kinds:
                await asyncio.sleep(WRITE_SECONDS)
                await inject(made, kind, plan)
                await recovered(made.log)
            await asyncio.sleep(WRITE_SECONDS)
        found = await checker.history(made.log)
    except TimeoutError:
        name = f"{name}: no leader any more"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    ledgers = [writer.acknowledged for writer in writers]
    return Row(
        name,
        Counter(kinds),
        acknowledged=sum(map(len, ledgers)),
        lost=len(checker.lost(found, ledgers, at_seq=False)),
        doubled=len(checker.doubled(found)),
        others=len(checker.disordered(ledgers)),
        outage_seconds=max(writer.longest for writer in writers),
        leaderless_seconds=leaderless[0],
    )


@pytest.mark.slow  # an election after each of the four
async def test_our_sync_interval_loses_nothing_at_a_power_cut(
    tmp_path: Path, rows: list[Row]
) -> None:
    kinds = ["kill"] * KILLS + ["power"] * CUTS
    async with servers.cluster(tmp_path, disks=True, sync=SYNC_OURS) as made:
        row = await written_through(made, kinds, f"sync_interval {SYNC_OURS}")
    rows.append(row)
    assert (row.lost, row.doubled, row.others) == (0, 0, 0)
    assert row.acknowledged > 100 * (KILLS + CUTS)


@pytest.mark.slow
async def test_the_default_loses_nothing_at_kills_and_much_at_a_power_cut(
    tmp_path: Path, rows: list[Row]
) -> None:
    name = f"sync_interval {SYNC_DEFAULT}"
    async with servers.cluster(tmp_path, disks=True, sync=SYNC_DEFAULT) as made:
        killed = await written_through(made, ["kill"] * KILLS, f"{name}, no power cut")
        cut = await written_through(made, ["power"] * CUTS, name)
    rows += [killed, cut]
    assert (killed.lost, killed.doubled, killed.others) == (0, 0, 0)
    assert cut.lost
