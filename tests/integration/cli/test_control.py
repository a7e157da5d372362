"""Pausing, dead letters, breakers and the cluster at a glance, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ringrift.cli.main import main
from ringrift.consumers import dispatcher
from ringrift.deciders.fleet.breaker import Breaker
from ringrift.events import draft
from ringrift.events.facts import SelfplayPlanned
from ringrift.events.tickets import encode_ticket, subject_of, tickets_of
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process
from ringrift.runtime.work import work
from ringrift.server.ensure import ensure

PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=0,
    games=2,
    games_per_ticket=1,
    simulations=4,
    model=None,
    seed=1,
    settings_version=0,
)


async def process_on(log: JetStreamLog, name: str) -> Process:
    return Process(name, "test", log)


def on(system: Any, job: Callable[[JetStreamLog], Awaitable[Any]]) -> Any:
    """Run a job over a connection of its own."""

    async def run() -> Any:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            async with asyncio.timeout(30):
                return await job(log)
        finally:
            await log.close()

    return system.call(run())


def test_pause_and_resume_show_in_status(run: Any) -> None:
    assert "selfplay of hex8_2p is paused" in run(
        "pause", "--config", "hex8_2p", "--kind", "selfplay", "--why", "repairs"
    )
    assert "paused already: repairs" in run(
        "pause", "--config", "hex8_2p", "--kind", "selfplay", "--why", "other"
    )
    assert "→ paused: hex8_2p/selfplay (repairs)" in run("status")
    assert run.json("status")["cluster"]["paused"] == {"hex8_2p/selfplay": "repairs"}
    run("resume", status=1)
    assert (
        "not paused: `ringrift resume --config hex8_2p --kind selfplay` "
        "ends the pause hex8_2p/selfplay" in run.err
    )
    assert "resumed: hex8_2p/selfplay" in run("resume", "--all")
    assert run.json("resume", "--all") == {"paused": {}}
    run("pause", "--config", "hex9_2p", "--why", "w", status=2)
    assert 'Choose from: "square8_2p"' in run.err
    assert 'Did you mean "hex8_2p"?' in run.err


def test_a_pause_finishes_the_ticket_in_progress_and_withdraws_the_others(
    run: Any, system: Any
) -> None:
    """It is acknowledged although the pause removed it from the queue with the others."""

    async def job(log: JetStreamLog) -> None:
        runner, putter = await process_on(log, "selfplay"), await process_on(log, "dispatcher")
        (seq,) = await log.append([draft(PLAN, cause=None, source="test", key="middle")])
        in_hand, release, done = asyncio.Event(), asyncio.Event(), list[str]()

        async def handle(process: Process, ticket: Any, deliveries: int) -> None:
            if ticket.cause == f"EVENTS/{seq}":
                in_hand.set()
                await release.wait()
            done.append(ticket.ticket)

        start = await runner.controls.load()
        jobs = (
            work(runner, "selfplay", handle, failed),
            runner.controls.follow(start),
            dispatcher.main(putter),
        )
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await in_hand.wait()
            before = asyncio.get_running_loop().time()
            await asyncio.to_thread(
                main, ["pause", "--kind", "selfplay", "--why", "t", "--server", system.server.url]
            )
            while not runner.controls.pauses.stops("all", "selfplay") or await log.queued():  # noqa: ASYNC110  nothing tells when
                await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - before < 2.0, (
                "a pause takes effect within two seconds"
            )
            count = len(done)
            release.set()
            while runner.doing != "waiting: selfplay is paused":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert len(done) == count + 1
            await asyncio.to_thread(
                main, ["resume", "--kind", "selfplay", "--server", system.server.url]
            )
            while f"selfplay-events-{seq}-1" not in done or f"selfplay-events-{seq}-0" not in done:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    on(system, job)


def failed(process: Process, ticket: Any, reason: str) -> Any:
    raise AssertionError(reason)


def test_dead_letters_are_listed_shown_retried_and_dropped(run: Any, system: Any) -> None:
    async def bury(log: JetStreamLog) -> None:
        process = await process_on(log, "rater")
        seq = system.seqs["garbage"]
        entry = await log.get("EVENTS", seq)
        await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="EVENTS: malformed")
        position = f"EVENTS/{system.seqs['plan']}"
        request = await read.fact_at(log, position)
        ticket = tickets_of(request.event, position)[0]
        number = await log.publish("WORK", "ringrift.work.nobody.5.hex8_2p", b"x")
        queued = await log.get("WORK", number)
        body = type(queued)(number, subject_of(ticket), 0, encode_ticket(ticket))
        await process.dead_letter(
            body, stream="WORK", deliveries=4, reason="RuntimeError: no luck", failure_recorded=True
        )
        await log.purge("WORK", "ringrift.work.nobody.5.hex8_2p")

    run("dlq", "drop", "--all", "--why", "of other tests")
    before = run.json("dlq", "list")["resolved"]
    on(system, bury)
    listed = run("dlq", "list")
    assert "rater  EVENTS/" in listed
    assert "needs a person: RuntimeError: no luck" in listed
    assert listed.endswith(f"2 unresolved, {before} resolved\n")
    event, ticket = run.json("dlq", "list")["unresolved"]
    assert '{"not": "ours"' in run("dlq", "show", str(event["dead_seq"]))
    checks = {check["name"]: check for check in run.json("doctor")["checks"]}
    assert "2 unresolved" in checks["dead letters"]["text"]
    assert "failed again" in run("dlq", "retry", str(event["dead_seq"]), status=1)
    assert "requeued" in run("dlq", "retry", str(ticket["dead_seq"]))
    run("dlq", "retry", str(ticket["dead_seq"]), status=1)
    assert "no unresolved dead letter has number" in run.err
    run("dlq", "retry", status=1)
    assert "--all" in run.err
    assert "dropped: old" in run("dlq", "drop", "--all", "--why", "old")
    assert run("dlq", "list") == f"0 unresolved, {before + 2} resolved\n"
    on(system, lambda log: log.purge("WORK", "ringrift.work.selfplay.5.hex8_2p"))


def test_many_dead_letters_raise_an_alarm(run: Any, system: Any) -> None:
    async def bury(log: JetStreamLog) -> None:
        process = await process_on(log, "rater")
        entry = await log.get("EVENTS", system.seqs["garbage"])
        for number in range(50):
            await process.dead_letter(
                type(entry)(10_000 + number, entry.subject, 0, b"x"),
                stream="EVENTS",
                deliveries=1,
                reason="r",
            )

    on(system, bury)
    known = run.json("doctor", status=1)
    assert {check["name"]: check["level"] for check in known["checks"]}["dead letters"] == "fail"
    assert "alarm threshold 50" in run("status")
    run("dlq", "drop", "--all", "--why", "test")


def test_breakers_are_listed_and_reset(run: Any, system: Any) -> None:
    async def open_one(log: JetStreamLog) -> None:
        process = await process_on(log, "selfplay")
        await process.breakers.shared.put(
            "node-gpu1", Breaker(failures=10, state="open", until=9e9, why="no luck")
        )

    assert run("breakers", "list") == "no breaker is open\n"
    on(system, open_one)
    assert "node-gpu1  open, 10 failures" in run("breakers", "list")
    assert "→ breaker node-gpu1: no luck" in run("status")
    assert run("breakers", "reset", "node-gpu1") == "node-gpu1 is used again\n"
    assert run.json("breakers", "list") == {}
    run("breakers", "reset", "node-gpu1", status=1)
    assert "no breaker is open for node-gpu1" in run.err


def test_status_of_a_single_server(run: Any) -> None:
    status = run.json("status")
    view = status["cluster"]
    assert (view["quorum"], view["voters"], view["voters_alive"]) == ("HEALTHY", 1, 1)
    assert [queue["kind"] for queue in view["work"]] == ["selfplay", "training", "evaluation"]
    assert {"kind", "waiting", "in_hand"} <= status["work"][0].keys()
    assert status["work"] == view["work"]
    assert json.dumps(view["resilience"])


def test_the_dashboard_and_the_alert_rules_fit_the_metrics(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    assert main(["metrics", "check", "--root", str(root)]) == 0, "run `ringrift metrics export`"
    assert main(["metrics", "check", "--root", str(tmp_path)]) == 1
    assert "is not the root" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    assert main(["metrics", "export", "--root", str(tmp_path)]) == 0
    assert main(["metrics", "check", "--root", str(tmp_path)]) == 0
    rules = tmp_path / "ops" / "prometheus" / "rules.yml"
    rules.parent.mkdir()
    rules.write_text('expr: "ringrift_moons > 0"')
    capsys.readouterr()
    assert main(["metrics", "check", "--root", str(tmp_path)]) == 1
    assert "names ringrift_moons, which is not a metric" in capsys.readouterr().out
    board = json.loads((tmp_path / "ops" / "grafana" / "board.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert main(["metrics", "list"]) == 0
    assert "ringrift_quorum_health_level" in capsys.readouterr().out


def test_a_missing_durable_consumer_shows_in_status(run: Any, system: Any) -> None:
    async def delete(log: JetStreamLog) -> None:
        await log.call("CONSUMER.DELETE.WORK.selfplay")

    async def restore(log: JetStreamLog) -> None:
        assert await ensure(log) == []

    on(system, delete)
    assert "queue selfplay: its durable consumer selfplay is missing; the dispatcher" in run(
        "status"
    )
    assert _queue(run)["missing"] == ["selfplay"]
    on(system, restore)
    assert "is missing" not in run("status")


def test_status_tells_how_long_tickets_wait(run: Any, system: Any) -> None:
    async def put(log: JetStreamLog) -> None:
        await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "old")
        await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "new")

    async def take(log: JetStreamLog) -> None:
        while await log.next_ticket("selfplay", wait_seconds=1):
            pass

    assert _queue(run)["oldest_seconds"] is None
    on(system, put)
    assert 0.0 <= _queue(run)["oldest_seconds"] < 60.0
    assert "selfplay 2 waiting for up to 0:00:" in run("status")
    on(system, take)
    assert _queue(run)["oldest_seconds"] is None, "they are in the hands of a worker"


def _queue(run: Any) -> Any:
    """The queue of self-play, as the status shows it."""
    (found,) = (it for it in run.json("status")["work"] if it["kind"] == "selfplay")
    return found
