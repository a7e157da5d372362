"""`ringrift watch` on real terminals."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from support.terminals import terminal

from ringrift.events import draft
from ringrift.events.facts import PipelinePaused
from ringrift.log.jetstream import JetStreamLog

ENTERED, LEFT, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture(scope="module")
def paused(system: Any) -> None:
    async def work() -> None:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            fact = PipelinePaused(scope="all", why="repairs")
            await log.append([draft(fact, cause=None, source="test")])
        finally:
            await log.close()

    system.call(work())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_pause_is_on_the_screen_and_keys_work(
    system: Any, paused: None, size: tuple[int, int]
) -> None:
    columns, rows = size
    words = ("watch", "--server", system.server.url)
    with terminal(*words, columns=columns, rows=rows) as (here, process):
        before = here.modes()
        here.until(lambda: any("hex8_2p: waiting for shards" in line for line in here.screen()))
        here.until(lambda: len(here.screen()) == rows)  # the first picture may arrive in parts
        lines = here.screen()
        assert all(len(line.rstrip("\r")) <= columns for line in lines)
        assert any("all configs: all work paused: repairs" in line for line in lines[:6])
        here.type("n")
        here.until(lambda: any("esc back" in line for line in here.screen()))
        assert any("`ringrift resume` ends it" in line for line in here.screen())
        here.type("q")
        here.until(lambda: process.poll() is not None and LEFT in here.sent)
        assert process.wait() == 0
        assert here.sent.count(ENTERED) == here.sent.count(LEFT) == 1
        assert here.sent.rindex(CURSOR) > here.sent.rindex(b"\x1b[?25l")
        assert here.modes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(system: Any, number: signal.Signals) -> None:
    with terminal("watch", "--data", str(system.data)) as (here, process):
        before = here.modes()
        here.until(lambda: b"hex8_2p:" in here.sent)
        process.send_signal(number)
        here.until(lambda: process.poll() is not None and LEFT in here.sent)
        assert process.wait() == 0
        assert here.modes() == before


def test_a_stopped_process_gives_the_terminal_back_until_it_continues(system: Any) -> None:
    with terminal("watch", "--data", str(system.data)) as (here, process):
        before = here.modes()
        here.until(lambda: b"hex8_2p:" in here.sent)
        process.send_signal(signal.SIGTSTP)
        here.until(lambda: LEFT in here.sent and here.modes() == before)
        process.send_signal(signal.SIGCONT)
        here.until(lambda: here.sent.count(ENTERED) == 2)
        here.type("q")
        here.until(lambda: process.poll() is not None)
        assert process.wait() == 0


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii", "TERM": "dumb"}]
)
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    system: Any, environment: dict[str, str]
) -> None:
    words = ("watch", "--data", str(system.data))
    with terminal(*words, environment=environment) as (here, process):
        here.until(lambda: b"hex8_2p: waiting for shards" in here.sent)
        process.send_signal(signal.SIGTERM)
        here.until(lambda: process.poll() is not None)
        assert process.wait() == 0
    assert b"\x1b" not in here.sent


def test_a_terminal_that_is_not_utf8_gets_ascii(system: Any) -> None:
    environment = {"PYTHONIOENCODING": "ascii"}
    words = ("watch", "--data", str(system.data))
    with terminal(*words, environment=environment) as (here, process):
        here.until(lambda: b"hex8_2p:" in here.sent and b"q quit" in here.sent)
        here.type("q")
        here.until(lambda: process.poll() is not None)
    assert here.sent.isascii()
    assert rb"\u" not in here.sent
