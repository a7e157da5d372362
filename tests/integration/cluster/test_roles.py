"""A server with users and TLS: what each role may do, and the errors when it may not."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from msgspec.structs import replace
from nats.errors import NoRespondersError
from support.examples import example
from support.secured import Place, secured

from ringrift.cli.main import main
from ringrift.events import draft, type_of
from ringrift.events.facts import ConsumerStarted, GameCompleted, MessageIdTaken, ModelPromoted
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.entry import Entry
from ringrift.log.errors import Forbidden, Unreachable
from ringrift.log.identity import ACCOUNT, KEY, NodeKey, make_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold
from ringrift.log.login import AUTHORITY, CREDENTIALS, claims_in, read_login
from ringrift.log.topology import EVENTS, GAMES, STREAMS, WORK, consumer_of
from ringrift.runtime.processes import AUTHORS
from ringrift.server.accounts import Accounts, completed
from ringrift.server.ensure import ensure
from ringrift.server.recreate import RECREATED, recreate
from ringrift.server.roles import PEOPLE, roles
from ringrift.server.tokens import signed

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCOPE = "hex8_2p"
FACTS = {
    "game": f"ringrift.game.{SCOPE}.completed",
    "played": f"ringrift.selfplay.{SCOPE}.finished",
    "planned": f"ringrift.selfplay.{SCOPE}.planned",
    "trained": f"ringrift.training.{SCOPE}.finished",
    "registered": f"ringrift.model.{SCOPE}.registered",
    "scored": f"ringrift.evaluation.{SCOPE}.scored",
    "promoted": f"ringrift.promotion.{SCOPE}.model-promoted",
    "rejected": f"ringrift.promotion.{SCOPE}.rejected",
    "lease": "ringrift.lease.planner.acquired",
    "settings": "ringrift.settings.all.changed",
    "started": "ringrift.consumer.{name}.started",
    "other": "ringrift.consumer.another.started",
    "dead": "ringrift.dead.selfplay.GAMES.1",
    "ticket": f"ringrift.work.selfplay.5.{SCOPE}",
    "heartbeat": "$KV.nodes.{name}.x",
    "another heartbeat": "$KV.nodes.another.x",
    "key": "$KV.leases.planner",
    "model": "$O.models.C.x",
    "checkpoint": "$O.checkpoints.C.x",
    "fold": "$O.folds.C.x",
    "shard": "$O.shards.C.x",
    "breaker": "$KV.breakers.x",
    "order to nodes": "$KV.control.x",
    "mark": "$KV.marks.x",
}
MAY_WRITE = {
    "worker": {"game", "played", "started", "dead", "heartbeat", "breaker"},
    "trainer": {
        *("trained", "registered", "started", "heartbeat"),
        *("model", "checkpoint", "shard", "breaker"),
    },
    "evaluator": {"game", "scored", "started", "heartbeat", "breaker"},
    "coordinator": {
        "planned",
        "promoted",
        "rejected",
        "lease",
        "started",
        "ticket",
        "heartbeat",
        "key",
        "fold",
        "shard",
        "breaker",
        "mark",
    },
    "auditor": {"started", "heartbeat"},
    "archiver": {"started", "heartbeat"},
    "renter": {"started", "heartbeat", "fold", "breaker"},
    "oncall": {"settings", "started", "other", "ticket", "breaker"},
    "operator": set(FACTS),
    "viewer": set(),
}
NOBODY_BUT_THE_OPERATOR = (
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.PURGE.GAMES",
    "$JS.API.STREAM.DELETE.NONE",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "$JS.API.STREAM.PURGE.OBJ_models",
    "$JS.API.CONSUMER.CREATE.WORK.mine",
    "$JS.API.CONSUMER.DELETE.WORK.none",
    "$JS.API.STREAM.RESTORE.X",
    *(f"$JS.API.STREAM.DELETE.{stream.name}" for stream in STREAMS if stream.name not in RECREATED),
    "$JS.API.STREAM.LEADER.STEPDOWN.NONE",
    "$JS.API.CONSUMER.PAUSE.WORK.none",
    "_INBOX.operator.x",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.SERVER.PING.JSZ",
)


STREAM_OF = {
    **dict.fromkeys(("started", "settings", "promoted"), EVENTS),
    **{"game": GAMES, "dead": "DEAD", "ticket": "WORK", "heartbeat": "KV_nodes"},
    **{f"{name}": f"OBJ_{name}s" for name in ("model", "checkpoint", "fold", "shard")},
    **{"breaker": "KV_breakers", "order to nodes": "KV_control", "mark": "KV_marks"},
}
"""streams that a role may write to, by one subject of each"""
HEADERS = [
    (role, STREAM_OF[name], name)
    for role, names in MAY_WRITE.items()
    for name in FACTS
    if name in names and name in STREAM_OF
]
WRITERS = [(role, EVENTS, "started") for role, names in MAY_WRITE.items() if "started" in names]
WRITERS += [(role, GAMES, "game") for role, names in MAY_WRITE.items() if "game" in names]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with secured(tmp_path_factory.mktemp("secured")) as place:
        yield place


async def may(log: JetStreamLog, subject: str) -> bool:
    """Whether the server permits publishing to a subject."""
    body = b'{"batch":1,"no_wait":true}' if "MSG.NEXT" in subject else b"{"
    try:
        await log.client.request(subject, body, timeout=3)
    except Forbidden as error:
        return (error.subject, error.role) != (subject, log.client.role)
    except NoRespondersError:  # the request was allowed, and nothing listens there
        return True
    return True


@pytest.mark.parametrize("role", MAY_WRITE)
async def test_a_role_writes_only_its_own_facts(place: Place, role: str) -> None:
    log = await place.log(role)
    own = {name: subject.format(name=log.client.role) for name, subject in FACTS.items()}
    assert {name for name, subject in own.items() if await may(log, subject)} == MAY_WRITE[role]
    await log.close()


@pytest.mark.parametrize("role", sorted(set(MAY_WRITE) - {"operator"}))
async def test_only_the_operator_changes_and_deletes_streams(place: Place, role: str) -> None:
    log = await place.log(role)
    purges = [f"$JS.API.STREAM.PURGE.{stream}" for stream in ("EVENTS", "GAMES", "OBJ_models")]
    # the exporter deletes the blobs of shards, and of networks that lost
    extra = {"oncall": ["$JS.API.STREAM.LEADER.STEPDOWN.NONE"], "coordinator": purges[2:]}
    allowed = [
        subject
        for subject in NOBODY_BUT_THE_OPERATOR
        if not (role == "archiver" and subject in purges) and await may(log, subject)
    ]
    assert set(allowed) <= set(extra.get(role, ()))
    await log.close()


@pytest.mark.parametrize(("role", "stream", "kind"), HEADERS)
async def test_no_header_deletes_or_expires_what_others_wrote(
    place: Place, role: str, stream: str, kind: str
) -> None:
    """The server lets the role publish there, and the stream refuses the header."""
    log = await place.log(role)
    before = await _content(log, stream)
    promotion = "ringrift.promotion.hex8_2p.model-promoted"
    scheduled = {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": promotion}
    forbidden = (
        *({"Nats-Rollup": "all"}, {"Nats-Rollup": "sub"}, {"Nats-TTL": "1s"}),
        *({"Nats-Incr": "+1"}, scheduled),  # a schedule would write where its author may not
    )
    for header in forbidden:
        subject = FACTS[kind].format(name=log.client.role)
        answer = await log.client.request(subject, b"{}", headers=header, timeout=3)
        assert "error" in json.loads(answer.data), (subject, header)
    assert await _content(log, stream) == before
    await log.close()


async def _content(log: JetStreamLog, stream: str) -> list[Entry]:
    if stream == WORK:  # only its workers have consumers there
        return await log.queued()
    return [entry async for batch in log.read(stream) for entry in batch]


@pytest.mark.parametrize(("role", "stream", "name"), WRITERS)
async def test_no_role_suppresses_an_event_of_another_by_taking_its_id(
    place: Place, role: str, stream: str, name: str
) -> None:
    """The server stores one message of an id: the first, on any subject of the stream."""
    log, operator = await place.log(role), await place.log("operator")
    fact = example(type_of(GameCompleted if stream == GAMES else ModelPromoted))
    wanted = draft(fact, cause=None, source="operator", key=f"wanted by {role}")
    subject = FACTS[name].format(name=log.client.role)
    answer = await log.client.request(subject, b"{}", headers={"Nats-Msg-Id": wanted.id}, timeout=3)
    (seq,) = await operator.append([wanted])
    entry = await operator.get(stream, seq)
    assert entry is not None
    assert (entry.subject, entry.id) == (wanted.subject, f"{wanted.id}~2")
    named = [one async for one, _ in read.facts(operator, MessageIdTaken) if one.id == wanted.id]
    assert [one.seq for one in named] == [json.loads(answer.data)["seq"]]
    await log.close()
    await operator.close()


@pytest.mark.parametrize("role", sorted(set(MAY_WRITE) - {"operator"}))
async def test_a_role_finishes_only_tickets_of_its_kind(place: Place, role: str) -> None:
    log = await place.log(role)
    own = next((spec.work for spec in AUTHORS if spec.role == role and spec.work), None)
    for kind in {"selfplay", "training", "evaluation"} - {own}:
        consumer = consumer_of(kind, 5)
        for subject in (
            f"$JS.ACK.WORK.{consumer}.1.1.1.1.0",
            f"$JS.API.CONSUMER.MSG.NEXT.WORK.{consumer}",
        ):
            assert not await may(log, subject), subject
    await log.close()


@pytest.mark.parametrize("role", sorted(set(MAY_WRITE) - {"operator"}))
async def test_a_role_makes_and_deletes_no_consumer_of_the_queue(place: Place, role: str) -> None:
    """What others read with may be deleted (docs/promises.md); who takes tickets may not."""
    log, consumer = await place.log(role), consumer_of("selfplay", 5)
    may_create = {"coordinator"}  # it recreates a queue that lost its leader
    for call in ("CREATE", "DURABLE.CREATE", "DELETE", "PAUSE", "UNPIN"):
        allowed = await may(log, f"$JS.API.CONSUMER.{call}.WORK.{consumer}")
        assert not allowed or (call == "CREATE" and role in may_create), call
    await log.close()


async def test_only_the_coordinator_recreates_streams(place: Place) -> None:
    deleting = [f"$JS.API.STREAM.DELETE.{stream}" for stream in RECREATED]
    for role in sorted(set(MAY_WRITE) - {"operator", "coordinator"}):
        log = await place.log(role)
        assert [subject for subject in deleting if await may(log, subject)] == []
        await log.close()
    coordinator = await place.log("coordinator")
    for stream in RECREATED:
        await recreate(coordinator, stream)
    assert await ensure(coordinator) == []
    await coordinator.close()


@pytest.mark.parametrize("role", MAY_WRITE)
async def test_every_role_reads_the_whole_log_over_tls(place: Place, role: str) -> None:
    log = await place.log(role)
    assert [entry.seq async for batch in log.read(EVENTS, until_seq=1) for entry in batch] == [1]
    entries = log.follow(EVENTS)
    async with asyncio.timeout(5):
        assert (await anext(entries)).seq == 1
    await entries.aclose()
    assert (await log.last(EVENTS, "ringrift.consumer.>")) is not None
    await log.close()


async def test_a_person_on_call_steers_with_the_commands(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AUTHORITY, str(place.authority))
    monkeypatch.setenv(CREDENTIALS, str(place.credentials("oncall")))
    for words in (
        ["pause", "--why", "test"],
        ["resume"],
        ["settings", "--set", "generations=1"],
        ["dlq", "list"],
        ["status"],
    ):
        assert await asyncio.to_thread(main, [*words, "--server", place.url]) == 0


@pytest.mark.parametrize("role", sorted(MAY_WRITE))
async def test_every_role_reads_as_the_nats_command_line_does(place: Place, role: str) -> None:
    """`nats` 0.5 creates consumers whose subject names their filter, and reads buckets directly."""
    log = await place.log(role)
    assert await may(log, "$JS.API.CONSUMER.CREATE.EVENTS.mine.ringrift.clock.>")
    assert await may(log, "$JS.API.CONSUMER.CREATE.OBJ_models.mine.$O.models.M.>")
    assert await may(log, "$JS.API.DIRECT.GET.KV_nodes.$KV.nodes.n1")
    assert await may(log, "$JS.API.DIRECT.GET.EVENTS")
    assert role == "operator" or not await may(log, "$JS.API.CONSUMER.CREATE.WORK.mine.>")
    await log.close()


@pytest.mark.parametrize(
    ("role", "kind", "other"),
    [
        ("worker", "selfplay", "training"),
        ("trainer", "training", "selfplay"),
        ("evaluator", "evaluation", "selfplay"),
    ],
)
async def test_a_worker_takes_tickets_of_its_kind_only(
    place: Place, role: str, kind: str, other: str
) -> None:
    coordinator, log = await place.log("coordinator"), await place.log(role)
    await coordinator.publish_ticket(f"ringrift.work.{kind}.5.{SCOPE}", b"{}", f"ticket of {kind}")
    item = await log.next_ticket(kind, wait_seconds=3)
    assert item is not None
    await item.in_progress()
    await item.ack()
    with pytest.raises(Forbidden, match=rf"{role}.*WORK\.{other}"):
        await log.next_ticket(other, wait_seconds=3)
    await coordinator.close()
    await log.close()


async def test_a_denied_append_names_the_subject_and_the_role_at_once(place: Place) -> None:
    log = await place.log("viewer")
    fact = ConsumerStarted(node="node", consumer="test", instance="2", version="1")
    with pytest.raises(
        Forbidden,
        match=r"user 'viewer' may not publish to ringrift\.consumer\.node\.started: use the",
    ):
        async with asyncio.timeout(3):
            await log.append([draft(fact, cause=None, source="test", key=2)])
    with pytest.raises(Forbidden):
        await log.purge(EVENTS, ">")
    with pytest.raises(Forbidden):
        _ = [batch async for batch in log.read("WORK")]
    await log.close()


async def test_the_coordinator_holds_leases_and_the_trainer_keeps_checkpoints(place: Place) -> None:
    coordinator, trainer = await place.log("coordinator"), await place.log("trainer")
    async with hold(coordinator, "promoter", "here", "test") as lease:
        assert lease.token > 0
    blobs = Blobs(trainer)
    for content in (b"one", b"two"):
        await blobs.put_named("checkpoints", "ticket", content)
    assert await Blobs(coordinator).get_named("checkpoints", "ticket") == b"two"
    await blobs.delete("checkpoints", "ticket")
    digest = await blobs.put("models", b"network")
    worker = await place.log("worker")
    assert await Blobs(worker).get("models", digest) == b"network"
    with pytest.raises(Forbidden):
        await Blobs(worker).delete("models", digest)
    for log in (coordinator, trainer, worker):
        await log.close()


async def test_a_role_cannot_read_answers_to_another_role(place: Place) -> None:
    viewer, operator = await place.log("viewer"), await place.log("operator")
    heard = []

    async def hear(message: object) -> None:
        heard.append(message)

    for subject in ("_INBOX.>", "_INBOX.operator.>", "ringrift.>", ">"):
        await viewer.client.subscribe(subject, cb=hear)
    await viewer.client.flush()
    await operator.tail(EVENTS)
    await viewer.tail(EVENTS)
    assert heard == []
    await viewer.close()
    await operator.close()


async def test_a_consumer_cannot_deliver_to_a_subject_of_another_role(place: Place) -> None:
    """A push consumer publishes for its creator, and must not exceed the creator's rights."""
    worker, operator = await place.log("worker"), await place.log("operator")
    await worker.publish(GAMES, FACTS["game"], b"{}")
    before = [await operator.tail(stream) for stream in (EVENTS, "KV_leases")]
    await operator.client.subscribe("ringrift.>")
    await operator.client.subscribe(">")
    await operator.client.flush()
    for number, target in enumerate(
        (FACTS["promoted"], FACTS["key"], "$JS.API.STREAM.PURGE.GAMES")
    ):
        config = {
            "name": f"forger{number}",
            "deliver_subject": target,
            "ack_policy": "none",
            "mem_storage": True,
        }
        request = json.dumps({"stream_name": GAMES, "config": config}).encode()
        await worker.ask(f"$JS.API.CONSUMER.CREATE.{GAMES}.forger{number}", request, 3)
    await asyncio.sleep(0.3)
    assert [await operator.tail(stream) for stream in (EVENTS, "KV_leases")] == before
    assert [batch async for batch in operator.read(GAMES)]
    await worker.close()
    await operator.close()


