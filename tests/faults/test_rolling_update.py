"""Programs of two versions on one log: each goes on where the other stopped, in both directions.

One is this one. The other is this one with fields that it does not know (a newer program), or the
last release, or without a release `EARLIER`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.waiting import eventually

from ringrift.events import Settings, draft
from ringrift.events.facts import DeadLetterStored, SelfplayPlanned, SettingsChanged
from ringrift.events.settings import SelfplaySettings
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.server.embedded import EmbeddedServer

pytestmark = [pytest.mark.slow, pytest.mark.real_time]
ROOT = Path(__file__).parents[2]
EARLIER = "db5d29289f06"
"""a commit whose events are those of this program, until there is a release"""
SECONDS_MAX = 60.0
CONFIGS = ("hex8_2p", "square8_2p", "hex8_3p", "square8_3p", "hex8_4p")
SELFPLAY = SelfplaySettings(bootstrap_games=4, games_per_ticket=2)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A copy of this program that knows a setting, a field of plans and a type of fact more."""
    copy = tmp_path / "newer"
    shutil.copytree(ROOT / "ringrift", copy / "ringrift", ignore=shutil.ignore_patterns("*.nb?"))
    changes = {
        "__init__.py": ('__version__ = "', '__version__ = "9.'),
        "events/settings/loop.py": (
            "    bootstrap_games: ",
            '    colour: str = "blue"\n    bootstrap_games: ',
        ),
        "events/facts/play.py": (
            "    noise_plies: Count",
            '    hint: str = "new"\n    noise_plies: Count',
        ),
    }
    for name, (old, new) in changes.items():
        path = copy / "ringrift" / name
        text = path.read_text()
        assert text.count(old) >= 1, name
        path.write_text(text.replace(old, new, 1))
    return copy


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The last release."""
    command = ("git", "-C", ROOT, "describe", "--tags", "--match", "v[0-9]*", "--abbrev=0")
    tag = subprocess.run(command, capture_output=True, text=True)
    commit = tag.stdout.strip() or EARLIER
    if not commit:
        pytest.skip("nothing is released, and no earlier commit is named")
    folder = tmp_path / "earlier"
    folder.mkdir()
    archive = subprocess.run(
        ("git", "-C", ROOT, "archive", commit, "ringrift"), capture_output=True, check=True
    )
    subprocess.run(("tar", "x", "-C", folder), input=archive.stdout, check=True)
    return folder


def environment(program: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(program)}


@asynccontextmanager
async def coordinating(program: Path, log: JetStreamLog, url: str) -> AsyncIterator[None]:
    """The planner and the dispatcher of a program, which take over from those of another."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", f"ringrift.consumers.{name}", "--server", url),
            env=environment(program),
            cwd=program,
        )
        for name in ("planner", "dispatcher")
    ]
    try:
        yield
        assert [process.returncode for process in processes] == [None, None]
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            await process.wait()


async def ringrift(program: Path, *words: str) -> str:
    """The output of a command of a program."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "ringrift.cli.main", *words),
        env=environment(program),
        cwd=program,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def plans(log: JetStreamLog) -> list[str]:
    return [plan.config async for plan, _ in read.facts(log, SelfplayPlanned)]


async def tickets(log: JetStreamLog) -> list[str]:
    return [entry.subject.rpartition(".")[2] for entry in await log.queued()]


async def one_more_config(log: JetStreamLog) -> None:
    """Set one more config, and wait until its games are planned and on the queue."""
    before, version = await read.settings_in_force(log)
    configs = CONFIGS[: len(before.configs) + 1] if version else CONFIGS[:1]
    settings = Settings(configs=configs, selfplay=SELFPLAY)
    fact = SettingsChanged(version=version + 1, settings=settings, why="test")
    await log.append([draft(fact, cause=None, source="test", key=version)])

    async def planned() -> bool:
        return configs[-1] in await plans(log) and configs[-1] in await tickets(log)

    await eventually(planned, SECONDS_MAX)


async def doing(log: JetStreamLog, name: str) -> str:
    """What the process of this name does."""
    return next((beat.doing for beat in await Presence(log).all() if beat.consumer == name), "")


@pytest.mark.parametrize("other", ["newer", "earlier"])
async def test_each_program_goes_on_where_the_other_stopped(
    other: str, request: pytest.FixtureRequest, server: EmbeddedServer, log: JetStreamLog
) -> None:
    found: Path = request.getfixturevalue(other)
    for program in (ROOT, found, ROOT, found):
        async with coordinating(program, log, server.url):
            await one_more_config(log)
    assert sorted(await plans(log)) == sorted(CONFIGS[:4]), "each is planned once"
    assert sorted(await tickets(log)) == sorted(CONFIGS[:4] * 2)
    letters = [fact async for fact, _ in read.facts(log, DeadLetterStored)]
    assert not letters


async def test_settings_of_a_newer_program_stop_decisions_until_they_are_set_again(
    newer: Path, server: EmbeddedServer, log: JetStreamLog
) -> None:
    async with coordinating(ROOT, log, server.url):
        await one_more_config(log)
    at = ("--server", server.url)
    await ringrift(newer, "settings", "--set", "selfplay.colour=green", *at)
    await ringrift(newer, "settings", "--set", f"configs={','.join(CONFIGS[:2])}", *at)
    async with coordinating(ROOT, log, server.url):

        async def stopped() -> bool:
            return "not deciding" in await doing(log, "planner")

        await eventually(stopped, SECONDS_MAX)
        why = await doing(log, "planner")
        assert re.search(r"EVENTS/\d+ by ringrift 9\..* has settings\.selfplay\.colour", why)
        assert await plans(log) == [CONFIGS[0]]
        shown = json.loads(await ringrift(ROOT, "settings", "--json", *at))
        assert "colour" not in shown["selfplay"]
        await ringrift(ROOT, "settings", "--set", f"configs={','.join(CONFIGS[:2])}", *at)

        async def decided() -> bool:
            return CONFIGS[1] in await plans(log)

        await eventually(decided, SECONDS_MAX)
    assert not [fact async for fact, _ in read.facts(log, DeadLetterStored)]
