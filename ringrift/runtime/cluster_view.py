"""The cluster at a glance: voters, nodes, roles, the work queue, problems, and one line of advice
for each problem.

Read from the log and its buckets on request, so that any process can report it."""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.fleet import nodes
from ringrift.deciders.fleet.breaker import node_target
from ringrift.deciders.fleet.health import Health, health
from ringrift.deciders.fleet.pressure import TIERS
from ringrift.deciders.fleet.resilience import Quorum, Resilience, quorum_level, resilience
from ringrift.deciders.fleet.troubles import RULES_OF, Trouble, Troubles
from ringrift.deciders.kit import Context
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, LEASE_BUCKET
from ringrift.log.wire import Wire, shown_address
from ringrift.runtime.breakers import SharedBreakers
from ringrift.runtime.controls import pauses_in_force, resume_command
from ringrift.runtime.dead_letter_retry import unresolved
from ringrift.runtime.elections import Elections, elections
from ringrift.runtime.processes import EXPECTED, LEASED, PROCESSES
from ringrift.runtime.queues import Queue, queues

START_SECONDS = 40.0
"""longer than a start, a restart, and what `ringrift up` grants its processes to drain"""
CRASHES_SECONDS, CRASHES_MAX = 600.0, 2
LIVES: tuple[type[f.ConsumerStarted | f.ConsumerStopped], ...] = (
    f.ConsumerStarted,
    f.ConsumerStopped,
)


class Voters(Struct, frozen=True, kw_only=True):
    """The voters of `EVENTS`: the leader, how many are configured, how many are current, and the
    names of the others."""

    leader: str | None
    voters: int
    alive: int
    away: tuple[str, ...] = ()

    @property
    def level(self) -> Quorum:
        """The quorum. Without a leader nothing can be written, however many voters are alive."""
        return "LOST" if self.leader is None else quorum_level(self.voters, self.alive)


class NodeView(Struct, frozen=True, kw_only=True):
    """One node: its standing, its running processes, its tightest tier, and its machine if
    `ringrift node run` reports it."""

    standing: nodes.Standing
    processes: int
    tier: str
    scarce: str = ""
    """the resource of that tier"""
    machine: Machine | None = None


_QUIET = NodeView(standing="present", processes=0, tier="normal")


class ClusterView(Struct, frozen=True, kw_only=True):
    """The cluster as `ringrift status` and `/status` report it; `advice` has one line for each
    problem."""

    leader: str | None
    voters: int
    voters_alive: int
    quorum: Quorum
    roles: dict[str, str | None]
    nodes: dict[str, NodeView]
    memory_tier: f.Tier
    breakers: dict[str, str]
    dead_letters: int
    paused: dict[str, str]
    work: tuple[Queue, ...]
    health: Health
    resilience: Resilience
    running: dict[str, int]
    """processes by kind"""
    crashes: dict[str, int]
    """`<consumer>@<node>` of processes that crash repeatedly, with the number of crashes"""
    troubles: list[Trouble]
    advice: tuple[str, ...]
    elections: Elections = Elections()
    starting: bool = False
    """all running processes have just started, so that missing ones and vacant roles are no
    problem yet"""


