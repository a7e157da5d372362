"""The `nats` command line with the credentials of each role: what it may read it reads, and what it
may not do is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio
from support.nats_tool import Answer, as_role, nats, needs_nats, on_terminal
from support.secured import Place, secured

from ringrift.cluster.nats_context import of_cluster, write
from ringrift.log.blobs import Blobs

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_nats]
READERS = ("worker", "trainer", "evaluator", "coordinator", "viewer", "oncall", "operator")
COMMANDS_AT_ONCE = 8
BLOB = b"network" * 300
PUSH = {"durable_name": "push", "deliver_subject": "ringrift.x", "ack_policy": "none"}


class Filled:
    """A secured server with a heartbeat and a network."""

    def __init__(self, place: Place, digest: str) -> None:
        self.place, self.digest = place, digest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    async with secured(tmp_path_factory.mktemp("secured")) as place:
        operator = await place.log("operator")
        digest = await Blobs(operator).put("models", BLOB)
        await operator.publish("KV_nodes", "$KV.nodes.n1", b'{"consumer":"selfplay"}')
        await operator.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "one")
        await operator.close()
        yield Filled(place, digest)


def all_of(commands: Iterable[str], options: Sequence[str]) -> dict[str, Answer]:
    """Run commands, some at a time."""
    with ThreadPoolExecutor(COMMANDS_AT_ONCE) as pool:
        run = {each: pool.submit(nats, *each.split(), options=options) for each in commands}
        return {each: future.result() for each, future in run.items()}


def reading(digest: str) -> dict[str, str]:
    """Commands, and what they print."""
    return {
        "stream ls --all": "KV_nodes",
        "stream info EVENTS": "clock of the system",
        "stream report": "OBJ_models",
        "stream subjects EVENTS": "ringrift.consumer.node.started",
        "stream get EVENTS 1": "ringrift.ConsumerStarted.v1",
        "sub --stream EVENTS --all --count 1 --raw": "ringrift.ConsumerStarted.v1",
        "sub --stream EVENTS ringrift.consumer.> --all --count 1 --raw": "ConsumerStarted.v1",
        "consumer ls WORK": "selfplay-urgent",
        "consumer info WORK selfplay": "Waiting Pulls",
        "consumer report WORK": "training-spare",
        "kv ls": "leases",
        "kv ls nodes": "n1",
        "kv get nodes n1": "selfplay",
        "kv history nodes n1": "PUT",
        "object ls": "Networks by SHA-256",
        "object ls models": digest,
        f"object info models {digest}": f"SHA-256 {digest}",
        "server check jetstream": "OK JetStream",
        "server check stream --stream EVENTS": "OK EVENTS",
        "server check consumer --stream WORK --consumer selfplay": "OK WORK_selfplay",
        "server check kv --bucket nodes": "OK nodes",
    }


@pytest.mark.parametrize("role", READERS)
async def test_a_role_reads_what_it_may(filled: Filled, role: str, tmp_path: Path) -> None:
    options = as_role(filled.place, role)
    expected = reading(filled.digest)
    answers = all_of(expected, options)
    wrong = {
        command: answer.text[-300:]
        for command, answer in answers.items()
        if answer.returncode or expected[command] not in answer.text
    }
    assert wrong == {}
    target = tmp_path / "network"
    got = ("object", "get", "models", filled.digest, "-O", target, "--no-progress", "--force")
    assert nats(*got, options=options).returncode == 0
    assert target.read_bytes() == BLOB


@pytest.mark.parametrize("role", READERS)
async def test_a_role_looks_at_a_stream_page_by_page(filled: Filled, role: str) -> None:
    options = as_role(filled.place, role)
    for more in ((), ("--subject", "ringrift.consumer.>")):
        page = on_terminal("stream", "view", "EVENTS", "5", *more, options=options, lines=4)
        assert "ringrift.ConsumerStarted.v1" in page
        assert "rror" not in page


@pytest.mark.parametrize("role", ["viewer", "coordinator"])
async def test_a_role_watches_a_bucket(filled: Filled, role: str) -> None:
    options = as_role(filled.place, role)
    assert "nodes > n1" in on_terminal("kv", "watch", "nodes", options=options, lines=1)


async def test_a_context_is_all_that_the_tool_needs(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write("ringrift", of_cluster(filled.place.folder, "oncall"))
    options = ["--context", "ringrift"]
    answer = nats("stream", "get", "EVENTS", 1, options=options, contexts=tmp_path)
    assert "ringrift.ConsumerStarted.v1" in answer.text
    assert "oncall" in nats("account", "info", options=options, contexts=tmp_path).text


CHANGING = (
    "stream rm EVENTS -f",
    "stream purge GAMES -f",
    "stream purge OBJ_models -f",
    "stream edit EVENTS --max-age 1m -f",
    "stream rmm EVENTS 1 -f",
    "stream add OTHER --subjects other --defaults",
    "stream seal EVENTS -f",
    "kv put leases planner me",
    "kv del leases planner -f",
    "kv rm leases -f",
    "object rm models {digest} -f",
    "object rm models -f",
    "object seal models -f",
    "consumer rm WORK selfplay -f",
    "consumer add WORK mine --pull --defaults",
)
"""what only the operator, behind glass, may do"""


@pytest.mark.parametrize("role", [role for role in READERS if role != "operator"])
async def test_a_role_changes_nothing(filled: Filled, role: str) -> None:
    options = ["--timeout", "0.3s", *as_role(filled.place, role)]
    commands = [command.format(digest=filled.digest) for command in CHANGING]
    if role == "coordinator":  # it writes leases, and may recreate their bucket
        commands = [each for each in commands if "leases" not in each]
    if role == "coordinator":  # it deletes networks that lost
        commands = [each for each in commands if "OBJ_models" not in each]
    if role in ("trainer", "coordinator"):  # a trainer stores networks, and may mark one deleted
        commands = [each for each in commands if filled.digest not in each]
    answers = all_of(commands, options)
    done = [each for each in commands if "Permissions Violation" not in answers[each].text]
    assert done == []


@pytest.mark.parametrize("role", ["viewer", "worker"])
async def test_no_consumer_delivers_to_a_subject_of_others(
    filled: Filled, role: str, tmp_path: Path
) -> None:
    """It may be created, but the server delivers only to subscribers, and no role may subscribe to
    these subjects."""
    options = ["--timeout", "0.5s", *as_role(filled.place, role)]
    file = tmp_path / "push.json"
    file.write_text(json.dumps(PUSH | {"durable_name": f"push-{role}"}))
    nats("consumer", "add", "GAMES", "--config", file, options=options)
    listening = nats("sub", "ringrift.>", "--count", "1", options=options)
    assert "Permissions Violation for Subscription" in listening.text


async def test_no_role_rolls_up_or_expires_a_fact(filled: Filled, tmp_path: Path) -> None:
    """`nats object put` uses `Nats-Rollup`, which could delete all networks: no stream allows it,
    also not to the operator."""
    options = as_role(filled.place, "operator")
    file = tmp_path / "blob"
    file.write_bytes(b"x")
    put = ("object", "put", "models", file, "--name", "x", "--force", "--no-progress")
    assert nats(*put, options=options).returncode != 0
    subject = "ringrift.consumer.node.started"
    for header, reason in (
        ("Nats-Rollup:all", "rollup not permitted"),
        ("Nats-TTL:1s", "per-message TTL is disabled"),
    ):
        answer = nats("req", subject, "{}", "-H", header, "--raw", options=options)
        assert reason in answer.text
    assert filled.digest in nats("object", "ls", "models", options=options).text
