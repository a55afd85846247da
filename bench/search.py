"""Ten sources asked for one shot: how long the search takes against the slowest of them alone.

The sources are made up and asked through what all are asked through: their doors, real Redis, one HTTP
client; one server answers each question after 200 ms. A shot's `find_stock` searches for stills and for
clips, so each source is asked twice, one question after the other.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import select

from bench.measuring import Measured, median, stopwatch
from bench.servers import servers
from core.briefs import load_params
from core.licences import parse_licence
from core.registry import SOURCES
from core.settings import get_settings
from db.assets import Film, Script
from db.session import reading, transaction
from db.work import Attempt, JobState, Step
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.kinds import Kind
from services import jobs, steps
from services.accounts import create_workspace
from services.films import add_script_version, write_shots
from services.steps import StepPlan

COUNT = 10
LATENCY = 0.2
FOUND = 12
"""Finds of each kind that each source answers with."""
GOAL = 1.3
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"


class Site(Source):
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip")
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=6000, per_day=100_000, cache_seconds=0)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        data = self.http.get_json(
            f"{self.base}/search", params={"q": " ".join(query.words), "kind": query.kind}
        )
        yield data["items"]

    def parse(self, item: Any) -> Candidate | None:
        return Candidate(
            source=self.slug,
            foreign_id=f"{item['kind']}/{item['id']}", kind=item["kind"], title=item["title"],
            landing_url=f"{self.base}/{item['id']}", media_url=f"{self.base}/{item['id']}.jpg", creator="Ann",
            creator_url=None, licence=parse_licence(item["licence"]), raw_licence=item["licence"],
            width=1920, height=1080,
        )  # fmt: skip


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(LATENCY)
        kind = "clip" if "kind=clip" in self.path else "image"
        items = [{"id": n, "kind": kind, "title": f"Moon {n}", "licence": CC0} for n in range(FOUND)]
        body = json.dumps({"items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def measure(folder: Path, rounds: int) -> Measured:
    ratios, walls, slowest, whole = [], [], [], []
    with servers(folder), _site() as address:
        slugs = _make_up(address)
        from tasks.search import search_sources

        queries = [Query(words=("moon",), kind=kind, limit=FOUND) for kind in Site.kinds]
        _find(slugs)  # connections, plans
        for _ in range(rounds):
            alone: list[float] = []
            for slug in slugs:
                with stopwatch(alone):
                    assert len(search_sources([slug], queries).found[slug]) == len(queries)
            seconds: list[float] = []
            with stopwatch(seconds):
                wall, found = _find(slugs)
            assert found == set(slugs), f"only {found} are among the candidates"
            ratios.append(wall / max(alone))
            walls.append(wall)
            slowest.append(max(alone))
            whole += seconds
        for slug in slugs:
            os.environ.pop(f"{slug.upper()}_URL")
    return Measured(
        ratios={"wall_vs_slowest": median(ratios)},
        figures={
            "search_s": median(walls),
            "slowest_source_s": median(slowest),
            "one_after_the_other_s": round(COUNT * median(slowest), 4),
            "step_s": median(whole),
            "sources": COUNT,
            "latency_ms": 1000 * LATENCY,
            "questions_each": len(Site.kinds),
        },
        goals={"wall_vs_slowest": f"<= {GOAL}"},
    )


@contextmanager
def _site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _make_up(address: str) -> list[str]:
    """Put the sources into the registry, each at an address of its own on the one server."""
    from tasks import wiring

    slugs = [f"bench_{n}" for n in range(COUNT)]
    for slug in slugs:
        SOURCES._load()[slug] = type(slug, (Site,), {"slug": slug})  # noqa: SLF001 (only for this process)
        os.environ[f"{slug.upper()}_URL"] = f"{address}/{slug}"
    get_settings.cache_clear()
    wiring.http_client.cache_clear()
    return slugs


def _find(slugs: list[str]) -> tuple[float, set[str]]:
    """Do one shot's `find_stock`; returns the seconds that its search took, and whose finds it kept."""
    from tasks.app import app

    app.loader.import_default_modules()
    step_id = _order(slugs)
    app.tasks["find_stock"](str(step_id))
    with reading() as session:
        step = session.get_one(Step, step_id)
        figures = session.scalars(select(Attempt.figures).where(Attempt.step_id == step_id)).one()
        return figures["search_seconds"], {item["facts"]["source"] for item in step.result["found"]}


def _order(slugs: list[str]) -> UUID:
    """A film of one shot, and its step."""
    with transaction() as session:
        name = f"Bench {time.time_ns()}"
        workspace, user = create_workspace(session, name, f"{time.time_ns()}@example.test", name)
        params = load_params("film", {"script": "The moon.", "sources": slugs, "reuse": False})
        job = jobs.submit_job(session, workspace_id=workspace.id, user_id=user.id, kind="film", params=params)
        session.flush()
        film = session.get_one(Film, job.film_id)
        shots = [
            {"name": "Moon", "scene": 1, "narration": "The moon.", "frames": 72, "search_words": ["moon"]}
        ]
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text="x", fmt="plain", scenes=[], author="client", origin="brief"
        )
        (shot,) = write_shots(session, film, version, shots)
        job.state, job.phase = JobState.RUNNING, "source"
        steps.plan_steps(session, job, "source", [StepPlan("find_stock", shot.id)])
        session.flush()
        return session.scalars(select(Step.id).where(Step.job_id == job.id, Step.kind == "find_stock")).one()