async def cluster_view(
    log: Log, *, dead_letters_max: int = 50, now: Callable[[], float] = time.time
) -> ClusterView:
    """Look at everything once; `now` gives seconds since 1970. Raises StreamError."""
    quorum = await voters(log)
    roles = {role: await _holder(log, role) for role in LEASED}
    beats = await Presence(log, now).all()
    places = defaultdict[str, set[str]](set)
    for beat in beats:
        places[beat.consumer].add(beat.node)
    crashes = await crash_loops(log, beats, now())
    troubles = await troubles_in_force(log)
    known = await _nodes(log, beats)
    worst = max(known.values(), key=lambda node: _tier_index(node.tier), default=_QUIET)
    tier = TIERS[_tier_index(worst.tier)]
    breakers = SharedBreakers(log, now)
    await breakers.load()
    broken = {target: breaker.why for target, breaker in breakers.all().items()}
    starting = await _starting(log, beats, now())
    held = {role: holder for role, holder in roles.items() if holder or not starting}
    wanted = tuple(name for name in EXPECTED if name in places or not starting)
    dead_letters, paused = len((await unresolved(log)).unresolved), await pauses_in_force(log)
    endurance = resilience(
        tier=tier,
        roles=held,
        standbys=[name for name, nodes_of in places.items() if len(nodes_of) > 1],
        level=quorum.level,
        voters=quorum.voters,
        wanted=wanted,
        running=places.keys(),
        scarce=worst.scarce,
    )
    view = ClusterView(
        leader=quorum.leader,
        voters=quorum.voters,
        voters_alive=quorum.alive,
        quorum=quorum.level,
        roles=roles,
        nodes=known,
        memory_tier=tier,
        breakers=broken,
        dead_letters=dead_letters,
        paused=paused,
        work=tuple(await queues(log)),
        health=health(
            quorum.level,
            nodes=len(known),
            connected=sum(node.standing == "present" for node in known.values()),
            quarantined=sum(node_target(name) in broken for name in known),
            wanted=len(wanted),
            running=len(places.keys() & set(wanted)),
            failures=sum(trouble.failure for trouble in troubles) + len(crashes),
        ),
        resilience=endurance,
        running={name: sum(beat.consumer == name for beat in beats) for name in PROCESSES},
        crashes=crashes,
        troubles=troubles,
        advice=endurance.advice,
        elections=await elections(log, now()),
        starting=starting,
    )
    return replace(view, advice=(*view.advice, *_advice(view, quorum.away, dead_letters_max)))


async def troubles_in_force(log: Log) -> list[Trouble]:
    """Failures and setbacks of the loop, from the newest fact of each type and scope. What the
    monitor observes is left out, since a view has looked at it itself, and later."""
    troubles = Troubles()
    for kind in (
        kind for kind, rules in RULES_OF.items() if not all(one.observed for one in rules)
    ):
        for recorded in await read.latest_of_each(log, kind):
            troubles.take(recorded)
    return [trouble for trouble in troubles.in_force() if not trouble.observed]


async def _starting(log: Log, beats: Sequence[Heartbeat], now: float) -> bool:
    """Whether a process reported its start just now, and no other has run for longer."""
    since = datetime.fromtimestamp(now - START_SECONDS, UTC)
    young = {event.instance async for event, _ in read.facts(log, f.ConsumerStarted, since=since)}
    known = [beat.instance for beat in beats if beat.consumer in PROCESSES]
    return bool(young) and young.issuperset(known)


async def crash_loops(log: Log, beats: Sequence[Heartbeat], now: float) -> dict[str, int]:
    """How often processes crashed in the last `CRASHES_SECONDS`, if more than `CRASHES_MAX` times:
    those that started and neither run nor drained."""
    start = datetime.fromtimestamp(now - CRASHES_SECONDS, UTC)
    crashed: dict[str, str] = {}
    async for event, _ in read.facts(log, *LIVES, since=start):
        crashed[event.instance] = f"{event.consumer}@{event.node}"
        if isinstance(event, f.ConsumerStopped) and event.why != "failed":
            del crashed[event.instance]
    for beat in beats:
        crashed.pop(beat.instance, None)
    return {name: n for name, n in Counter(crashed.values()).items() if n > CRASHES_MAX}


