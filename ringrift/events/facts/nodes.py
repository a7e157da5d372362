"""Machines: who is there, what each does, how tight it is, and what is left alone."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Token

PRESSURE_KEPT_SECONDS = 30 * 24 * 3600


class NodePresenceChanged(Fact, subject="node.{node}.presence-changed"):
    """The monitor saw a node's heartbeats begin or end: an observation, from which the other facts
    of nodes are decided.

    The last heartbeat was `silent_seconds` before this fact. `left`: all its processes said
    goodbye, so nobody misses them."""

    node: Token
    present: bool
    left: bool
    silent_seconds: float
    processes: Count


class NodeJoined(Fact, subject="node.{node}.joined"):
    """A node is there; `again` after it had been suspected or worse."""

    node: Token
    rejoined: bool


class NodeSuspected(Fact, subject="node.{node}.suspected"):
    """No process of the node has been heard for `silent_seconds`."""

    node: Token
    silent_seconds: float


class NodeDegraded(Fact, subject="node.{node}.degraded"):
    """A suspected node is still silent."""

    node: Token
    silent_seconds: float


class NodeLost(Fact, subject="node.{node}.lost"):
    """A degraded node is still silent: count on it no longer. Its tickets went elsewhere long
    ago."""

    node: Token
    silent_seconds: float


WorkKind = Literal["selfplay", "training", "evaluation"]


class NodeRegistered(Fact, subject="node.{node}.registered"):
    """What a node is and may do, from the operator's list of the fleet; a later one of the same
    node replaces it.

    `speed` is that of self-play against the reference accelerator (RTX 4090 = 1), a first guess
    until finished work tells. A reservation narrows the kinds until a minute (of
    `TickRecorded`)."""

    node: Token
    provider: Token
    accelerator: str
    vram_gib: float
    cost_per_hour: float
    speed: Annotated[float, Meta(gt=0.0)] = 1.0
    ephemeral: bool = False
    """rented from a market where somebody else may outbid us at any minute"""
    kinds: tuple[WorkKind, ...] = ("training", "evaluation", "selfplay")
    reserved_for: tuple[WorkKind, ...] = ()
    reserved_until_minute: Count = 0


class NodeAssigned(Fact, subject="node.{node}.assigned"):
    """A registered node takes tickets of these kinds from here on, none: it stands by and may be
    given back.

    `ticket_seconds` is how long a ticket on it should take. With `preempts` it hands back at once
    what is of another kind."""

    node: Token
    kinds: tuple[WorkKind, ...]
    ticket_seconds: float
    why: str
    preempts: bool = False
    settings_version: Count


class WorkEscalated(Fact, subject="ageing.{config}.work-escalated"):
    """Tickets of the request at `request` have waited for so long that those left go first from now
    on."""

    config: ConfigName
    kind: WorkKind
    request: str
    waited_seconds: float
    settings_version: Count


class DeadlockBroken(Fact, subject="deadlock.{config}.broken"):
    """Nothing was asked of any worker for this config, for each part of its loop waited for
    another, as `cycle` tells.

    Its generation is played on and trained anew."""

    config: ConfigName
    cycle: tuple[str, ...]
    waited_seconds: float
    settings_version: Count


Resource = Literal["ram", "vram", "disk", "files"]
Tier = Literal["normal", "caution", "warning", "critical", "emergency"]


class NodePressureChanged(
    Fact, subject="node.{node}.pressure-changed", kept_seconds=PRESSURE_KEPT_SECONDS
):
    """A resource of a node went into another tier; `used` is the share in use, 0..1.

    `consumer` names the process where the resource is its own (`vram`, `files`) and is empty where
    it is the node's."""

    node: Token
    resource: Resource
    consumer: str
    tier: Tier
    previous: Tier
    used: float


class BreakerOpened(Fact, subject="breaker.{target}.opened"):
    """So many failures in a row that `target` is left alone until a probe succeeds; `node-<name>`
    is a quarantined node."""

    target: Token
    failures: Count
    threshold: Count
    why: str


class BreakerReset(Fact, subject="breaker.{target}.reset"):
    """`target` is used again: a probe succeeded, or a person said so."""

    target: Token
    why: str


class QuorumLevelChanged(Fact, subject="quorum.all.level-changed"):
    """How many voters can still be lost: two or more HEALTHY, one DEGRADED, none MINIMUM; with LOST
    nothing can be written, so that level is seen on `/status` and in the metrics only. A single
    server is its own quorum and HEALTHY."""

    level: Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]
    previous: Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]
    voters: Count
    alive: Count
