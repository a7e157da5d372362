"""All servers lose power at once, and with it what they had not synced: what each `sync_interval`
loses of what was acknowledged.

Each server has a disk of its own that drops what no sync has brought to it (see `chaos.disks`).
With ours nothing acknowledged is lost. With the server's default, two minutes, much is: the same
test that finds nothing with ours can find it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from chaos import servers
from chaos.servers import SYNC_DEFAULT, SYNC_OURS, Servers, harm, recovered
from chaos.table import Row
from chaos.writers import watch_leader, writing
from simulator import checker
from simulator.checker import history

from ringrift.events import Recorded

WRITE_SECONDS = 5.0
KILLS, CUTS = 2, 2


async def written_through(made: Servers, kinds: list[str], name: str) -> Row:
    """Writers write while all this happens; what became of what they were told is stored. Without a
    leader nothing can be read."""
    plan, leaderless = random.Random(name), [0.0]
    watching = asyncio.create_task(watch_leader(made.cluster.url, leaderless))
    try:
        async with writing(made.cluster.url) as writers:
            for how in kinds:
                await asyncio.sleep(WRITE_SECONDS)
                await harm(made, how, plan)
                await recovered(made.log)
            await asyncio.sleep(WRITE_SECONDS)
        found = await history(made.log)
    except TimeoutError:
        name, found = f"{name}: no leader any more", dict[str, list[Recorded]]()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    ledgers = [writer.acknowledged for writer in writers]
    lost, doubled, others = (
        checker.lost(found, ledgers, at_seq=False),
        checker.doubled(found),
        checker.disordered(ledgers),
    )
    acknowledged, outage = sum(map(len, ledgers)), max(writer.longest for writer in writers)
    return Row(
        name,
        Counter(kinds),
        acknowledged,
        len(lost),
        len(doubled),
        len(others),
        outage,
        leaderless[0],
    )


@pytest.mark.slow  # an election after each of the four
async def test_ours_loses_nothing_at_a_power_cut(tmp_path: Path, rows: list[Row]) -> None:
    async with servers.cluster(tmp_path, disks=True, sync=SYNC_OURS) as made:
        row = await written_through(
            made, ["kill"] * KILLS + ["power"] * CUTS, f"sync_interval {SYNC_OURS}"
        )
    rows.append(row)
    assert (row.lost, row.doubled, row.others) == (0, 0, 0)
    assert row.acknowledged > 100 * (KILLS + CUTS)


@pytest.mark.slow
async def test_the_default_loses_nothing_at_kills_and_much_at_a_power_cut(
    tmp_path: Path, rows: list[Row]
) -> None:
    async with servers.cluster(tmp_path, disks=True, sync=SYNC_DEFAULT) as made:
        killed = await written_through(
            made, ["kill"] * KILLS, f"sync_interval {SYNC_DEFAULT}, no power cut"
        )
        cut = await written_through(made, ["power"] * CUTS, f"sync_interval {SYNC_DEFAULT}")
    rows += [killed, cut]
    assert (killed.lost, killed.doubled, killed.others) == (0, 0, 0)
    assert cut.lost