async def _nodes(log: Log, beats: Sequence[Heartbeat]) -> dict[str, NodeView]:
    """Nodes with a heartbeat, and those that are missing according to the facts."""
    state = nodes.DECIDER.initial()
    async for event, meta in read.facts(log, *nodes.FOLDED):
        state = nodes.DECIDER.evolve(state, event, Context.of(meta))
    found = {
        name: NodeView(standing=node.standing, processes=0, tier="normal")
        for name, node in state.nodes.items()
        if node.standing != "present"
    }
    for beat in beats:
        # a heartbeat is newer than the fact that its node is missing
        node = found.get(beat.node)
        if node is None or not node.processes:
            node = _QUIET
        worse = _tier_index(beat.tier) > _tier_index(node.tier)
        found[beat.node] = replace(
            node,
            processes=node.processes + 1,
            tier=beat.tier if worse else node.tier,
            scarce=beat.scarce if worse else node.scarce,
            machine=beat.machine or node.machine,
        )
    return dict(sorted(found.items()))


async def _holder(log: Log, role: str) -> str | None:
    key = await log.last(f"KV_{LEASE_BUCKET}", f"$KV.{LEASE_BUCKET}.{role}")
    if key is None or not key.body:
        return None
    with contextlib.suppress(msgspec.DecodeError):
        return str(msgspec.json.decode(key.body, type=dict[str, str]).get("holder"))
    return "unreadable"


def _advice(view: ClusterView, away: Sequence[str], dead_letters_max: int) -> list[str]:
    """One line for each problem that the resilience does not cover."""
    found = [f"voter {name}: away or behind; look at its server" for name in away]
    for name, node in view.nodes.items():
        if node.standing in ("suspected", "degraded", "lost"):
            forget = f"or run `ringrift fleet forget {name}`"
            remedy = f"its tickets went to other nodes; restart its consumers, {forget}"
            found.append(f"node {name}: {node.standing}; {remedy}")
    for queue in view.work:
        for name in queue.missing:
            remedy = "the dispatcher creates it within seconds, or run `ringrift contract apply`"
            found.append(f"queue {queue.kind}: its durable consumer {name} is missing; {remedy}")
    for name, crashes in view.crashes.items():
        minutes = CRASHES_SECONDS / 60
        found.append(f"{name}: crashed {crashes} times in {minutes:.0f} min; see its log")
    found += map(str, view.troubles)
    for name, why in view.breakers.items():
        remedy = f"once the cause is gone, run `ringrift breakers reset {name}`"
        found.append(f"breaker {name}: {why}; {remedy}")
    if view.dead_letters:
        alarm = ""
        if view.dead_letters >= dead_letters_max:
            alarm = f" (alarm threshold {dead_letters_max})"
        count = f"{view.dead_letters} unresolved{alarm}"
        found.append(f"dead letters: {count}; see `ringrift dlq list`")
    for pause, why in view.paused.items():
        found.append(f"paused: {pause} ({why}); `{resume_command(pause)}` ends it")
    return found


def _tier_index(tier: str) -> int:
    return TIERS.index(tier) if tier in TIERS else 0


async def voters(log: Log) -> Voters:
    """The voters of `EVENTS`. Without a leader,
    the known servers that answer count as alive."""
    try:
        info = await log.call(f"STREAM.INFO.{EVENTS}", retry=False)
    except StreamError:
        away = tuple(
            [shown_address(server) for server in log.servers if not await _answers(server)]
        )
        known = len(log.servers)
        return Voters(leader=None, voters=known, alive=known - len(away), away=away)
    return voters_in(info)


def voters_in(info: dict[str, Any]) -> Voters:
    """The voters in the server's answer about a stream. The leader is not listed as a replica;
    without a leader all voters are."""
    cluster: dict[str, Any] | None = info.get("cluster")
    if not cluster:
        return Voters(leader="single", voters=1, alive=1)
    leader, replicas = cluster.get("leader") or None, cluster.get("replicas") or []
    behind = [item for item in replicas if item.get("offline") or not item.get("current")]
    away = tuple(str(item.get("name")) for item in behind)
    count = len(replicas) + (leader is not None)
    return Voters(leader=leader, voters=count, alive=count - len(away), away=away)


async def _answers(server: str) -> bool:
    with contextlib.suppress(StreamError):
        (await Wire.open([server])).close()
        return True
    return False
