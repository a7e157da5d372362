"""Processes as NATS services, on a server with users and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace
from support.nats_tool import as_role, nats, needs_nats
from support.secured import Place, secured
from support.waiting import eventually

from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.log.presence import Heartbeat
from ringrift.runtime import fleet_processes
from ringrift.runtime.process import Process
from ringrift.runtime.service import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
START_SECONDS_MAX = 60.0


class Fleet:
    """A running clock, as a coordinator."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process) -> None:
        self.place, self.process = place, process

    async def ask(self, log: JetStreamLog, subject: str, body: bytes = b"") -> bytes:
        """The first answer to a request, at the inbox of services."""
        inbox = f"_FLEET.{log.client.role}.{os.urandom(8).hex()}"
        answer = await log.client.subscribe(inbox, max_msgs=1)
        await log.client.publish(subject, body, reply=inbox)
        return (await answer.next_msg(timeout=5)).data

    async def info(self, log: JetStreamLog) -> dict[str, object]:
        found: dict[str, object] = json.loads(await self.ask(log, "$SRV.INFO.clock"))
        return found

    async def endpoint(self, log: JetStreamLog, name: str) -> str:
        endpoints = (await self.info(log))["endpoints"]
        assert isinstance(endpoints, list)
        return next(str(each["subject"]) for each in endpoints if each["name"] == name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    async with secured(folder) as place:
        environment = os.environ | {
            AUTHORITY: str(place.authority),
            CREDENTIALS: str(place.credentials("coordinator")),
            "RINGRIFT_HEALTH_PORT": "0",
            "RINGRIFT_DATA": str(folder),
        }
        words = ("-m", "ringrift.consumers.clock", "--server", place.url)
        with (folder / "clock.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, env=environment, stdout=output, stderr=output
            )
        fleet = Fleet(place, process)
        viewer = await place.log("viewer")

        async def answers() -> bool:
            with contextlib.suppress(TimeoutError, Exception):
                return bool(await fleet.info(viewer))
            return False

        try:
            await eventually(answers, START_SECONDS_MAX)
            await viewer.close()
            yield fleet
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def test_a_process_says_what_it_is(fleet: Fleet) -> None:
    viewer = await fleet.place.log("viewer")
    info = await fleet.info(viewer)
    assert (info["name"], info["description"]) == ("clock", "RingRift coordinator")
    metadata = info["metadata"]
    assert isinstance(metadata, dict)
    assert (metadata["node"], metadata.keys()) == (
        "the-coordinator",
        {"node", "instance", "commit"},
    )
    health = await fleet.ask(viewer, await fleet.endpoint(viewer, "health"))
    assert health.strip() == b"alive"
    metrics = await fleet.ask(viewer, await fleet.endpoint(viewer, "metrics"))
    assert b'ringrift_consumer_alive{consumer="clock",node="the-coordinator"} 1.0' in metrics
    await viewer.close()


async def test_the_log_level_changes_while_it_runs(fleet: Fleet) -> None:
    oncall = await fleet.place.log("oncall")
    level = await fleet.endpoint(oncall, "level")
    assert await fleet.ask(oncall, level) == b"info"
    assert await fleet.ask(oncall, level, b"debug") == b"debug"
    assert await fleet.ask(oncall, level, b"loud") == b""
    assert await fleet.ask(oncall, level, b"info") == b"info"
    await oncall.close()


async def test_a_stack_dump_names_threads_and_tasks(fleet: Fleet) -> None:
    oncall = await fleet.place.log("oncall")
    text = (await fleet.ask(oncall, await fleet.endpoint(oncall, "stack"))).decode()
    assert "thread MainThread" in text
    assert "task " in text
    assert "consumers/clock.py" in text
    await oncall.close()


async def test_a_viewer_neither_sets_levels_nor_dumps_stacks(fleet: Fleet) -> None:
    viewer = await fleet.place.log("viewer")
    for name in ("level", "stack"):
        subject = await fleet.endpoint(viewer, name)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fleet.ask(viewer, subject), 0.5)
    await viewer.close()


async def test_an_answer_goes_to_an_inbox_only(fleet: Fleet) -> None:
    """Else a coordinator could be made to write where its rights reach."""
    operator = await fleet.place.log("operator")
    before = await operator.tail("EVENTS")
    subject = await fleet.endpoint(operator, "health")
    await operator.client.publish(subject, b"", reply="ringrift.settings.all.changed")
    await operator.client.publish("$SRV.PING", b"", reply="$JS.API.STREAM.PURGE.OBJ_folds")
    await operator.client.flush()
    assert await fleet.ask(operator, subject) == b"alive\n"  # the others came before
    messages = [batch async for batch in operator.read("EVENTS", start_seq=before + 1)]
    assert all(b"alive" not in entry.body for batch in messages for entry in batch)
    await operator.close()


async def test_a_role_is_asked_under_its_own_names_only(fleet: Fleet) -> None:
    worker = await fleet.place.log("worker")
    heard: list[object] = []

    async def hear(message: object) -> None:
        heard.append(message)

    for subject in ("$SRV.PING.clock", "$SRV.INFO.*", "fleet.clock.>", "_FLEET.viewer.>"):
        await worker.client.subscribe(subject, cb=hear)
    await worker.client.flush()
    viewer = await fleet.place.log("viewer")
    await fleet.info(viewer)
    assert heard == []
    await viewer.close()
    await worker.close()


async def test_one_process_has_the_metrics_of_all(fleet: Fleet) -> None:
    for role in ("coordinator", "viewer"):
        asking = await fleet.place.log(role)
        info = await fleet.place.log("viewer")
        instance = (await fleet.info(info))["metadata"]["instance"]  # type: ignore[index]
        who = {"consumer": "clock", "node": "the-coordinator"}
        beat = Heartbeat(**who, doing="", pid=1, seq=0, errors=0, instance=instance, folds={})
        gone = replace(beat, instance="gone")
        answers = await fleet_processes.ask(asking, [beat, gone])
        (sample,) = answers.families["ringrift_consumer_alive"].samples
        assert sample.labels == who | {"process": instance}
        await asking.close()
        await info.close()


@needs_nats
async def test_a_process_whose_work_hangs_answers(fleet: Fleet) -> None:
    operator = await fleet.place.log("operator")
    process = Process("rater", "n8", operator)
    subject = f"fleet.rater.n8.{process.instance}.stack"
    options = as_role(fleet.place, "operator", "_FLEET")

    async def answers() -> bool:
        return "thread" in nats("req", subject, "", "--timeout", "1s", options=options).text

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AUTHORITY, str(fleet.place.authority))
        patch.setenv(CREDENTIALS, str(fleet.place.credentials("operator")))
        with serving(process, fleet.place.url):
            await eventually(answers, START_SECONDS_MAX)
            # the call blocks the event loop of the work
            text = nats("req", subject, "", "--raw", options=options).text
            assert "test_a_process_whose_work_hangs_answers" in text
    await operator.close()


@needs_nats
async def test_the_tool_lists_the_fleet(fleet: Fleet) -> None:
    options = as_role(fleet.place, "viewer", "_FLEET")
    for words, expected in (
        (("ls",), "clock"),
        (("info", "clock"), "the-coordinator"),
        (("stats", "clock"), "health"),
        (("ping", "clock"), "clock"),
    ):
        answer = nats("micro", *words, options=options)
        assert expected in answer.text, answer.text
