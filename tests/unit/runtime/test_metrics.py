"""Metrics in Prometheus's text format."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ringrift.runtime.metrics import METRICS, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(consumer="selfplay", node="n")


def test_a_counter_counts(metrics: Metrics) -> None:
    metrics.add("ringrift_tickets_total", "selfplay", "done")
    metrics.add("ringrift_tickets_total", "selfplay", "done")
    assert metrics.value("ringrift_tickets_total", "selfplay", "done") == 2


def test_a_counter_that_is_counted_elsewhere_is_set(metrics: Metrics) -> None:
    for value in (3, 5):
        metrics.set("ringrift_consumer_errors_total", value)
    assert metrics.value("ringrift_consumer_errors_total") == 5


def test_a_histogram_has_cumulative_buckets(metrics: Metrics) -> None:
    for seconds in (0.01, 0.5, 1000.0):
        metrics.observe("ringrift_ticket_seconds", seconds, "training")
    text = metrics.text().decode()
    labels = 'consumer="selfplay",kind="training"'
    assert f'ringrift_ticket_seconds_bucket{{{labels},le="0.5",node="n"}} 2.0\n' in text
    assert f'ringrift_ticket_seconds_bucket{{{labels},le="+Inf",node="n"}} 3.0\n' in text
    assert f'ringrift_ticket_seconds_count{{{labels},node="n"}} 3.0\n' in text


def test_labels_are_escaped() -> None:
    name = 'odd "name"\\\n'
    metrics = Metrics(consumer=name, node="n")
    metrics.set("ringrift_consumer_alive", True)
    (family,) = [
        family
        for family in text_string_to_metric_families(metrics.text().decode())
        if family.name == "ringrift_consumer_alive"
    ]
    assert family.samples[0].labels == {"consumer": name, "node": "n"}


def test_figures_of_the_operating_system_process_are_included(metrics: Metrics) -> None:
    assert b"\nprocess_resident_memory_bytes " in metrics.text()


def test_a_cleared_metric_has_no_values(metrics: Metrics) -> None:
    metrics.set("ringrift_paused", 1, "all", "selfplay")
    metrics.clear("ringrift_paused", "ringrift_nodes")
    assert metrics.value("ringrift_paused", "all", "selfplay") is None


def test_only_listed_metrics_with_their_labels_can_be_measured(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.set("ringrift_unknown", 1)
    with pytest.raises(ValueError, match="label"):
        metrics.set("ringrift_work_pending", 1)


def test_every_metric_has_the_prefix_and_a_help_text() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("ringrift_")
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.type == "counter")
