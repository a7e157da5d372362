"""Users of a cluster by role, and their permissions, which the server enforces.

    worker, trainer, evaluator, coordinator, auditor, archiver
              run processes: each may write the facts, buckets and tickets that the table of
              processes names
    oncall    a person, every day: looks, pauses, changes settings, retries, queues tickets, moves
              leaderships; deletes nothing and changes no stream
    operator  a person, behind glass: everything, also purges and streams
    viewer    reads, writes nothing
    edge      the link of a leaf node: the cluster may query it, it may write nothing itself
    system    the servers themselves, not the log: `nats server ...`, removing a voter
    scrubber  asks the servers what each of them holds, nothing else
    repairer  moves leaderships and changes streams of facts, to repair a copy

`system` and `scrubber` belong to the account of the servers, `$SYS`. It keeps that name: servers
delete all streams when it changes.

Every other user may read everything: there are no secrets in the log. Reading creates a short-lived
consumer, so that API is open to all, but not on the work queue, where a consumer takes tickets
away."""

import secrets
from collections.abc import Collection, Iterable, Mapping, Set as AbstractSet
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import Fact, type_of
from ringrift.events.facts import LeaseAcquired
from ringrift.events.tickets import PRIORITIES
from ringrift.log.connect import ELECTED
from ringrift.log.dead_letters import READER
from ringrift.log.topology import (
    CONSUMERS,
    DEAD_PREFIX,
    FLEET,
    FLEET_INBOX,
    LEASE_BUCKET,
    STREAMS,
    WORK,
    consumer_of,
)
from ringrift.server.configuration import as_json
from ringrift.server.recreate import RECREATED

PASSWORD_BYTES = 32
"""random, so a slow hash would protect nothing, and bcrypt would cost each connection of a bulk
reader some 50 ms of the server; the server's file of users is as secret as the log, mode 0600"""


class Process(Protocol):
    """The fields that this module needs of a row of `ringrift.runtime.processes`."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def work(self) -> str | None: ...
    @property
    def leased(self) -> bool: ...
    @property
    def writes(self) -> AbstractSet[type[Fact]]: ...
    @property
    def stores(self) -> AbstractSet[str]: ...
    @property
    def purges(self) -> Collection[str]: ...
    @property
    def own_trims(self) -> Collection[str]: ...
    @property
    def snapshots(self) -> bool: ...
    @property
    def recreates(self) -> bool: ...


class Role(Struct, frozen=True, kw_only=True):
    """A user's rights: None allows everything; `deny` and `deny_subscribe` come first."""

    publish: tuple[str, ...] | None
    subscribe: tuple[str, ...] | None
    deny: tuple[str, ...] = ()
    deny_subscribe: tuple[str, ...] = ()
    connection: str = "STANDARD"
    """kind of connection that may log in as this user"""
    system: bool = False
    """whether it belongs to the account of the servers, which has no streams"""


SYSTEM_ACCOUNT = "$SYS"

_READ_ANYWHERE = (
    "$SYS.REQ.USER.INFO",  # about the user who asks
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.*",
    "$JS.API.DIRECT.GET.*.>",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
)
_METRICS = (f"{FLEET}.*.*.*.metrics",)
_ASK = ("$SRV.>", f"{FLEET}.*.*.*.health", *_METRICS)
_STEER = (f"{FLEET}.*.*.*.level", f"{FLEET}.*.*.*.stack")
_ANSWER = (f"{FLEET_INBOX}.>",)
"""asking processes as services, and answering. The inbox is one of its own: who may write there
cannot answer in place of the log"""
_STEP_DOWN = ("$JS.API.STREAM.LEADER.STEPDOWN.*", "$JS.API.CONSUMER.LEADER.STEPDOWN.*.*")
_STORED = ("ringrift.>", "$KV.>", "$O.>")
"""No user subscribes to these directly; all read the stored messages. This is also a lock: a
consumer may be created that delivers to any subject, whatever its creator may publish, but the
server delivers only where there is a subscriber."""
_ADVISORIES = dict.fromkeys(("oncall", "viewer"), ("$JS.EVENT.>",))
_SUBJECTS = {stream.name: stream.subjects for stream in STREAMS}


def roles(processes: Iterable[Process]) -> dict[str, Role]:
    """Every role by its name, which is its user's; those of processes and of `oncall` from the
    table."""
    members: dict[str, list[Process]] = {}
    for process in processes:
        members.setdefault(process.role, []).append(process)
    found = {
        name: Role(
            publish=(*_reading(), *_writing(group), *_ANSWER),
            subscribe=(*_listening(name), *_asked(group)),
        )
        for name, group in members.items()
    }
    found["oncall"] = replace(
        found["oncall"],
        publish=(*(found["oncall"].publish or ()), *_STEP_DOWN, *_ASK, *_STEER),
        subscribe=_listening("oncall"),
    )
    gateway = found["coordinator"]  # `/metrics/fleet` asks every process
    found["coordinator"] = replace(gateway, publish=(*(gateway.publish or ()), *_METRICS))
    found["operator"] = Role(publish=None, subscribe=None, deny_subscribe=_STORED)
    found["viewer"] = Role(publish=(*_reading(), *_ASK), subscribe=_listening("viewer"))
    found["edge"] = Role(
        publish=None,
        subscribe=None,
        deny=(*_STORED, "$JS.API.>"),
        deny_subscribe=_STORED,
        connection="LEAFNODE",
    )
    found["system"] = Role(publish=None, subscribe=None, system=True)
    found["scrubber"] = Role(
        publish=("$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.SERVER.PING.VARZ"),
        subscribe=("_INBOX.scrubber.>",),
        system=True,
    )
    repairing = ("$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.LEADER.STEPDOWN.*")
    found["repairer"] = Role(
        publish=(*_READ_ANYWHERE, *repairing), subscribe=_listening("repairer")
    )
    return found


