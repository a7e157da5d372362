"""Nodes: presence, assignments, pressure, breakers, and waiting work."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.facts.renting import NodeDrainRequested, NodeReturned, PreemptionNoticed
from ringrift.events.facts.vocabulary import *

WorkKinds = Annotated[tuple[WorkKind, ...], Meta(max_length=3)]
Resource = Literal["ram", "vram", "disk", "files"]
Tier = Literal["normal", "caution", "warning", "critical", "emergency"]
NODES_MAX = 1_000
"""nodes in one fact"""
QuorumLevel = Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]


class NodePresenceChanged(NodeFact, subject="node.{node}.presence-changed"):
    """Heartbeats of a node began or ended, as the monitor observed.

    The last heartbeat was `silent_seconds` before this fact. `left`: every process of the node
    stopped regularly, so it is not missed."""

    present: bool
    left: bool
    silent_seconds: NonNegative
    processes: Count


class ConsumerPresenceChanged(Fact, subject="consumer.{consumer}.presence-changed"):
    """Some process of a kind sends heartbeats again, or none does on any node, as the monitor
    observed."""

    consumer: Token
    present: bool


class CrashLoopChanged(NodeFact, subject="consumer.{node}.crash-loop-changed"):
    """A process crashed more than twice in ten minutes, or does so no more, as the monitor
    observed; `crashes` are those of the last ten minutes, 0 when the loop has ended."""

    consumer: Token
    looping: bool
    crashes: Count


class NodeJoined(NodeFact, subject="node.{node}.joined"):
    """A node sends heartbeats; `rejoined` if it was suspected, degraded or lost before."""

    rejoined: bool


class NodeSuspected(NodeFact, subject="node.{node}.suspected"):
    """No heartbeat of the node arrived for `silent_seconds`."""

    silent_seconds: NonNegative


class NodeDegraded(NodeFact, subject="node.{node}.degraded"):
    """A suspected node is still silent."""

    silent_seconds: NonNegative


class NodeLost(NodeFact, subject="node.{node}.lost"):
    """A degraded node is still silent. Its tickets were redelivered long before."""

    silent_seconds: NonNegative


class NodeRegistered(NodeFact, subject="node.{node}.registered"):
    """Hardware, price and permitted work of a node, from the operator's fleet file; a later fact
    replaces an earlier one of the same node.

    `speed` is that of self-play relative to the reference accelerator (RTX 4090 = 1), an estimate
    until work was finished. A reservation restricts the kinds until a minute of `TickRecorded`."""

    provider: Token
    accelerator: Name
    vram_gib: NonNegative
    cost_per_hour: NonNegative
    speed: Annotated[float, Meta(ge=1e-3, le=1e3)] = 1.0
    ephemeral: bool = False
    """rented from a market where another bidder may take the node at any time"""
    kinds: WorkKinds = ("training", "evaluation", "selfplay")
    reserved_for: WorkKinds = ()
    reserved_until_minute: Count = 0
    leaves_at_minute: Count = 0
    """minute at which it goes, such as the end of its rent; 0: unknown"""


class NodeDescribed(NodeFact, subject="node.{node}.described"):
    """What a node says of itself in its heartbeat, as the monitor observed; a registration
    overrides it.

    `rented`: it names a provider or a price, so it is assigned work as a registered node is.
    `version` is that of the program, with its commit if it runs from a checkout."""

    provider: Token
    accelerator: Name
    gpus: Count
    cores: Count
    vram_gib: NonNegative
    cost_per_hour: NonNegative
    kinds: WorkKinds
    rented: bool
    version: Text


class NodeUpdated(NodeFact, subject="node.{node}.updated", for_people=True):
    """A node runs another program than before; `previous` is empty when it is seen first.

    Versions name the commit of a program that runs from a checkout."""

    version: Text
    previous: Text


class UpdateJudged(NodeFact, subject="node.{node}.update-judged", for_people=True):
    """The first node of an update ran the new program for `seconds`; if it did not pass, it was
    rolled back and the update ended.

    `speed` is that of its self-play relative to the hour before, None if no game ended."""

    version: Text
    seconds: NonNegative
    errors: Count
    errors_before: Count
    speed: NonNegative | None
    passed: bool
    why: Text


class NodeUnregistered(NodeFact, subject="node.{node}.unregistered"):
    """The registration of a node counts no more; what it says of itself does."""

    why: Text


class NodeForgotten(NodeFact, subject="node.{node}.forgotten"):
    """An absent node was given back: it is neither registered nor missed. One that is present when
    this is read stays as it is."""

    why: Text


class NodeReserved(NodeFact, subject="node.{node}.reserved"):
    """A node does `kinds` only, until a minute of `TickRecorded`."""

    kinds: WorkKinds
    until_minute: Count
    why: Text


class ReservationEnded(NodeFact, subject="node.{node}.reservation-ended"):
    """A reserved node does again what it may."""

    why: Text


class NodeAssigned(NodeFact, subject="node.{node}.assigned"):
    """A node of the fleet takes tickets of `kinds` from now on; with none it stands by and may be
    returned to its provider.

    `ticket_seconds` is the intended duration of its tickets. With `preempts` it hands back tickets
    of other kinds at once."""

    kinds: WorkKinds
    ticket_seconds: Above0
    why: Text
    preempts: bool = False
    settings_version: Count


class NodeUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the cores of a node were used: core-seconds `busy` by work, and of those that were not
    used, by what their workers waited for."""

    cores: Positive
    players: Count = 0
    """processes that play"""
    busy: Annotated[dict[Token, NonNegative], Meta(max_length=10)]
    waited: Annotated[dict[Name, NonNegative], Meta(max_length=10)]


