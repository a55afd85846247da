"""What Prometheus reads: this process's requests, and the house's jobs and steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app import wakeups
from app.house_health import read_facts
from core.embedded import redis_url
from core.limits import Limiter
from core.settings import get_settings
from db.session import reading
from services.books import read_counts
from services.heartbeats import (
    count_expired_leases,
    count_jobs,
    count_open_submissions,
    count_steps,
    count_waiting,
    measure_load,
    oldest_ready,
    read_beats,
)
from tasks.pipeline import queue_of

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

        yield from self._work()

    def _work(self) -> Iterator[Metric]:
        """What waits and what is worked on: an autoscaler's and a night watch's figures."""
        with reading() as session:
            load, expired = measure_load(session), count_expired_leases(session)
            waiting, submissions = count_waiting(session), count_open_submissions(session)
        counts: dict[tuple[str, ...], float] = {}
        oldest: dict[tuple[str, ...], float] = {}
        for part in load:
            key = (queue_of(part.kind), part.state)
            counts[key] = counts.get(key, 0) + part.count
            oldest[key] = max(oldest.get(key, 0.0), part.oldest)
        labels = ["queue", "state"]
        yield _gauge("callsheet_queue_steps", "Steps ready for a worker, or running", labels, counts.items())
        yield _gauge("callsheet_queue_oldest_seconds", "Since the oldest of them is", labels, oldest.items())
        waits = [((what,), count) for what, count in waiting.items()]
        yield _gauge("callsheet_waiting_jobs", "Waiting jobs by what they wait for", ["waits_for"], waits)
        yield _gauge(
            "callsheet_open_submissions", "Purchases on their way", ["provider", "state"], submissions.items()
        )
        yield _gauge("callsheet_expired_leases", "Running steps of silent workers", [], [((), expired)])
        yield from self._vendors()
        yield from self._sources()

    def _vendors(self) -> Iterator[Metric]:
        """Circuits of enabled vendors; closed ones are there, so that a zero is seen."""
        known = read_facts().get("providers", {})
        limiter = Limiter(redis_url(get_settings()))
        circuits = {slug: limiter.circuit(slug) for slug, facts in known.items() if facts.get("enabled")}
        opened = [((slug,), float(circuit.state != "closed")) for slug, circuit in circuits.items()]
        failed = [((slug,), float(circuit.failures)) for slug, circuit in circuits.items()]
        yield _gauge("callsheet_circuit_open", "Vendors left alone for want of answers", ["provider"], opened)
        yield _gauge(
            "callsheet_unanswered_calls", "Calls in a row that nobody answered", ["provider"], failed
        )

    def _sources(self) -> Iterator[Metric]:
        """What enabled sources were asked, by everybody, and what was known without asking."""
        known = wakeups.describe_sources()
        heard = read_facts().get("sources", {})
        enabled = {slug: known[slug] for slug, said in heard.items() if said.get("enabled") and slug in known}
        opened = [((slug,), float(facts["circuit"]["state"] != "closed")) for slug, facts in enabled.items()]
        used = [((slug,), float(facts["used_today"])) for slug, facts in enabled.items()]
        yield _gauge(
            "callsheet_source_circuit_open", "Sources left alone for want of answers", ["source"], opened
        )
        yield _gauge("callsheet_source_calls_today", "Calls to a source since midnight UTC", ["source"], used)
        family = CounterMetricFamily(
            "callsheet_source_answers",
            "Questions to a source that kept answers served (hit) or not (miss)",
            labels=["source", "cache"],
        )
        for slug, facts in enabled.items():
            family.add_metric([slug, "hit"], facts["recalled"]["hits"])
            family.add_metric([slug, "miss"], facts["recalled"]["misses"])
        yield family

    def describe(self) -> list[Metric]:
        return []  # without this the registry would collect, and so ask the database, at start


def _gauge(
    name: str, meaning: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values:
        family.add_metric(list(key), value)
    return family


def render(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