def _reading() -> tuple[str, ...]:
    """The API that reading needs, also that of the `nats` command line: own consumers, with a
    filter or without, on every stream but the queue."""
    calls = ("CREATE.{}.*", "CREATE.{}.*.>", "DELETE.{}.*", "MSG.NEXT.{}.*")
    names = [stream.name for stream in STREAMS if stream.name != WORK]
    asking = (f"$JS.API.CONSUMER.{call.format(name)}" for name in names for call in calls)
    # its pager acknowledges what it shows
    return (*_READ_ANYWHERE, *asking, *(f"$JS.ACK.{name}.>" for name in names))


def _writing(group: Iterable[Process]) -> tuple[str, ...]:
    """Subjects that a role's processes publish to, each once, sorted."""
    found: set[str] = set()
    for process in group:
        found.update(type_of(kind).subject_filter for kind in process.writes - {LeaseAcquired})
        if process.leased:  # the key and the epoch of its own lease only
            found.add(f"$KV.{LEASE_BUCKET}.{process.name}")
            found.add(type_of(LeaseAcquired).filter(process.name))
        found |= {f"{DEAD_PREFIX}.{name}.>" for name in (process.name, READER)}
        for stream in process.stores - {f"KV_{LEASE_BUCKET}"}:
            found.update(_SUBJECTS[stream])
        found.update(
            f"$JS.API.STREAM.PURGE.{stream}" for stream in (*process.purges, *process.own_trims)
        )
        if process.work is not None:
            found.update(_taking(process.work))
        if process.snapshots:
            found |= {"$JS.API.STREAM.SNAPSHOT.*", "$JS.SNAPSHOT.ACK.>"}
        if process.recreates:
            found.update(_recreating())
    return tuple(sorted(found))


def _taking(kind: str) -> Iterable[str]:
    """Taking and acknowledging tickets of a kind."""
    for priority in PRIORITIES:
        name = consumer_of(kind, priority)
        yield f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}"
        yield f"$JS.ACK.{WORK}.{name}.>"
        yield f"$JS.ACK.*.*.{WORK}.{name}.>"


def _recreating() -> Iterable[str]:
    """Deleting and creating the streams whose content follows from facts."""
    for stream in RECREATED:
        yield f"$JS.API.STREAM.DELETE.{stream}"
        yield f"$JS.API.STREAM.CREATE.{stream}"
    for consumer in CONSUMERS:
        yield f"$JS.API.CONSUMER.CREATE.{WORK}.{consumer.name}"


def _asked(group: Iterable[Process]) -> Iterable[str]:
    """Where processes are asked as services, each under its own name."""
    for verb in ("PING", "INFO", "STATS"):
        yield f"$SRV.{verb}"
    for process in group:
        for verb in ("PING", "INFO", "STATS"):
            yield from (f"$SRV.{verb}.{process.name}", f"$SRV.{verb}.{process.name}.*")
        yield f"{FLEET}.{process.name}.>"


def _listening(role: str) -> tuple[str, ...]:
    """The role's own inboxes, and elections of stream leaders; people see what else JetStream
    reports (`nats events`)."""
    inboxes = (f"_INBOX.{role}.>", f"{FLEET_INBOX}.{role}.>")
    return (*inboxes, f"{ELECTED}.*", *_ADVISORIES.get(role, ()))


def new_passwords(names: Iterable[str]) -> dict[str, str]:
    """A random password for each role."""
    return {name: f"pw-{secrets.token_urlsafe(PASSWORD_BYTES)}" for name in names}


def users_conf(roles: Mapping[str, Role], passwords: Mapping[str, str]) -> str:
    """The servers' file of users: each with its role's rights. It is secret, mode 0600."""
    users: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    for name, role in roles.items():
        user: dict[str, Any] = {
            "user": name,
            "password": passwords[name],
            "allowed_connection_types": [role.connection],
        }
        if permissions := _permissions(role):
            user["permissions"] = permissions
        (system if role.system else users).append(user)
    accounts = {"accounts": {SYSTEM_ACCOUNT: {"users": system}}} if system else {}
    return as_json(accounts | {"authorization": {"users": users}})


def _permissions(role: Role) -> dict[str, dict[str, list[str]]]:
    """The `permissions` of a role in the server's configuration; empty if it may do everything."""
    sides = {
        "publish": _rules(role.publish, role.deny),
        "subscribe": _rules(role.subscribe, role.deny_subscribe),
    }
    return {side: rules for side, rules in sides.items() if rules}


def _rules(allowed: tuple[str, ...] | None, denied: tuple[str, ...]) -> dict[str, list[str]]:
    rules = {} if allowed is None else {"allow": list(allowed)}
    return rules | {"deny": list(denied)} if denied else rules