async def test_clients_without_a_key_are_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, str(tmp_path / "node.nk"))
    with pytest.raises(Unreachable, match="Authorization Violation"):
        await JetStreamLog.open(place.url, name="test")
    with pytest.raises(Unreachable, match="Authorization Violation") as caught:
        await JetStreamLog.open(place.url.replace("tls://", "tls://operator:hunter2@"), name="test")
    assert "hunter2" not in str(caught.value)
    forged = read_login(place.credentials("worker"))
    with pytest.raises(Unreachable, match="and this machine has none: RINGRIFT_KEY"):
        await JetStreamLog.open(place.url, name="test", login=replace(forged, seed=""))
    make_key(tmp_path)
    with pytest.raises(Unreachable, match="and this machine has U"):
        await JetStreamLog.open(place.url, name="test", login=replace(forged, seed=""))
    body = claims_in(forged.token) | {"name": "operator"}
    signed_by_itself = signed(body, NodeKey.new(ACCOUNT))
    login = replace(forged, token=signed_by_itself)
    with pytest.raises(Unreachable, match="Authorization Violation"):
        await JetStreamLog.open(place.url, name="test", login=login)
    edge = tmp_path / "edge.creds"
    own = NodeKey.new()
    edge.write_text(completed(Accounts(place.folder).edge("edge-x", own.key), own))
    with pytest.raises(Unreachable, match="Authorization Violation"):
        await JetStreamLog.open(place.url, name="test", login=read_login(edge))
    monkeypatch.setenv(CREDENTIALS, str(tmp_path / "missing.creds"))
    with pytest.raises(Unreachable, match=r"missing\.creds cannot be read"):
        await JetStreamLog.open(place.url, name="test")
    monkeypatch.setenv(CREDENTIALS, str(place.credentials("viewer")))
    log = await JetStreamLog.open(place.url, name="test")
    assert log.client.role == "viewer"
    await log.close()


