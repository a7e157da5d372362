"""`ringrift doctor` and `ringrift contract apply` against a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ringrift.cli.main import main
from ringrift.events.facts import BackupFinished
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.processes import EXPECTED

from .conftest import append


def by_name(known: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in known["checks"]}


def test_a_running_system_passes(run: Any) -> None:
    known = run.json("doctor")
    assert known["healthy"]
    found = by_name(known)
    absent = found["consumers"]["text"].removeprefix("not running: ").split(", ")
    assert "in use" in found["data"]["text"]
    assert {
        name: found[name]["level"] for name in ("server", "streams", "dead letters", "clock")
    } == dict.fromkeys(("server", "streams", "dead letters", "clock"), "ok")
    assert set(EXPECTED) - {"rater"} <= set(absent), (
        "the rater was heard when the system was made, which may be a while ago"
    )


def test_a_missing_server_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", str(tmp_path)]) == 0
    assert "warn server        none is running for" in capsys.readouterr().out


def test_an_address_without_a_server_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["doctor", "--data", str(tmp_path), "--server", "nats://127.0.0.1:9", "--json"]) == 1
    )
    assert by_name(json.loads(capsys.readouterr().out))["server"]["level"] == "fail"


def test_apply_adds_new_subjects_to_a_stream_of_an_older_build(run: Any, system: Any) -> None:
    async def subjects(change: bool) -> list[str]:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            config = (await log.call("STREAM.INFO.EVENTS"))["config"]
            if change:
                older = [subject for subject in config["subjects"] if subject != "ringrift.node.>"]
                await log.call("STREAM.UPDATE.EVENTS", {**config, "subjects": older})
            return config["subjects"]
        finally:
            await log.close()

    before = asyncio.run(subjects(change=True))
    assert run.json("contract", "apply") == {"drift": []}
    assert asyncio.run(subjects(change=False)) == before


def test_drift_and_missing_consumers_are_found(run: Any, system: Any) -> None:
    async def change(description: str) -> None:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            config = (await log.call("STREAM.INFO.DEAD"))["config"]
            await log.call("STREAM.UPDATE.DEAD", {**config, "description": description})
            await log.call("CONSUMER.DELETE.WORK.training")
        finally:
            await log.close()

    before = run.json("contract", "apply")
    assert before == {"drift": []}
    asyncio.run(change("changed by hand"))
    texts = [check["text"] for check in run.json("doctor")["checks"] if check["name"] == "streams"]
    assert texts[0] == "missing: WORK.training"
    assert "DEAD: description is 'changed by hand'" in texts[1]
    assert "differs from its declaration: DEAD: description" in run("contract", "apply", status=1)
    assert [
        check["text"] for check in run.json("doctor")["checks"] if check["name"] == "streams"
    ] == texts[1:]


def test_the_stores_of_archive_and_backups_are_tried(run: Any, system: Any, tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("no directory")
    places = {"archive": str(taken), "backup": str(tmp_path)}
    words = [f"--set={name}.place={place}" for name, place in places.items()]
    run("settings", *words, "--why", "test")
    try:
        archive, store, backup = last_checks(run)
        assert (archive["name"], archive["level"]) == ("archive", "warn")
        assert "--set archive.place=" in archive["remedy"]
        assert (store["level"], store["text"]) == ("ok", f"{tmp_path} can be written and read")
        assert (backup["level"], backup["text"]) == ("warn", "none was made yet")
        made = BackupFinished(
            place=str(tmp_path), name="b", size_bytes=1, new_bytes=1, backup_seconds=1.0
        )
        append(system, made)
        assert (last_checks(run)[-1]["level"], last_checks(run)[-1]["text"]) == (
            "ok",
            "b is 0.0 h old",
        )
        assert "newest backup: b, 0.0 h old" in run("status")
    finally:
        run("settings", "--set=archive.place=", "--set=backup.place=", "--why", "test")


def last_checks(run: Any) -> list[dict[str, str]]:
    return run.json("doctor")["checks"][-3:]
