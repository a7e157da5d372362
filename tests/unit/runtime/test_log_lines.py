"""Every log line of a consumer names what happened and what caused it, and no secret."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.contextvars import clear_contextvars
from support.system import PLAN, System, running, until

from ringrift.events import Fact
from ringrift.events.facts import PipelinePaused, TrainingFailed
from ringrift.events.tickets import Ticket, tickets_of
from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.decide import followed
from ringrift.runtime.logs import configure_logs
from ringrift.runtime.process import Process
from ringrift.runtime.work import work

PACKAGE = Path(__file__).parents[3] / "ringrift"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    clear_contextvars()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Reads the log lines since the last call."""
    monkeypatch.setenv("RINGRIFT_LOG", "json")
    configure_logs()
    # standard error as it is when a line is written
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    return TrainingFailed(
        config="hex8_2p", generation=0, ticket=ticket.ticket, reason=reason, node="test"
    )


def logger_calls() -> Iterator[tuple[str, ast.Call]]:
    """The calls that write a log line, with their places."""
    for room in ("consumers", "runtime", "log"):
        for path in (PACKAGE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    if node.func.attr in LEVELS and "logger" in owner:
                        yield f"{path.name}:{node.lineno}", node


def test_every_line_has_an_event_that_can_be_searched_for() -> None:
    calls = list(logger_calls())
    assert len(calls) > 30
    for place, call in calls:
        (event,) = call.args
        # a name holds the type of a fact
        assert isinstance(event, ast.Constant | ast.Name), f"{place}: details are fields"


async def beside(process: Process) -> None:
    process.logger.warning("searched")


async def test_lines_of_a_ticket_name_it_and_its_cause(system: System, lines: Any) -> None:
    async def handle(process: Process, ticket: Ticket, deliveries: int) -> None:
        process.logger.info("played")
        context = contextvars.copy_context()
        await asyncio.create_task(beside(process), context=context)  # as a thread has it
        raise RuntimeError("no luck")

    seq = await system.write(PLAN)
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{seq}")
    await system.put(ticket)
    process = system.process("selfplay")
    async with running(work(process, "selfplay", handle, failed)):
        await system.first(TrainingFailed)
        await until(lambda: not system.queue.entries)
    found = lines()
    assert {"played", "searched", "failed, will retry", "failed for good", "dead letter"} <= {
        line["event"] for line in found
    }
    for line in found:
        assert line["consumer"] == "selfplay"
        assert line["ticket"] == ticket.ticket
        assert line["cause"] == (ticket.cause if line["event"] != "dead letter" else "WORK/1")
    structlog.get_logger().info("later")
    assert "cause" not in lines()[-1]


async def test_lines_about_an_event_name_it(system: System, lines: Any) -> None:
    process = system.process("dispatcher")

    async def follow() -> None:
        async for event, _ in followed(process, "EVENTS", 1):
            process.logger.info("seen", fact=type(event).__name__)

    await system.write(PLAN)
    await system.write(PipelinePaused(scope="all", why="w"))
    async with running(follow()):
        await until(lambda: process.seq == 2)
    seen = [(line["fact"], line["cause"]) for line in lines() if line["event"] == "seen"]
    assert seen == [("SelfplayPlanned", "EVENTS/1"), ("PipelinePaused", "EVENTS/2")]


async def test_no_message_shows_the_password_of_an_address(lines: Any) -> None:
    with pytest.raises(Unreachable) as refused:
        await JetStreamLog.open("nats://worker:s3cret@127.0.0.1:1", name="test")
    assert "127.0.0.1:1" in str(refused.value)
    assert "s3cret" not in repr(refused.value)
    assert "s3cret" not in json.dumps(lines())


def test_lines_for_people_are_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGRIFT_LOG", "console")
    configure_logs()
    structlog.get_logger().warning("failed", reason="\x1b[2J\u202e\r\n")
    assert capsys.readouterr().err.rstrip("\n").isprintable()