class UtilisationSampled(Fact, subject="node.all.utilisation-sampled"):
    """How the nodes with workers were used in the last `seconds`, as the monitor observed."""

    seconds: Above0
    nodes: Annotated[dict[Token, NodeUse], Meta(max_length=NODES_MAX)]


class WorkEscalated(ConfigDecision, subject="ageing.{config}.work-escalated"):
    """Tickets of the request at position `request` have waited for `waited_seconds` and move to the
    front of the queue."""

    kind: WorkKind
    request: Position
    waited_seconds: NonNegative


class DeadlockBroken(ConfigDecision, subject="deadlock.{config}.broken"):
    """No work of the config was pending because each part of its loop waited for another.

    `cycle` lists the parts. The generation continues with more self-play and another training."""

    cycle: Annotated[tuple[Name, ...], Meta(max_length=10)]
    waited_seconds: NonNegative


class NodePressureChanged(NodeFact, subject="node.{node}.pressure-changed"):
    """A resource of a node entered another tier; `used` is the share in use, 0..1.

    `consumer` names the process if the resource is its own (`vram`, `files`), else it is empty."""

    resource: Resource
    consumer: Text
    tier: Tier
    previous: Tier
    used: Share


class BreakerOpened(Fact, subject="breaker.{target}.opened"):
    """`failures` in a row reached `threshold`: `target` is not used until a probe succeeds.
    `node-<name>` is a quarantined node."""

    target: Token
    failures: Count
    threshold: Count
    why: Text


class BreakerEscalated(Fact, subject="breaker.{target}.escalated"):
    """The probe of an open breaker failed: the next one is in `retry_seconds`. `tier` counts failed
    probes up to the longest wait."""

    target: Token
    tier: Count
    failures: Count
    retry_seconds: Above0
    why: Text


class BreakerReset(Fact, subject="breaker.{target}.reset"):
    """`target` is used again, after a successful probe or by command."""

    target: Token
    why: Text


class QuorumLevelChanged(Fact, subject="quorum.all.level-changed"):
    """Number of voters that may still fail: two or more (HEALTHY), one (DEGRADED), none (MINIMUM).

    A single server is HEALTHY. LOST is shown by `/status` and the metrics only, because nothing can
    be written then."""

    level: QuorumLevel
    previous: QuorumLevel
    voters: Count
    alive: Count


class VoterPresenceChanged(Fact, subject="voter.{voter}.presence-changed"):
    """A voter of `EVENTS` is current again, or is away or behind, as the monitor observed.

    It changed so `changes` times in the last ten minutes, this one included; it is `flapping` if
    that is often, and then only the end of the flapping is recorded."""

    voter: Token
    current: bool
    changes: Positive
    flapping: bool = False


FleetChange = (
    NodeRegistered
    | NodeDescribed
    | NodeUnregistered
    | NodeForgotten
    | NodeReserved
    | ReservationEnded
    | BreakerOpened
    | BreakerReset
    | NodeDrainRequested
    | PreemptionNoticed
    | NodeReturned
)
"""what changes which nodes there are and what they may do, besides their presence"""
