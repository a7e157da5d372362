"""Metrics: one list of their definitions, and the values of this process in Prometheus's format.

Figures of the operating system process (`process_*`: memory, CPU time, file descriptors) come from
prometheus_client. `ringrift metrics export` derives the Grafana dashboard from the list, and
`ringrift metrics check` compares the alert rules with it. Names follow requirement group G23. The
predecessor's metrics of partitions, gossip and healing are gone: a node that is cut off is a
missing node."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import prometheus_client
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE, generate_latest

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "Metrics"]

MetricType = Literal["gauge", "counter", "histogram"]
SECONDS_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metric(Struct, frozen=True):
    """One metric. Those of the `cluster` are measured on request, by any process
    (`ringrift.runtime.fleet_metrics`); every process measures all others about itself."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    cluster: bool = False


def _metric(type: MetricType, name: str, help: str, *labels: str, cluster: bool = False) -> Metric:
    return Metric(name, type, help, labels, cluster)


_gauge, _counter = partial(_metric, "gauge"), partial(_metric, "counter")
_histogram, _cluster = partial(_metric, "histogram"), partial(_gauge, cluster=True)
_TIERS = "0 normal, 1 caution, 2 warning, 3 critical, 4 emergency."
_LIST = (
    _gauge("ringrift_consumer_info", "Always 1; the label is the version.", "version"),
    _gauge("ringrift_consumer_alive", "1 while the process makes progress."),
    _gauge("ringrift_consumer_ready", "1 once the process has caught up."),
    _gauge("ringrift_consumer_lag_events", "Events of EVENTS not folded yet; deciders only."),
    _gauge("ringrift_consumer_lag_seconds", "How long the process has lagged; deciders only."),
    _gauge("ringrift_consumer_sequence", "Sequence of the newest event folded."),
    _counter("ringrift_consumer_errors_total", "Dead letters and failed tickets."),
    _counter("ringrift_decisions_total", "Decisions written, by fact.", "fact"),
    _counter("ringrift_tickets_total", "Tickets that ended in this process.", "kind", "outcome"),
    _counter(
        "ringrift_ticket_retries_total",
        "Failed tickets that are tried again (queued) or failed for good (exhausted), and tickets "
        "done on a later delivery (succeeded).",
        "kind",
        "outcome",
    ),
    _counter("ringrift_busy_seconds_total", "Time that the process has worked.", "work"),
    _histogram("ringrift_ticket_seconds", "Time from taking a ticket to its end.", "kind"),
    _histogram(
        "ringrift_leader_election_latency_seconds",
        "Time from a free lease to its new holder acting.",
        "role",
    ),
    _counter(
        "ringrift_leader_elections_total",
        "Attempts to hold a lease: won, lost, adopted (another holds it), timeout.",
        *("role", "outcome"),
    ),
    _counter("ringrift_webhook_posts_total", "Alerts posted; the alerter only.", "outcome"),
    _gauge("ringrift_heartbeat_age_seconds", "Time since the server last accepted a heartbeat."),
    _counter("ringrift_reconnects_total", "Reconnects to the server."),
    _gauge("ringrift_resource_used_ratio", "Share of a resource in use, 0 to 1.", "resource"),
    _gauge("ringrift_memory_pressure_tier", _TIERS, "resource"),
    _gauge("ringrift_verification_failures", "Losses and differences found; the verifier only."),
    _gauge("ringrift_replicas_damaged", "Copies that hold less than others; the monitor only."),
    _gauge("ringrift_rented_nodes", "Nodes that are rented; the renter only."),
    _gauge("ringrift_rented_cost_per_hour", "What they cost per hour; the renter only."),
    _gauge("ringrift_rented_cost", "Cost of all that was ever rented; the renter only."),
    _gauge("ringrift_rented_orphans", "Instances that no rent explains; the renter only."),
    _gauge("ringrift_archive_failing", "1 while the archive cannot be used; the archiver only."),
    _gauge("ringrift_archive_pending", "Messages not archived yet; the archiver only.", "stream"),
    _gauge(
        "ringrift_archive_overdue_seconds",
        "How long the oldest message should have left its stream; the archiver only.",
        "stream",
    ),
    _counter("ringrift_archived_bytes_total", "Bytes of segments stored; the archiver only."),
    _gauge("ringrift_backup_age_seconds", "Age of the newest backup; the archiver only."),
    _gauge(
        "ringrift_backup_overdue_seconds",
        "Age from which the newest backup is too old; the archiver only.",
    ),
    _gauge("ringrift_backup_failing", "1 if the last backup failed; the archiver only."),
    _counter("ringrift_blobs_fetched_total", "Blobs not read from their bucket.", "source"),
    _cluster("ringrift_quorum_health_level", "0 LOST, 1 MINIMUM, 2 DEGRADED, 3 HEALTHY."),
    _cluster("ringrift_quorum_alive_voters", "Voters that are current."),
    _cluster("ringrift_quorum_total_voters", "Configured voters."),
    _cluster("ringrift_quorum_margin", "Voters that may fail without losing the quorum."),
    _cluster("ringrift_voters_blank", "Voters with empty disks beside one that holds the log."),
    _cluster("ringrift_health_score", "Health of the cluster, 0 to 1; warns below 0.85."),
    _cluster("ringrift_health_level", "0 CRITICAL, 1 DEGRADED, 2 WARNING, 3 HEALTHY."),
    _cluster("ringrift_resilience_score", "What the cluster can lose, 0 to 1; warns below 0.7."),
    _cluster("ringrift_resilience_level", "0 CRITICAL, 1 WARNING, 2 HEALTHY."),
    _cluster("ringrift_nodes", "Nodes by standing.", "standing"),
    _cluster("ringrift_node_used_ratio", "Share of a node's cores used for work.", "node", "work"),
    _counter(
        "ringrift_nodes_reconnected_total", "Suspected or lost nodes that rejoined.", cluster=True
    ),
    _cluster("ringrift_processes_running", "Running processes by kind.", "process"),
    _cluster("ringrift_process_crashes", "Crashes in 10 minutes, if many.", "process", "at"),
    _cluster(
        "ringrift_trouble", "1 for every failure or setback in force.", "kind", "scope", "severity"
    ),
    _cluster("ringrift_breakers_open", "Targets with an open breaker."),
    _cluster("ringrift_dead_letters_unresolved", "Dead letters that are not resolved."),
    _cluster("ringrift_work_pending", "Tickets that no worker has taken.", "kind"),
    _cluster("ringrift_work_oldest_seconds", "How long a ticket waits to be taken.", "kind"),
    _cluster("ringrift_work_ack_pending", "Tickets in the hands of workers.", "kind"),
    _cluster("ringrift_work_redelivered", "Tickets in hand that were delivered before.", "kind"),
    _cluster("ringrift_work_last_ack_age_seconds", "Time since the last acknowledgement.", "kind"),
    _cluster("ringrift_paused", "1 for every pause in force.", "scope", "kind"),
    _cluster("ringrift_games", "Games of a config in the log.", "config"),
    _cluster("ringrift_generation", "Generation of the network promoted last.", "config"),
    _cluster(
        "ringrift_elo_above_heuristic", "Elo of the incumbent above the heuristic's.", "config"
    ),
    _cluster(
        "ringrift_elo_95_half_width",
        "Half of the 95 % interval of ringrift_elo_above_heuristic.",
        "config",
    ),
    _cluster("ringrift_elo_velocity", "Elo per hour of the promoted networks.", "config"),
    _cluster("ringrift_elo_per_hour", "Elo gained an hour, as costs are measured.", "config"),
    _cluster("ringrift_elo_per_node_hour", "Elo gained for an hour of a node.", "config"),
    _cluster("ringrift_elo_per_cost", "Elo gained for a unit of your currency.", "config"),
    _cluster("ringrift_node_hours", "Hours of nodes for a config so far.", "config", "work"),
    _cluster("ringrift_cost", "Cost of a config so far, in your currency.", "config", "work"),
    _cluster("ringrift_training_loss", "Loss of the newest training.", "config"),
    _cluster("ringrift_validation_loss", "Its loss on samples held back.", "config"),
    _cluster("ringrift_node_processes", "Running processes of a node.", "consumer", "node"),
    _cluster("ringrift_node_errors", "Errors of these since they started.", "consumer", "node"),
    _cluster("ringrift_node_pressure_tier", _TIERS, "node"),
    _cluster("ringrift_node_price_per_hour", "Price of a node, in your currency.", "node"),
    _counter("ringrift_node_games_total", "Self-play games of a node.", "node", cluster=True),
    _counter(
        "ringrift_node_play_seconds_total", "Time a node played for these.", "node", cluster=True
    ),
    _cluster("ringrift_data_quality", "Quality of the newest games, 0 to 1.", "config"),
)
COLLECTORS: dict[MetricType, Callable[..., Gauge | Counter | Histogram]] = {
    "gauge": Gauge,
    "counter": Counter,
    "histogram": partial(Histogram, buckets=SECONDS_BUCKETS),
}
METRICS: dict[str, Metric] = {metric.name: metric for metric in _LIST}


