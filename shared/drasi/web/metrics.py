"""``/metrics``: read from the status of what runs, at the moment it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drasi.bus.metering import Meter as PubSubMeter
from drasi.web.stores import Stores

if TYPE_CHECKING:
    from drasi.firestore.metering import Meter as FirestoreMeter


class StatusCollector(Collector):
    """Hands on what ``read`` returns."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._read()


def registry_of(*reads: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """A registry of the process and of these."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for read in reads:
        registry.register(StatusCollector(read))
    return registry


def query_metrics(containers: Iterable[Stores]) -> Iterable[Metric]:
    """Containers, and their queries."""
    sequence = GaugeMetricFamily("drasi_query_sequence", "Sequence of the query's last result event", labels=["query"])
    rows = GaugeMetricFamily("drasi_query_rows", "Rows of the query's answer", labels=["query"])
    held = GaugeMetricFamily("drasi_query_row_errors", "Rows held out because they err", labels=["query"])
    entry = GaugeMetricFamily("drasi_container_log_entry", "Last entry of the container's log", labels=["container", "store"])
    elements = GaugeMetricFamily("drasi_container_elements", "Nodes and relations kept", labels=["container", "store"])
    for container in containers:
        for store, machine in container.machines.items():
            status = machine.status()
            entry.add_metric([container.name, store], _number(status.get("entry")))
            elements.add_metric([container.name, store], _number(status.get("elements")))
            for query in machine.queries():
                of_query = machine.query_status(query)
                sequence.add_metric([query], _number(of_query.get("sequence")))
                rows.add_metric([query], _number(of_query.get("rows")))
                held.add_metric([query], _number((of_query.get("rowErrors") or {}).get("count")))
    return sequence, rows, held, entry, elements


def source_metrics(sources: Mapping[str, Mapping[str, Any]]) -> Iterable[Metric]:
    """Sources, by the status of each."""
    available = GaugeMetricFamily("drasi_source_available", "1: the origin can be read", labels=["source"])
    published = CounterMetricFamily("drasi_source_published", "Changes published", labels=["source"])
    lag = GaugeMetricFamily("drasi_source_lag_seconds", "Age of the last change when it was published", labels=["source"])
    letters = GaugeMetricFamily("drasi_source_dead_letters", "Changes that can never succeed", labels=["source"])
    for source, status in sources.items():
        available.add_metric([source], float(bool(status.get("available"))))
        published.add_metric([source], _number(status.get("publishedTotal")))
        lag.add_metric([source], _number(status.get("lagMs")) / 1000)
        letters.add_metric([source], _number(status.get("deadLetters")))
    return available, published, lag, letters


def reaction_metrics(reactions: Mapping[str, Mapping[str, Any]]) -> Iterable[Metric]:
    """Reactions, by the status of each."""
    available = GaugeMetricFamily("drasi_reaction_available", "1: the reaction works", labels=["reaction"])
    sequence = GaugeMetricFamily("drasi_reaction_sequence", "Last sequence delivered", labels=["reaction", "query"])
    behind = GaugeMetricFamily("drasi_reaction_behind", "Events not delivered yet", labels=["reaction", "query"])
    letters = GaugeMetricFamily("drasi_reaction_dead_letters", "Rows given up", labels=["reaction"])
    for reaction, status in reactions.items():
        available.add_metric([reaction], float(bool(status.get("available"))))
        letters.add_metric([reaction], _number(status.get("deadLetters")))
        for query, progress in status.get("queries", {}).items():
            sequence.add_metric([reaction, query], _number(progress.get("sequence")))
            behind.add_metric([reaction, query], _number(progress.get("behind")))
    return available, sequence, behind, letters


def firestore_metrics(meter: FirestoreMeter) -> Iterable[Metric]:
    """What a process has asked of Firestore, as it is billed."""
    calls = CounterMetricFamily("drasi_firestore_calls", "Calls of Firestore's API", labels=["method"])
    for method, count in meter.calls.items():
        calls.add_metric([method], count)
    return (
        calls,
        CounterMetricFamily("drasi_firestore_reads", "Documents read, as Firestore bills them", value=meter.reads),
        CounterMetricFamily("drasi_firestore_writes", "Documents written", value=meter.writes),
        CounterMetricFamily("drasi_firestore_deletes", "Documents deleted", value=meter.deletes),
    )


def pubsub_metrics(meter: PubSubMeter) -> Iterable[Metric]:
    """What a process has published on Pub/Sub, and what was pushed to it."""
    billed = CounterMetricFamily(
        "drasi_pubsub_billed_bytes", "Bytes as Pub/Sub bills them: 1,000 for each request at least", labels=["direction"]
    )
    billed.add_metric(["publish"], meter.published_billed)
    billed.add_metric(["push"], meter.pushed_billed)
    return (
        CounterMetricFamily("drasi_pubsub_publish_requests", "Publish requests", value=meter.requests),
        CounterMetricFamily("drasi_pubsub_messages_published", "Messages published", value=meter.published),
        CounterMetricFamily("drasi_pubsub_published_bytes", "Size of the messages published", value=meter.published_bytes),
        CounterMetricFamily("drasi_pubsub_pushes", "Messages pushed to this process", value=meter.pushes),
        CounterMetricFamily("drasi_pubsub_pushed_bytes", "Size of the messages pushed to this process", value=meter.pushed_bytes),
        billed,
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
