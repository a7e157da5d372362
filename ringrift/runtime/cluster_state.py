"""The cluster at a glance: who leads, who is there, what is broken, and one line about what to do
for each.

Read from the log and its buckets when asked, so every process can tell."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct

from ringrift.deciders.fleet import nodes
from ringrift.deciders.fleet.breaker import node_target
from ringrift.deciders.fleet.health import Health, health
from ringrift.deciders.fleet.pressure import TIERS
from ringrift.deciders.fleet.resilience import Quorum, Resilience, quorum_level, resilience
from ringrift.deciders.kit import Context
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact
from ringrift.events.facts import (
    NodeDegraded,
    NodeJoined,
    NodeLost,
    NodePresenceChanged,
    NodeSuspected,
    PipelinePaused,
    PipelineResumed,
    Tier,
)
from ringrift.events.tickets import PRIORITIES
from ringrift.log import api, read
from ringrift.log.breakers import BreakerBucket
from ringrift.log.errors import ServerRefused, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.log.protocol import Log, stamp_of
from ringrift.log.topology import EVENTS, LEASE_BUCKET, WORK, WORK_KINDS, consumer_of
from ringrift.log.wire import Wire
from ringrift.runtime.breakers import Breakers
from ringrift.runtime.dead_letters import unresolved
from ringrift.runtime.processes import LEASED, PROCESSES


class Voters(Struct, frozen=True, kw_only=True):
    """The servers that hold `EVENTS`: which one leads, how many there should be and how many are
    current."""

    leader: str | None
    voters: int
    alive: int
    away: tuple[str, ...] = ()

    @property
    def level(self) -> Quorum:
        """Their quorum; without a leader nothing can be written, however many are there."""
        return "LOST" if self.leader is None else quorum_level(self.voters, self.alive)


class Queue(Struct, frozen=True, kw_only=True):
    """Tickets of one kind: nobody's yet, in hand, of those delivered before, seconds since the last
    was done (None: never)."""

    kind: str
    waiting: int
    in_hand: int
    redelivered: int
    last_ack_seconds: float | None


class NodeView(Struct, frozen=True, kw_only=True):
    """One node: how it stands, processes that run, its tightest tier; its machine, where `ringrift
    node run` tells of it."""

    standing: nodes.Standing
    processes: int
    tier: str
    machine: Machine | None = None


class ClusterView(Struct, frozen=True, kw_only=True):
    """What `ringrift status` and `/status` say of the cluster; `advice` is one line for everything
    that is not well."""

    leader: str | None
    voters: int
    voters_alive: int
    quorum: Quorum
    roles: dict[str, str | None]
    nodes: dict[str, NodeView]
    memory_tier: Tier
    breakers: dict[str, str]
    dead_letters: int
    paused: dict[str, str]
    work: tuple[Queue, ...]
    health: Health
    resilience: Resilience
    advice: tuple[str, ...]


async def cluster_view(log: Log, *, dead_letters_max: int = 50) -> ClusterView:
    """Look at everything once. Raises StreamError."""
    who = await voters(log)
    roles = {role: await _holder(log, role) for role in LEASED}
    beats = await Presence(log).all()
    known = await _nodes(log, beats)
    tier = TIERS[max((_tier_index(item.tier) for item in known.values()), default=0)]
    bucket = BreakerBucket(log)
    await bucket.load()
    broken = {
        name: item.why
        for name, item in Breakers(bucket, _nobody).all().items()
        if item.state != "closed"
    }
    letters, paused = await unresolved(log), await pauses(log)
    running = {beat.consumer for beat in beats}
    found = resilience(
        tier=tier, roles=roles, level=who.level, wanted=tuple(PROCESSES), running=running
    )
    well = health(
        who.level,
        nodes=len(known),
        connected=sum(item.standing == "there" for item in known.values()),
        quarantined=sum(node_target(name) in broken for name in known),
        wanted=len(PROCESSES),
        running=len(running & set(PROCESSES)),
    )
    advice = [
        *found.advice,
        *_advice(known, broken, len(letters.letters), dead_letters_max, paused, who),
    ]
    return ClusterView(
        leader=who.leader,
        voters=who.voters,
        voters_alive=who.alive,
        quorum=who.level,
        roles=roles,
        nodes=known,
        memory_tier=tier,
        breakers=broken,
        dead_letters=len(letters.letters),
        paused=paused,
        work=tuple(await queues(log)),
        health=well,
        resilience=found,
        advice=tuple(advice),
    )


async def voters(log: Log) -> Voters:
    """Who holds `EVENTS`; in memory one that is always there. When nobody leads, which of the
    servers we know of answer."""
    if not isinstance(log, JetStreamLog):
        return Voters(leader="memory", voters=1, alive=1)
    try:
        info = await api.call(log.ask, f"STREAM.INFO.{EVENTS}")
    except (StreamError, TimeoutError, nats.errors.Error):
        silent = tuple([server for server in log.servers if not await _answers(server)])
        return Voters(
            leader=None, voters=len(log.servers), alive=len(log.servers) - len(silent), away=silent
        )
    return voters_in(info)


def voters_in(info: dict[str, Any]) -> Voters:
    """What the server's answer about a stream says. The leader is not among the replicas; where
    nobody leads, all are."""
    cluster: dict[str, Any] | None = info.get("cluster")
    if not cluster:
        return Voters(leader="single", voters=1, alive=1)
    leader, replicas = cluster.get("leader") or None, cluster.get("replicas") or []
    away = tuple(
        str(item.get("name")) for item in replicas if item.get("offline") or not item.get("current")
    )
    count = len(replicas) + (leader is not None)
    return Voters(leader=leader, voters=count, alive=count - len(away), away=away)


async def _answers(server: str) -> bool:
    with contextlib.suppress(StreamError):
        (await Wire.open([server])).close()
        return True
    return False


async def queues(log: Log) -> list[Queue]:
    """Depth of the work queue by kind, where there is a server to ask."""
    found: list[Queue] = []
    if not isinstance(log, JetStreamLog):
        return found
    for kind in WORK_KINDS:
        infos = []
        for priority in PRIORITIES:
            try:
                infos.append(await log.call(f"CONSUMER.INFO.{WORK}.{consumer_of(kind, priority)}"))
            except ServerRefused as error:
                if error.code not in (api.NO_CONSUMER, api.NO_STREAM):
                    raise
        if infos:
            waiting, in_hand, redelivered = (
                sum(info[name] for info in infos)
                for name in ("num_pending", "num_ack_pending", "num_redelivered")
            )
            ages = [age for info in infos if (age := _last_ack_seconds(info)) is not None]
            found.append(
                Queue(
                    kind=kind,
                    waiting=waiting,
                    in_hand=in_hand,
                    redelivered=redelivered,
                    last_ack_seconds=min(ages, default=None),
                )
            )
    return found


def _last_ack_seconds(info: dict[str, Any]) -> float | None:
    last = (info.get("ack_floor") or {}).get("last_active")
    return (
        None
        if last is None or last.startswith("0001")
        else max(0.0, (stamp_of(info["ts"]) - stamp_of(last)) / 1e9)
    )


async def pauses(log: Log) -> dict[str, str]:
    """What is paused, `<scope>/<kind>`, and why."""
    state, why = Pauses(), dict[str, str]()
    async for event, _ in read.facts(log, PipelinePaused, PipelineResumed):
        if isinstance(event, (PipelinePaused, PipelineResumed)):
            state = state.after(event)
            why[f"{event.scope}/{event.kind}"] = event.why
    return {f"{scope}/{kind}": why[f"{scope}/{kind}"] for scope, kind in state.paused}


async def _nodes(log: Log, beats: Sequence[Heartbeat]) -> dict[str, NodeView]:
    """Nodes with a heartbeat, and those that are missed as the facts say."""
    state = nodes.DECIDER.initial()
    kinds = (NodePresenceChanged, NodeJoined, NodeSuspected, NodeDegraded, NodeLost)
    async for event, meta in read.facts(log, *kinds):
        state = nodes.DECIDER.evolve(state, event, Context.of(meta))
    found, running = {}, [beat.node for beat in beats]
    machines = {beat.node: beat.machine for beat in beats if beat.machine is not None}
    for name in sorted({*running, *state.nodes}):
        tier = max(
            (beat.tier for beat in beats if beat.node == name), key=_tier_index, default="normal"
        )
        standing = "there" if name in running else state.nodes[name].standing
        found[name] = NodeView(
            standing=standing, processes=running.count(name), tier=tier, machine=machines.get(name)
        )
    return {
        name: item for name, item in found.items() if item.processes or item.standing != "there"
    }


async def _holder(log: Log, role: str) -> str | None:
    key = await log.last(f"KV_{LEASE_BUCKET}", f"$KV.{LEASE_BUCKET}.{role}")
    if key is None or not key.body:
        return None
    with contextlib.suppress(msgspec.DecodeError):
        return str(msgspec.json.decode(key.body, type=dict[str, str]).get("holder"))
    return "unreadable"


def _advice(
    known: dict[str, NodeView],
    broken: dict[str, str],
    letters: int,
    letters_max: int,
    paused: dict[str, str],
    who: Voters,
) -> list[str]:
    found = [f"voter {name}: away or behind; look at its server" for name in who.away]
    for name, item in known.items():
        if item.standing in ("suspected", "degraded", "lost"):
            found.append(
                f"node {name}: {item.standing}; its tickets went elsewhere, start its consumers again or forget it"
            )
    found += [
        f"breaker {name}: {why}; after the cause is gone `ringrift breakers reset {name}`"
        for name, why in broken.items()
    ]
    if letters:
        alarm = f", {letters_max} or more are an alarm" if letters >= letters_max else ""
        found.append(f"dead letters: {letters} unresolved{alarm}; see `ringrift dlq list`")
    found += [
        f"paused: {what} ({why}); `{resume_command(what)}` ends it" for what, why in paused.items()
    ]
    return found


def resume_command(what: str) -> str:
    """What ends the pause `<scope>/<kind>`."""
    scope, kind = what.split("/")
    words = [f"--config {scope}"] * (scope != "all") + [f"--kind {kind}"] * (kind != "all")
    return " ".join(["ringrift resume", *words])


def _tier_index(tier: str) -> int:
    return TIERS.index(tier) if tier in TIERS else 0


async def _nobody(fact: Fact, key: str) -> None:
    """Looking changes nothing, so there is nothing to tell."""