async def test_a_server_without_a_certificate_of_the_authority_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(AUTHORITY)
    with pytest.raises(Unreachable, match=r"not trusted.*RINGRIFT_CA"):
        await JetStreamLog.open(place.url, name="test")


async def test_the_scrubber_asks_the_servers_and_does_nothing_else(place: Place) -> None:
    ours = ssl.create_default_context(cafile=str(place.authority))
    refused: asyncio.Queue[Exception] = asyncio.Queue()
    client = await nats.connect(
        place.url,
        user_credentials=str(place.credentials("scrubber")),
        tls=ours,
        inbox_prefix="_INBOX.scrubber",
        error_cb=refused.put,
    )
    answer = await client.request("$SYS.REQ.SERVER.PING.JSZ", b"{}", timeout=5)
    assert json.loads(answer.data)["server"]["name"] == "n1"
    for subject in ("$SYS.REQ.SERVER.PING.CONNZ", "$JS.API.SERVER.REMOVE"):
        await client.publish(subject, b"{}")
        assert "permissions violation" in str(await refused.get()).lower()
    await client.close()


async def test_only_the_owner_can_read_secrets(place: Place) -> None:
    secret = [
        *(path for path in place.folder.glob("credentials/*.creds") if path.stem in PEOPLE),
        *place.folder.rglob("*.nk"),
        *place.folder.rglob("*.key"),
        place.folder / "route.txt",
    ]
    assert len(secret) == len(PEOPLE) + len(roles(AUTHORS)) + 3 + 3
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
