"""The `nats` command line as a user of the account of the servers, on three voters with users and
TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.nats_tool import Answer, as_role, nats, needs_nats, not_printed, sessions
from support.secured import Place
from support.waiting import eventually

from ringrift.cluster.doctor.system import copies
from ringrift.cluster.local import LocalCluster
from ringrift.cluster.nats_context import of_cluster, write
from ringrift.cluster.streams import stream_infos
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.server.ensure import ensure

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_nats]
ELECTION_SECONDS_MAX = 30.0
LOAD_OF_THIS_MACHINE = "SERVER_003"
PAGE = Path(__file__).parents[3] / "docs" / "nats_tool.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Three voters with all streams."""
    cluster = LocalCluster.create(tmp_path_factory.mktemp("voters"), 3, users=True, tls=True)
    cluster.start()
    try:
        await cluster.wait_until_healthy()
        place = Place(cluster.data, cluster.url)
        operator = await place.log("operator")
        assert await ensure(operator, replicas=3) == []
        await operator.close()
        yield place
    finally:
        cluster.stop()


def run(place: Place, role: str, *words: object) -> Answer:
    answer = nats(*words, options=as_role(place, role))
    assert answer.returncode == 0, answer.text
    return answer


async def test_the_system_user_sees_every_server(place: Place) -> None:
    for command in ("ls", "report jetstream", "report connections", "report accounts"):
        run(place, "system", "server", *command.split())
    names = run(place, "system", "server", "ls").text
    assert all(name in names for name in ("n1", "n2", "n3"))
    check = ("check", "meta", "--expect", 3, "--lag-critical", 100, "--seen-critical", "10s")
    assert run(place, "system", "server", *check).text.startswith("OK")


async def test_the_checks_of_streams_judge_by_their_metadata(place: Place) -> None:
    for stream in STREAMS:
        text = run(place, "viewer", "server", "check", "stream", "--stream", stream.name).text
        for passed in ("3 peers", "replicas are current", "replicas are active"):
            assert passed in text


async def test_an_audit_passes_every_check(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "audit.zip"
    run(
        place,
        "system",
        "audit",
        "gather",
        "--output",
        archive,
        "--no-progress",
        "--no-server-profiles",
    )
    report = nats("audit", "analyze", archive, options=[]).text
    outcomes = re.findall(r"^\[(\w+)[^\]]*\] \[(\w+)\]", report, re.MULTILINE)
    assert len(outcomes) >= 21
    failed = {code for outcome, code in outcomes if outcome != "PASS"}
    assert failed <= {LOAD_OF_THIS_MACHINE}, report


async def test_leaderships_move_on_request(place: Place) -> None:
    run(place, "system", "server", "cluster", "step-down", "--force")
    run(place, "oncall", "stream", "cluster", "step-down", EVENTS, "--force")
    assert "Leader" in run(place, "oncall", "stream", "info", EVENTS).text


async def test_others_are_no_users_of_the_servers_account(place: Place) -> None:
    options = ["--timeout", "0.5s", *as_role(place, "operator")]
    assert nats("server", "ls", options=options).returncode != 0
    options = ["--timeout", "0.5s", *as_role(place, "system")]
    assert nats("stream", "get", EVENTS, "1", options=options).returncode != 0


async def test_the_sessions_of_the_page_are_what_the_tool_prints(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for role in ("oncall", "system"):
        write(role, of_cluster(place.folder, role))
    found = sessions(PAGE, "oncall", "system")
    assert len(found) > 5
    for words, shown in found:
        answer = nats(*words, options=[], contexts=tmp_path, folder=tmp_path)
        assert (answer.returncode, not_printed(shown, answer)) == (0, []), answer.text


@pytest.mark.slow
async def test_an_alarm_of_the_tool_is_one_of_doctor(place: Place) -> None:
    """The tool waits for ten seconds of silence; `doctor` knows it from the start."""
    LocalCluster.read(place.folder).kill("n3")
    check = ("server", "check", "stream", "--stream", EVENTS)

    async def alarm() -> bool:
        answer = await asyncio.to_thread(nats, *check, options=as_role(place, "viewer"))
        return answer.text.startswith("CRITICAL")

    await eventually(alarm, ELECTION_SECONDS_MAX)
    log = await place.log("viewer")
    late = [item.text for item in copies(await stream_infos(log))]
    assert f"{EVENTS}: n3 away or behind" in late
    await log.close()