class Metrics:
    """The values of one process, with `common` labels, or without those of the cluster."""

    def __init__(self, **common: str) -> None:
        self._common = common
        self._collectors: dict[str, Gauge | Counter | Histogram] = {}
        self.registry = CollectorRegistry()
        if common:
            ProcessCollector(registry=self.registry)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge, or a counter that is counted elsewhere."""
        metric = self._metric(name, labels)
        if isinstance(metric, Counter):
            metric.reset()
            metric.inc(value)
        else:
            assert isinstance(metric, Gauge), f"{name} is a histogram"
            metric.set(value)

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Count one more, or `by`."""
        metric = self._metric(name, labels)
        assert not isinstance(metric, Histogram), f"{name} is a histogram"
        metric.inc(by)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        metric = self._metric(name, labels)
        assert isinstance(metric, Histogram), f"{name} is no histogram"
        metric.observe(seconds)

    def clear(self, *names: str) -> None:
        """Remove all values of these metrics, because their labels may have changed."""
        for name in names:
            if name in self._collectors:
                self._collectors[name].clear()

    def value(self, name: str, *labels: str) -> float | None:
        """The value of a gauge or counter; None if it is not set."""
        named = dict(zip(METRICS[name].labels, labels, strict=True))
        return self.registry.get_sample_value(name, self._common | named)

    def text(self) -> bytes:
        """All values that are set, in Prometheus's text format."""
        return generate_latest(self.registry)

    def _metric(self, name: str, labels: tuple[str, ...]) -> Gauge | Counter | Histogram:
        """The metric with these labels, created on its first use."""
        declared = METRICS[name]
        if name not in self._collectors:
            create, names = COLLECTORS[declared.type], (*self._common, *declared.labels)
            self._collectors[name] = create(name, declared.help, names, registry=self.registry)
        values, found = (*self._common.values(), *labels), self._collectors[name]
        return found.labels(*values) if values else found
