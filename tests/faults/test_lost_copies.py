"""Voters whose copies are damaged or gone: nothing is created beside the log, and `verify` names
the damaged copy.

Slow: three servers start twice."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from pathlib import Path

import pytest
from chaos import servers
from chaos.servers import recovered
from support.clusters import content, event
from support.voters import voters
from support.waiting import eventually, insist

from ringrift.cli.main import main
from ringrift.cluster.doctor.system import system_findings
from ringrift.consumers.verification.streams import differing_copies
from ringrift.log.errors import ServerError, StreamError, VoterAway
from ringrift.log.holdings import blank, damages, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.runtime.fleet_metrics import Fleet
from ringrift.server.ensure import ensure
from ringrift.server.voter import check

EVENTS_WRITTEN = 400
WAIT_SECONDS_MAX = 60.0


def stores(made: servers.Servers, name: str) -> list[Path]:
    """The store of a voter."""
    return [path for path in (made.data / "voters" / name).rglob("jetstream") if path.is_dir()]


async def readable_under(made: servers.Servers, name: str) -> int:
    """How many of the events can be read while a server leads."""
    request = {"placement": {"preferred": name}}
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await made.leader() != name:
            await insist(lambda: made.log.call(f"STREAM.LEADER.STEPDOWN.{EVENTS}", request))
            await recovered(made.log)
    found = [await made.log.get(EVENTS, seq) for seq in range(1, EVENTS_WRITTEN + 1)]
    return sum(entry is not None for entry in found)


@pytest.mark.slow
async def test_a_damaged_copy_is_named(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as made:
        # given whole copies
        await made.log.append_each([event(number) for number in range(EVENTS_WRITTEN)])
        assert [problem async for problem in differing_copies(made.log)] == []
        # when bytes in the middle of one copy are lost, and it catches up by no log of its own
        damaged = made.names[0]
        made.kill(made.names)
        (store,) = stores(made, damaged)
        block = sorted(store.rglob(f"streams/{EVENTS}/msgs/*.blk"))[0]
        content = bytearray(block.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 3] = b"\xff\xfe\xfd"
        block.write_bytes(content)
        made.start(made.names)
        await recovered(made.log)
        # then it is named exactly if messages are missing where it leads
        named = [problem async for problem in differing_copies(made.log)]
        missing = EVENTS_WRITTEN - await readable_under(made, damaged)
        assert [f"voter {damaged} holds" in problem.text for problem in named] == [True] * bool(
            missing
        )


@pytest.mark.slow
async def test_nothing_is_created_beside_a_log_that_one_voter_holds(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as made:
        await made.log.append_each([event(number) for number in range(EVENTS_WRITTEN)])
        # given two voters that come back with empty disks, before the third
        holder, *blank = made.names
        made.kill(made.names)
        for name in blank:
            for store in stores(made, name):
                shutil.rmtree(store)
        made.start(blank)
        log = made.log

        async def answers() -> bool:
            with contextlib.suppress(StreamError):
                return bool(await log.call("INFO", retry=False))
            return False

        await eventually(answers, WAIT_SECONDS_MAX)
        made.start([holder])
        # when the streams are to be created, then they are not
        with pytest.raises(VoterAway, match="takes no part"):
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await ensure(log, replicas=2)
        assert not await names(log)


async def names(log: JetStreamLog) -> list[str]:
    return list((await log.call("STREAM.NAMES")).get("streams") or [])


@pytest.mark.slow
async def test_blank_voters_and_the_one_that_holds_the_log_are_named(tmp_path: Path) -> None:
    async with voters(tmp_path) as (made, log):
        await log.append_each([event(number) for number in range(EVENTS_WRITTEN)])
        await eventually(lambda: everywhere(log), WAIT_SECONDS_MAX)
        # given two voters that come back with empty disks, before the third
        await made.stop(*"abc")
        for name in "ab":
            shutil.rmtree(made.store(name))
            with pytest.raises(ServerError, match="was started before"):
                check(made.home(name))
            check(made.home(name), empty=True)
            await made.start(name)
        await eventually(lambda: leader_of_nothing(log), WAIT_SECONDS_MAX)
        await made.start("c")
        # then the servers say who holds what, and nothing is created
        # (c may take the last batch from its Raft log only when there is a leader again)
        said = "a and b are blank, c holds EVENTS up to "
        assert said in await eventually(lambda: named(log), WAIT_SECONDS_MAX)
        with pytest.raises(VoterAway, match=said):
            await ensure(log, replicas=2)
        assert (await Fleet(log, time.time).metrics()).value("ringrift_voters_blank") == 2


@pytest.mark.slow
async def test_a_voter_that_takes_no_part_is_named_and_a_checked_start_repairs_it(
    tmp_path: Path,
) -> None:
    async with voters(tmp_path) as (made, log):
        await log.append_each([event(number) for number in range(EVENTS_WRITTEN)])
        await eventually(lambda: everywhere(log), WAIT_SECONDS_MAX)
        # given damaged Raft snapshots, and a server that was started without the check
        await made.stop("c", by=signal.SIGTERM)
        for path in made.store("c").glob("jetstream/*/_js_/S-*/snapshots/*"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        await made.start("c", checked=False)
        # then it is named, and everything can be read
        assert EVENTS in await eventually(lambda: idle(log, "c"), WAIT_SECONDS_MAX)
        findings = [finding.text async for finding in system_findings(log)]
        assert any(text.startswith("voter c takes no part in EVENTS: ") for text in findings)
        for _ in range(6):
            assert len(await content(log, EVENTS)) == EVENTS_WRITTEN
        # when it starts again, as its unit would
        await made.stop("c", by=signal.SIGTERM)
        await made.start("c")
        await log.append_each([event(EVENTS_WRITTEN)])
        # then its copies are whole again
        await eventually(lambda: everywhere(log, EVENTS_WRITTEN + 1), WAIT_SECONDS_MAX)
        assert await idle(log, "c") == set()


async def idle(log: JetStreamLog, name: str) -> set[str]:
    """The streams that a voter takes no part in."""
    found = damages(await holdings(log.servers) or ())
    return {each.stream for each in found if each.server == name and each.idle}


async def leader_of_nothing(log: JetStreamLog, count: int = 2) -> bool:
    held = await holdings(log.servers) or ()
    return len(held) == count and all(each.leader and not each.streams for each in held)


async def named(log: JetStreamLog) -> str:
    return blank(await holdings(log.servers) or ())


async def everywhere(log: JetStreamLog, count: int = EVENTS_WRITTEN) -> bool:
    held = await holdings(log.servers) or ()
    return [each.streams[EVENTS].messages for each in held if each.streams] == [count] * 3


@pytest.mark.slow
async def test_blank_voters_get_streams_once_or_when_a_person_says_that_they_are_new(
    tmp_path: Path,
) -> None:
    async with voters(tmp_path, create=False) as (made, log):
        # given a new cluster, whose streams `contract apply` creates
        apply = ["contract", "apply", "--replicas", "3", "--server", made.url]
        assert await asyncio.to_thread(main, apply) == 0
        # when all its voters come back blank, against the advice of the check
        await made.stop(*"abc")
        for name in "abc":
            shutil.rmtree(made.store(name))
            check(made.home(name), empty=True)
            await made.start(name)
        await eventually(lambda: leader_of_nothing(log, 3), WAIT_SECONDS_MAX)
        # then nothing is created, until a person says so
        assert await asyncio.to_thread(main, apply) == 1
        with pytest.raises(VoterAway, match="nothing says that it is new"):
            await ensure(log, replicas=None)
        assert not await names(log)
        assert await asyncio.to_thread(main, [*apply, "--new"]) == 0
