"""Roles of a cluster, and their permissions, which the server enforces.

    worker, trainer, evaluator, coordinator, auditor, archiver, renter
              run processes: each may write the facts, buckets and tickets that the table of
              processes names
    oncall    a person, every day: looks, pauses, changes settings, retries, queues tickets, moves
              leaderships; deletes nothing and changes no stream
    operator  a person, behind glass: everything, also purges and streams
    viewer    reads, writes nothing
    edge      the link of a leaf node: the cluster may query it, it may write nothing itself
    system    the servers themselves, not the log: `nats server ...`, removing a voter, revoking
    scrubber  asks the servers what each of them holds, nothing else
    repairer  moves leaderships and changes streams of facts, to repair a copy

Where a subject has a place for the author's name, a user may write there under its own name only.
`system` and `scrubber` belong to the account of the servers. Every other user may read everything:
there are no secrets in the log. Reading creates a short-lived consumer, so that API is open to all,
but not on the work queue, where a consumer takes tickets away."""

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
    NODE_BUCKET,
    STREAMS,
    WORK,
    consumer_of,
)
from ringrift.server.recreate import RECREATED


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
    def about_itself(self) -> AbstractSet[type[Fact]]: ...
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

    def template(self) -> dict[str, Any]:
        """Its rights as the claims of an account have them, for the servers to fill in names."""
        return {
            "pub": _rules(self.publish, self.deny),
            "sub": _rules(self.subscribe, self.deny_subscribe),
            "subs": -1,
            "data": -1,
            "payload": -1,
            "allowed_connection_types": [self.connection],
        }


PEOPLE = ("oncall", "operator", "viewer", "system", "scrubber", "repairer")
"""roles with a file of credentials of their own, not of a node"""
HELPERS = ("scrubber", "repairer")
"""roles that the monitor of a coordinator uses besides its own"""
NAME = "{{name()}}"
"""what the servers replace by the name of the user"""

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
_HEARTBEATS = f"KV_{NODE_BUCKET}"
_SUBJECTS = {stream.name: stream.subjects for stream in STREAMS}


def roles(processes: Iterable[Process]) -> dict[str, Role]:
    """Every role by its name, which is its user's; those of processes and of `oncall` from the
    table."""
    members: dict[str, list[Process]] = {}
    for process in processes:
        members.setdefault(process.role, []).append(process)
    found = {
        name: Role(
            publish=(*reading(), *_writing(group), *_ANSWER),
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
    found["viewer"] = Role(publish=(*reading(), *_ASK), subscribe=_listening("viewer"))
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
        subscribe=(f"_INBOX.{NAME}.>",),
        system=True,
    )
    repairing = ("$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.LEADER.STEPDOWN.*")
    found["repairer"] = Role(
        publish=(*_READ_ANYWHERE, *repairing), subscribe=_listening("repairer")
    )
    return found


def combined(known: Mapping[str, Role], names: Iterable[str]) -> Role:
    """The rights of a node with several roles of processes."""
    members = [known[name] for name in names]
    return Role(
        publish=tuple(sorted({each for one in members for each in one.publish or ()})),
        subscribe=tuple(sorted({each for one in members for each in one.subscribe or ()})),
    )


def reading() -> tuple[str, ...]:
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
        found.update(_own(kind) for kind in process.about_itself)
        others = process.writes - process.about_itself - {LeaseAcquired}
        found.update(type_of(kind).subject_filter for kind in others)
        if process.leased:  # the key and the epoch of its own lease only
            found.add(f"$KV.{LEASE_BUCKET}.{process.name}")
            found.add(type_of(LeaseAcquired).filter(process.name))
        found |= {f"{DEAD_PREFIX}.{name}.>" for name in (process.name, READER)}
        for stream in process.stores - {f"KV_{LEASE_BUCKET}", _HEARTBEATS}:
            found.update(_SUBJECTS[stream])
        if _HEARTBEATS in process.stores:
            found.add(f"$KV.{NODE_BUCKET}.{NAME}.>")
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


def _own(kind: type[Fact]) -> str:
    """Where facts about their author may be published: under its own name."""
    event = type_of(kind)
    return event.filter(NAME) if event.scope == "node" else event.subject_filter


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
        yield f"{FLEET}.{process.name}.{NAME}.>"


def _listening(role: str) -> tuple[str, ...]:
    """The user's own inboxes, and elections of stream leaders; people see what else JetStream
    reports (`nats events`)."""
    inboxes = (f"_INBOX.{NAME}.>", f"{FLEET_INBOX}.{NAME}.>")
    return (*inboxes, f"{ELECTED}.*", *_ADVISORIES.get(role, ()))


def _rules(allowed: tuple[str, ...] | None, denied: tuple[str, ...]) -> dict[str, list[str]]:
    rules = {} if allowed is None else {"allow": list(allowed)}
    return rules | {"deny": list(denied)} if denied else rules
