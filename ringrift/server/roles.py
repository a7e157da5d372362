"""Users of a cluster by role, and what each may publish and listen to. The server enforces it, not
we.

    worker, trainer, evaluator, coordinator    run consumers: they write the facts that the registry
    says these consumers emit operator                             everything: settings, pauses,
    purges, streams viewer                               reads, writes nothing edge
    the link of a leaf node: the cluster may ask it, it may write nothing by itself

Everybody may read everything: there are no secrets in the log. To read is to create a short-lived
consumer, so the API for that is open to all, but not on the work queue, where a consumer takes
tickets away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping

from msgspec import Struct

from ringrift.events import REGISTRY
from ringrift.events.tickets import PRIORITIES
from ringrift.log.connect import ELECTED
from ringrift.log.recreate import REMADE
from ringrift.log.topology import (
    BREAKER_BUCKET,
    CONSUMERS,
    CONTROL_BUCKET,
    LEASE_BUCKET,
    MODEL_BUCKET,
    NODE_BUCKET,
    SHARD_BUCKET,
    SNAPSHOT_BUCKET,
    STREAMS,
    WORK,
    consumer_of,
)

PASSWORD_BYTES = 32
"""random, so there is nothing to guess and a slow hash protects nothing; every bulk reader connects
anew, bcrypt would cost each some 50 ms of the server. The server's file of users is as secret as
the log beside it, mode 0600."""


class Role(Struct, frozen=True, kw_only=True):
    """A user's rights: None means everything, else what is listed; what is denied is denied."""

    publish: tuple[str, ...] | None
    subscribe: tuple[str, ...] | None
    deny: tuple[str, ...] = ()
    deny_subscribe: tuple[str, ...] = ()
    connection: str = "STANDARD"
    """kind of connection that may log in as this user"""


_READ_ANYWHERE = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
)
_STORED = ("ringrift.>", "$KV.>", "$O.>")
"""Nobody listens to these directly, all read what is stored. It is also a lock: a consumer may be
made to deliver to any subject, whatever its maker may publish, but the server delivers only where
somebody listens."""
_BEAT = (f"$KV.{NODE_BUCKET}.>",)
_CONSUMERS_OF = {
    "worker": ("selfplay",),
    "trainer": ("trainer",),
    "evaluator": ("evaluator",),
    "coordinator": (
        "planner",
        "evaluation",
        "promoter",
        "rater",
        "dispatcher",
        "exporter",
        "feedback",
        "clock",
        "monitor",
    ),
}
"""whose facts a role writes; every consumer must be somebody's"""
_WORK_OF = {"worker": "selfplay", "trainer": "training", "evaluator": "evaluation"}
_BREAK = (f"$KV.{BREAKER_BUCKET}.>",)
_MORE = {
    "worker": _BREAK,
    "trainer": (
        *_BREAK,
        *(f"$O.{bucket}.>" for bucket in (MODEL_BUCKET, SHARD_BUCKET, SNAPSHOT_BUCKET)),
        f"$JS.API.STREAM.PURGE.OBJ_{SNAPSHOT_BUCKET}",
    ),
    "evaluator": _BREAK,
    "coordinator": (
        "ringrift.work.>",
        *(f"$KV.{bucket}.>" for bucket in (LEASE_BUCKET, CONTROL_BUCKET, BREAKER_BUCKET)),
        *(f"$O.{bucket}.>" for bucket in (SHARD_BUCKET, SNAPSHOT_BUCKET)),
        f"$JS.API.STREAM.PURGE.OBJ_{SNAPSHOT_BUCKET}",
        f"$JS.API.STREAM.PURGE.OBJ_{SHARD_BUCKET}",
        f"$JS.API.STREAM.PURGE.{WORK}",
        *(f"$JS.API.STREAM.{call}.{stream}" for call in ("DELETE", "CREATE") for stream in REMADE),
        *(f"$JS.API.CONSUMER.CREATE.{WORK}.{consumer.name}" for consumer in CONSUMERS),
    ),
}
"""buckets a role writes; snapshots and shards that nobody needs, and tickets of what is paused, are
all that it may purge, and what facts give again is all that it may delete"""


def _reading() -> tuple[str, ...]:
    """The API that reading needs: consumers of one's own on every stream but the queue."""
    calls = ("CREATE", "DELETE", "MSG.NEXT")
    return _READ_ANYWHERE + tuple(
        f"$JS.API.CONSUMER.{call}.{stream.name}.*"
        for stream in STREAMS
        if stream.name != WORK
        for call in calls
    )


def _writing(role: str) -> tuple[str, ...]:
    """Facts, dead letters, heartbeats and tickets of the consumers of a role."""
    mine = set(_CONSUMERS_OF[role])
    facts = tuple(
        sorted(kind.subject_filter for kind in REGISTRY.values() if mine & set(kind.emitters))
    )
    kind = _WORK_OF.get(role)
    names = () if kind is None else tuple(consumer_of(kind, priority) for priority in PRIORITIES)
    forms = (
        f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.%s",
        f"$JS.ACK.{WORK}.%s.>",
        f"$JS.ACK.*.*.{WORK}.%s.>",
    )
    tickets = tuple(form % name for name in names for form in forms)
    return (
        *facts,
        *(f"ringrift.dead-letter.{name}.>" for name in _CONSUMERS_OF[role]),
        *_BEAT,
        *tickets,
        *_MORE[role],
    )


def _listening(role: str) -> tuple[str, ...]:
    """The answers to itself, and which stream has a new leader."""
    return (f"_INBOX.{role}.>", f"{ELECTED}.*")


def roles() -> dict[str, Role]:
    """Every role by its name, which is its user's."""
    found = {
        name: Role(publish=_reading() + _writing(name), subscribe=_listening(name))
        for name in _CONSUMERS_OF
    }
    found["operator"] = Role(publish=None, subscribe=None, deny_subscribe=_STORED)
    found["viewer"] = Role(publish=_reading(), subscribe=_listening("viewer"))
    found["edge"] = Role(
        publish=None,
        subscribe=None,
        deny=(*_STORED, "$JS.API.>"),
        deny_subscribe=_STORED,
        connection="LEAFNODE",
    )
    return found


def users_conf(passwords: Mapping[str, str]) -> str:
    """The servers' file of users: each with its role's rights."""
    text = "# Users and their rights, written by `ringrift cluster init`. Secret: mode 0600.\nauthorization {\n  users: [\n"
    for name, role in roles().items():
        text += f"    {{ user: {json.dumps(name)}, password: {json.dumps(passwords[name])}, "
        text += (
            f"allowed_connection_types: [{json.dumps(role.connection)}]{_permissions(role)} }}\n"
        )
    return text + "  ]\n}\n"


def new_passwords() -> dict[str, str]:
    """A random password for every role."""
    return {name: f"pw-{secrets.token_urlsafe(PASSWORD_BYTES)}" for name in roles()}


def _permissions(role: Role) -> str:
    """What the server's configuration says of a role."""
    sides = (
        ("publish", role.publish, role.deny),
        ("subscribe", role.subscribe, role.deny_subscribe),
    )
    rights = []
    for side, allowed, denied in sides:
        words = ([] if allowed is None else [f"allow: {_list(allowed)}"]) + (
            [f"deny: {_list(denied)}"] if denied else []
        )
        if words:
            rights.append(f"{side}: {{ {', '.join(words)} }}")
    return f", permissions: {{ {', '.join(rights)} }}"


def _list(subjects: Iterable[str]) -> str:
    return json.dumps(list(subjects))
