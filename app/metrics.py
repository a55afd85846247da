"""What Prometheus reads: this process's requests, and the house's jobs and steps."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from db.session import reading
from services.books import read_counts
from services.heartbeats import count_jobs, count_steps, oldest_ready, read_beats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class House:
    """Counts rows at each scrape: gauges that are right however many API processes run."""

    def collect(self) -> Iterator[Metric]:
        with reading() as session:
            jobs, steps = count_jobs(session), count_steps(session)
            oldest, beats = oldest_ready(session), read_beats(session)
        family = GaugeMetricFamily("callsheet_jobs", "Jobs by kind and state", labels=["kind", "state"])
        for labels, count in jobs.items():
            family.add_metric(list(labels), count)
        yield family
        family = GaugeMetricFamily("callsheet_steps", "Steps by kind and state", labels=["kind", "state"])
        for labels, count in steps.items():
            family.add_metric(list(labels), count)
        yield family
        family = GaugeMetricFamily(
            "callsheet_oldest_ready_step_seconds", "Age of the oldest due step", labels=["kind"]
        )
        for kind, age in oldest.items():
            family.add_metric([kind], age)
        yield family
        family = GaugeMetricFamily("callsheet_heartbeat_age_seconds", "Since it was heard", labels=["name"])
        for beat in beats:
            family.add_metric([beat.name], beat.age)
        yield family
        family = GaugeMetricFamily(
            "callsheet_books_findings", "What is wrong with the books", labels=["check"]
        )
        for check, count in read_counts(beats).items():
            family.add_metric([check], count)
        yield family

    def describe(self) -> list[Metric]:
        return []  # without this the registry would collect, and so ask the database, at start


def render(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
