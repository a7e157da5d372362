"""Metrics: one list of what is measured, and the values of this process in Prometheus's text
format.

Names are those of the predecessor's boards where they still mean something (requirement group G23).
Gone with their subject: partitions, gossip and healing (`ringrift_partition*`,
`ringrift_healing_*`, `ringrift_escalation_level`): the servers' routes heal themselves, and what is
cut off for longer is a voter away or a node that is missed. The alert rules and the Grafana board
are written from this list by `ringrift metrics export`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

SECONDS_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)


class Metric(Struct, frozen=True):
    """One metric. `cluster` ones are measured by the monitor that acts, all others by every process
    of itself."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    cluster: bool = False


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("ringrift_consumer_info", "gauge", "Always 1: who this is.", ("version",)),
        Metric("ringrift_consumer_alive", "gauge", "1 while the process makes progress."),
        Metric("ringrift_consumer_ready", "gauge", "1 once the process has caught up."),
        Metric(
            "ringrift_consumer_lag_events",
            "gauge",
            "Events of EVENTS not folded yet; deciders only.",
        ),
        Metric(
            "ringrift_consumer_lag_seconds",
            "gauge",
            "How long the process has been behind, in seconds; deciders only.",
        ),
        Metric("ringrift_consumer_sequence", "gauge", "Sequence of the newest event folded."),
        Metric(
            "ringrift_consumer_errors_total",
            "counter",
            "Dead letters and failed tickets of this process.",
        ),
        Metric("ringrift_decisions_total", "counter", "Decisions written, by fact.", ("fact",)),
        Metric(
            "ringrift_tickets_total",
            "counter",
            "Tickets that ended in this process.",
            ("kind", "outcome"),
        ),
        Metric(
            "ringrift_ticket_seconds",
            "histogram",
            "Time from taking a ticket to its end.",
            ("kind",),
        ),
        Metric(
            "ringrift_leader_election_latency_seconds",
            "histogram",
            "From a free lease to its holder acting.",
            ("role",),
        ),
        Metric(
            "ringrift_heartbeat_age_seconds",
            "gauge",
            "Since the server last took a heartbeat of this process.",
        ),
        Metric(
            "ringrift_reconnects_total", "counter", "Times the connection to the server came back."
        ),
        Metric("ringrift_resource_used_ratio", "gauge", "Share in use, 0 to 1.", ("resource",)),
        Metric(
            "ringrift_memory_pressure_tier",
            "gauge",
            "0 normal, 1 caution, 2 warning, 3 critical, 4 emergency.",
            ("resource",),
        ),
        Metric(
            "ringrift_quorum_health_level",
            "gauge",
            "0 LOST, 1 MINIMUM, 2 DEGRADED, 3 HEALTHY.",
            (),
            True,
        ),
        Metric("ringrift_quorum_alive_voters", "gauge", "Voters that are current.", (), True),
        Metric("ringrift_quorum_total_voters", "gauge", "Voters there should be.", (), True),
        Metric("ringrift_quorum_margin", "gauge", "Voters that may still be lost.", (), True),
        Metric(
            "ringrift_health_score",
            "gauge",
            "How well the cluster is, 0 to 1; warns below 0.85.",
            (),
            True,
        ),
        Metric(
            "ringrift_health_level",
            "gauge",
            "0 CRITICAL, 1 DEGRADED, 2 WARNING, 3 HEALTHY.",
            (),
            True,
        ),
        Metric(
            "ringrift_resilience_score",
            "gauge",
            "What the cluster can lose, 0 to 1; warns below 0.7.",
            (),
            True,
        ),
        Metric("ringrift_resilience_level", "gauge", "0 CRITICAL, 1 WARNING, 2 HEALTHY.", (), True),
        Metric("ringrift_nodes", "gauge", "Nodes by standing.", ("standing",), True),
        Metric(
            "ringrift_nodes_reconnected_total",
            "counter",
            "Times a node came back that had been suspected or lost.",
            (),
            True,
        ),
        Metric("ringrift_breakers_open", "gauge", "Targets that are left alone.", (), True),
        Metric(
            "ringrift_dead_letters_unresolved",
            "gauge",
            "Dead letters nobody has resolved.",
            (),
            True,
        ),
        Metric("ringrift_work_pending", "gauge", "Tickets nobody has taken.", ("kind",), True),
        Metric(
            "ringrift_work_ack_pending",
            "gauge",
            "Tickets in the hands of workers.",
            ("kind",),
            True,
        ),
        Metric(
            "ringrift_work_redelivered",
            "gauge",
            "Tickets in hand that have been delivered before.",
            ("kind",),
            True,
        ),
        Metric(
            "ringrift_work_last_ack_age_seconds",
            "gauge",
            "Since a ticket was last acknowledged.",
            ("kind",),
            True,
        ),
        Metric("ringrift_paused", "gauge", "1 for every pause in force.", ("scope", "kind"), True),
        Metric(
            "ringrift_generation",
            "gauge",
            "Generation of the network promoted last.",
            ("config",),
            True,
        ),
        Metric(
            "ringrift_elo_above_heuristic",
            "gauge",
            "Elo of the current network above the heuristic's.",
            ("config",),
            True,
        ),
        Metric(
            "ringrift_elo_velocity",
            "gauge",
            "Elo an hour of the promoted networks.",
            ("config",),
            True,
        ),
        Metric(
            "ringrift_data_quality",
            "gauge",
            "Quality of the newest games, 0 to 1.",
            ("config",),
            True,
        ),
    )
}
Labels = tuple[str, ...]


