"""Keeps the metrics of the cluster up to date."""

import asyncio

from ringrift.deciders.fleet.health import HEALTH_LEVELS
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS
from ringrift.events.facts import ModelPromoted, NodeJoined, QualityAssessed, VelocityChanged
from ringrift.log import read
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.metrics import Metrics
from ringrift.runtime.process import Process

MEASURE_SECONDS = 10.0
RESILIENCE_LEVELS = ("CRITICAL", "WARNING", "HEALTHY")


async def measure(process: Process) -> None:
    """Measure every `MEASURE_SECONDS`, until cancelled."""
    while True:
        limit = process.controls.operation.dead_letters_max
        now = process.clock.wall
        view = await cluster_view(process.log, dead_letters_max=limit, now=now)
        measure_cluster(process.metrics, view)
        await measure_configs(process)
        await asyncio.sleep(MEASURE_SECONDS)


def measure_cluster(metrics: Metrics, view: ClusterView) -> None:
    """Set the metrics of the cluster."""
    quorum_needs = view.voters // 2 + 1
    metrics.set("ringrift_quorum_health_level", QUORUM_LEVELS.index(view.quorum))
    metrics.set("ringrift_quorum_alive_voters", view.voters_alive)
    metrics.set("ringrift_quorum_total_voters", view.voters)
    metrics.set("ringrift_quorum_margin", view.voters_alive - quorum_needs)
    metrics.set("ringrift_health_score", view.health.score)
    metrics.set("ringrift_health_level", HEALTH_LEVELS.index(view.health.level))
    metrics.set("ringrift_resilience_score", view.resilience.score)
    metrics.set("ringrift_resilience_level", RESILIENCE_LEVELS.index(view.resilience.level))
    metrics.set("ringrift_breakers_open", len(view.breakers))
    metrics.set("ringrift_dead_letters_unresolved", view.dead_letters)
    metrics.clear("ringrift_paused", "ringrift_nodes")
    for pause in view.paused:
        metrics.set("ringrift_paused", 1, *pause.split("/"))
    for node in view.nodes.values():
        metrics.add("ringrift_nodes", node.standing)
    for queue in view.work:
        metrics.set("ringrift_work_pending", queue.waiting, queue.kind)
        metrics.set("ringrift_work_ack_pending", queue.in_hand, queue.kind)
        metrics.set("ringrift_work_redelivered", queue.redelivered, queue.kind)
        if queue.last_ack_seconds is not None:
            metrics.set("ringrift_work_last_ack_age_seconds", queue.last_ack_seconds, queue.kind)


async def measure_configs(process: Process) -> None:
    """Set the metrics of each config, and how often nodes rejoined, from the facts."""
    log, metrics = process.log, process.metrics
    for promoted, _ in await read.latest_of_each(log, ModelPromoted):
        metrics.set("ringrift_generation", promoted.generation, promoted.config)
    for quality, _ in await read.latest_of_each(log, QualityAssessed):
        metrics.set("ringrift_data_quality", quality.adjusted, quality.config)
    for pace, _ in await read.latest_of_each(log, VelocityChanged):
        metrics.set("ringrift_elo_above_heuristic", pace.elo_above_heuristic, pace.config)
        if pace.elo_per_hour is not None:
            metrics.set("ringrift_elo_velocity", pace.elo_per_hour, pace.config)
    rejoined = [event.rejoined async for event, _ in read.facts(log, NodeJoined)]
    metrics.set("ringrift_nodes_reconnected_total", sum(rejoined))
