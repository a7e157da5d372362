"""Whatever the log holds: every command that reads it ends in order, with an answer or one line of
error. See `adversary`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adversary.trial import Trial, run
from ringrift.cli.main import main
from ringrift.events import REGISTRY
from ringrift.insight.sql.log_tables import view_name
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.authorship import deciders
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

pytestmark = pytest.mark.real_time
FACTS = 250
SEEDS = (3, pytest.param(7, marks=pytest.mark.slow))
VIEWS_TRIED = 12
STATUSES = (0, 1)
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


def commands(trial: Trial) -> Iterator[list[str]]:
    """The command lines that read the log of a trial."""
    seqs = [item.meta.seq for item in trial.stored]
    chosen = [str(seq) for seq in (1, seqs[len(seqs) // 2], *seqs[-3:])]
    for words in (["status"], ["verify"], ["replay", "elo"], ["model", "list"], ["dlq", "list"]):
        yield words
        yield [*words, "--json"]
    yield from (["settings"], ["breakers", "list"], ["contract", "check"])
    yield ["events", "tail", "--no-follow", "--since", "1"]
    for seq in chosen:
        yield ["events", "show", seq]
        yield ["why", seq]
        yield ["at", seq]
    yield ["at", chosen[-1], "--json"]
    yield ["diff", "1", chosen[-1]]
    yield ["lineage", "--node", "n1"]
    yield ["lineage", "--games-of", "heuristic"]
    models = {model for item in trial.stored if (model := getattr(item.event, "model", None))}
    for model in sorted(models)[:3]:
        yield ["lineage", model]
        yield ["why", model]
    for name in deciders():
        yield ["whatif", name, "--set", "promotion.elo1=50"]
    views = [*READY_VIEWS, *(view_name(kind.fact_type) for kind in REGISTRY.values())]
    for view in trial.random.sample(views, VIEWS_TRIED):
        yield ["query", f"FROM {view}"]


async def write(trial: Trial, log: JetStreamLog) -> None:
    """Store the messages of a trial on a server, byte for byte."""
    for stream in (EVENTS, GAMES):
        for entry in trial.broker.stream(stream).entries.values():
            if _SUBJECT.fullmatch(entry.subject) and len(entry.subject) < 1000:
                await log.publish(stream, entry.subject, entry.body)


@pytest.fixture(params=SEEDS)
async def trial(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Trial]:
    """A trial whose log is on the server that commands use."""
    trial = run(request.param, FACTS)
    server = await EmbeddedServer.start(tmp_path)
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    await write(trial, log)
    await log.close()
    monkeypatch.setenv("RINGRIFT_DATA", str(tmp_path))
    yield trial
    await server.stop()


async def test_no_fact_ends_a_command_in_a_traceback(
    trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {}
    for words in commands(trial):
        try:
            status = await asyncio.to_thread(main, words)
        except Exception as error:  # noqa: BLE001  a finding, whatever it is
            failed[" ".join(words)] = repr(error)
        else:
            if status not in STATUSES:
                failed[" ".join(words)] = f"status {status}"
    assert failed == {}