class Metrics:
    """The values of one process; `common` are labels on all of them."""

    def __init__(self, **common: str) -> None:
        self._common = tuple(common.items())
        self._values: dict[str, dict[Labels, float]] = {}
        self._buckets: dict[tuple[str, Labels], list[int]] = {}

    def set(self, name: str, value: float, *labels: str) -> None:
        """Gauge or counter `name` is `value` now."""
        self._of(name, labels)[labels] = float(value)

    def add(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Count."""
        values = self._of(name, labels)
        values[labels] = values.get(labels, 0.0) + by

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """One more observation of a histogram."""
        self.add(name, *labels, by=seconds)
        counts = self._buckets.setdefault((name, labels), [0] * (len(SECONDS_BUCKETS) + 1))
        counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1

    def clear(self, *names: str) -> None:
        """Forget what the labels of these metrics were: they are set anew."""
        for name in names:
            self._values.pop(name, None)

    def text(self) -> str:
        """All values in the order of `METRICS`."""
        return "".join(
            f"{line}\n"
            for metric in METRICS.values()
            if metric.name in self._values
            for line in self._lines(metric)
        )

    def _lines(self, metric: Metric) -> Iterator[str]:
        yield f"# HELP {metric.name} {metric.help}"
        yield f"# TYPE {metric.name} {metric.type}"
        for labels, value in sorted(self._values[metric.name].items()):
            pairs = [*self._common, *zip(metric.labels, labels, strict=True)]
            if metric.type != "histogram":
                yield f"{metric.name}{_braces(pairs)} {value:.10g}"
                continue
            count = 0
            for border, here in zip(
                (*map(str, SECONDS_BUCKETS), "+Inf"),
                self._buckets[metric.name, labels],
                strict=True,
            ):
                count += here
                yield f"{metric.name}_bucket{_braces([*pairs, ('le', border)])} {count}"
            yield f"{metric.name}_sum{_braces(pairs)} {value:.10g}"
            yield f"{metric.name}_count{_braces(pairs)} {count}"

    def _of(self, name: str, labels: Labels) -> dict[Labels, float]:
        assert len(labels) == len(METRICS[name].labels), (
            f"{name} has the labels {METRICS[name].labels}"
        )
        return self._values.setdefault(name, {})


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
