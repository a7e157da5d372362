"""The metrics of the whole fleet, from heartbeats, facts, and the answers of every process: what a
Prometheus needs that cannot reach every node.

`Fleet` measures at most once in `KEPT_SECONDS`, and reads the facts that it counts only once. At
most `NODES_MAX` nodes have metrics of their own."""

import asyncio
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from ringrift.deciders.fleet.health import HEALTH_LEVELS
from ringrift.deciders.fleet.pressure import TIERS
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS
from ringrift.events import facts as f, type_of
from ringrift.log import read
from ringrift.log.errors import Unreachable
from ringrift.log.holdings import Held, blank_servers, holdings
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log
from ringrift.runtime import fleet_processes
from ringrift.runtime.cluster_view import ClusterView, Voters, cluster_view, voters
from ringrift.runtime.metrics import Metrics

KEPT_SECONDS = 5.0
"""how long an answer is reused"""
NODES_MAX = 200
"""names of nodes are chosen by their owners, so their number needs a bound"""
RESILIENCE_LEVELS = ("CRITICAL", "WARNING", "HEALTHY")
LOOPBACK = re.compile(r"127\.|\[?::1\]?:|localhost:")
ANYWHERE = ("0.0.0.0", "[::]", "::")


class Target(Struct, frozen=True):
    """An address, as Prometheus's `http_sd_configs` takes it; the metrics themselves have the
    labels of their process."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Fleet:
    """The fleet as one process of it measures it."""

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        self._log, self._now = log, now
        self._seq = 0
        self._games, self._seconds = Counter[str](), defaultdict[str, float](float)
        self._rejoined = 0
        self._measured: tuple[float, Metrics] | None = None
        self._measuring = asyncio.Lock()

    async def metrics(self) -> Metrics:
        """Every metric of the cluster; only those of its voters without a quorum. Raises
        StreamError."""
        async with self._measuring:  # requests that arrive meanwhile share the answer
            if self._measured is None or self._now() - self._measured[0] > KEPT_SECONDS:
                self._measured = self._now(), await self._measure()
            return self._measured[1]

    async def _measure(self) -> Metrics:
        metrics, quorum = Metrics(), await voters(self._log)
        if quorum.level == "LOST":
            held: Sequence[Held] = ()
            with contextlib.suppress(Unreachable):
                held = await holdings(self._log.servers) or ()
            if quorum.alive or held:  # they answer nothing else
                measure_quorum(metrics, quorum)
                metrics.set("ringrift_voters_blank", len(blank_servers(held)))
                return metrics
        view = await cluster_view(self._log, now=self._now)
        beats = await Presence(self._log, self._now).all()
        await self._count()
        metrics.set("ringrift_nodes_reconnected_total", self._rejoined)
        measure_cluster(metrics, view)
        self._measure_nodes(metrics, view, beats)
        await measure_configs(metrics, self._log)
        for recorded in await read.latest_of_each(self._log, f.UtilisationSampled):
            sample = recorded.event
            for name, node in list(sample.nodes.items())[:NODES_MAX]:
                for work, seconds in node.busy.items():
                    share = seconds / (sample.seconds * node.cores)
                    metrics.set("ringrift_node_used_ratio", share, name, work)
        metrics.registry.register(await fleet_processes.ask(self._log, beats))
        return metrics

    async def _count(self) -> None:
        """Fold what was written since the last time."""
        async for event, meta in read.facts(
            self._log, f.SelfplayFinished, f.NodeJoined, after=self._seq
        ):
            self._seq = meta.seq
            if isinstance(event, f.SelfplayFinished):
                self._games[event.node] += event.games
                self._seconds[event.node] += event.play_seconds
            elif isinstance(event, f.NodeJoined):
                self._rejoined += event.rejoined

    def _measure_nodes(self, metrics: Metrics, view: ClusterView, beats: list[Heartbeat]) -> None:
        names = [*view.nodes, *(name for name in self._games if name not in view.nodes)]
        shown = set(names[:NODES_MAX])
        for name in shown & view.nodes.keys():
            node = view.nodes[name]
            metrics.set("ringrift_node_pressure_tier", TIERS.index(node.tier), name)
            if node.machine is not None:
                metrics.set("ringrift_node_price_per_hour", node.machine.price_per_hour, name)
        for name in sorted(shown & self._games.keys()):
            metrics.set("ringrift_node_games_total", self._games[name], name)
            metrics.set("ringrift_node_play_seconds_total", self._seconds[name], name)
        for beat in beats:
            if beat.node in shown:
                metrics.add("ringrift_node_processes", beat.consumer, beat.node)
                metrics.add("ringrift_node_errors", beat.consumer, beat.node, by=beat.errors)


def measure_cluster(metrics: Metrics, view: ClusterView) -> None:
    """Set the metrics of the cluster."""
    measure_quorum(metrics, Voters(leader=view.leader, voters=view.voters, alive=view.voters_alive))
    metrics.set("ringrift_voters_blank", 0)
    metrics.set("ringrift_health_score", view.health.score)
    metrics.set("ringrift_health_level", HEALTH_LEVELS.index(view.health.level))
    metrics.set("ringrift_resilience_score", view.resilience.score)
    metrics.set("ringrift_resilience_level", RESILIENCE_LEVELS.index(view.resilience.level))
    metrics.set("ringrift_breakers_open", len(view.breakers))
    metrics.set("ringrift_dead_letters_unresolved", view.dead_letters)
    for process, count in view.running.items():
        metrics.set("ringrift_processes_running", count, process)
    for name, count in view.crashes.items():
        metrics.set("ringrift_process_crashes", count, *name.split("@", 1))
    for trouble in view.troubles:
        severity = "critical" if trouble.failure else "warning"
        metrics.set("ringrift_trouble", 1, trouble.name, trouble.scope, severity)
    for pause in view.paused:
        metrics.set("ringrift_paused", 1, *pause.split("/"))
    for node in view.nodes.values():
        metrics.add("ringrift_nodes", node.standing)
    for queue in view.work:
        metrics.set("ringrift_work_pending", queue.waiting, queue.kind)
        metrics.set("ringrift_work_ack_pending", queue.in_hand, queue.kind)
        metrics.set("ringrift_work_redelivered", queue.redelivered, queue.kind)
        if queue.oldest_seconds is not None:
            metrics.set("ringrift_work_oldest_seconds", queue.oldest_seconds, queue.kind)
        if queue.last_ack_seconds is not None:
            metrics.set("ringrift_work_last_ack_age_seconds", queue.last_ack_seconds, queue.kind)


def measure_quorum(metrics: Metrics, quorum: Voters) -> None:
    """Set the metrics of the voters."""
    metrics.set("ringrift_quorum_health_level", QUORUM_LEVELS.index(quorum.level))
    metrics.set("ringrift_quorum_alive_voters", quorum.alive)
    metrics.set("ringrift_quorum_total_voters", quorum.voters)
    metrics.set("ringrift_quorum_margin", quorum.alive - (quorum.voters // 2 + 1))


async def measure_configs(metrics: Metrics, log: Log) -> None:
    """Set the metrics of each config, from the newest facts."""
    for promoted, _ in await read.latest_of_each(log, f.ModelPromoted):
        metrics.set("ringrift_generation", promoted.generation, promoted.config)
    for quality, _ in await read.latest_of_each(log, f.QualityAssessed):
        metrics.set("ringrift_data_quality", quality.adjusted, quality.config)
    for trained, _ in await read.latest_of_each(log, f.TrainingFinished):
        metrics.set("ringrift_training_loss", trained.loss, trained.config)
        if trained.validation_loss is not None:
            metrics.set("ringrift_validation_loss", trained.validation_loss, trained.config)
    for pace, _ in await read.latest_of_each(log, f.VelocityChanged):
        metrics.set("ringrift_elo_above_heuristic", pace.elo_above_heuristic, pace.config)
        if pace.elo_95_half_width is not None:
            metrics.set("ringrift_elo_95_half_width", pace.elo_95_half_width, pace.config)
        if pace.elo_per_hour is not None:
            metrics.set("ringrift_elo_velocity", pace.elo_per_hour, pace.config)
    for gain, _ in await read.latest_of_each(log, f.EfficiencyMeasured):
        metrics.set("ringrift_elo_per_hour", gain.elo_per_hour, gain.config)
        metrics.set("ringrift_elo_per_node_hour", gain.elo_per_node_hour, gain.config)
        if gain.elo_per_cost is not None:
            metrics.set("ringrift_elo_per_cost", gain.elo_per_cost, gain.config)
        for work, spent in gain.spent.items():
            metrics.set("ringrift_node_hours", spent.node_seconds / 3600.0, gain.config, work)
            metrics.set("ringrift_cost", spent.cost, gain.config, work)
    kind = type_of(f.GameCompleted)
    request = {"subjects_filter": kind.subject_filter}
    info = await log.call(f"STREAM.INFO.{kind.stream}", request)
    trimmed = await log.archive.trimmed(kind.stream)
    archived = Counter[str]()
    for segment in log.archive.segments_of(kind.stream, 1, trimmed):
        archived.update(segment.completed)
    for subject, count in (info["state"].get("subjects") or {}).items():
        newest = await log.last(kind.stream, subject) if trimmed else None
        twice = newest is not None and newest.seq <= trimmed  # in the stream and archived
        config = subject.split(".")[2]
        metrics.set("ringrift_games", count + archived[config] - twice, config)


async def targets(log: Log, node: str, now: Callable[[], float]) -> list[Target]:
    """Every process that a Prometheus beside `node` can reach: those of other nodes only if they
    listen on more than loopback."""
    found = []
    for beat in sorted(await Presence(log, now).all(), key=lambda beat: (beat.node, beat.consumer)):
        host, _, port = beat.health.rpartition(":")
        if not host or (LOOPBACK.match(beat.health) and beat.node != node):
            continue
        address = f"{beat.node}:{port}" if host in ANYWHERE else beat.health
        labels = {"__meta_ringrift_consumer": beat.consumer, "__meta_ringrift_node": beat.node}
        found.append(Target(targets=(address,), labels=labels))
    return found
