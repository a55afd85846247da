"""The API against a bare Flask application, and its lists against their own length.

`submit_vs_bare` and `get_vs_bare` are requests per second of `POST /jobs` (a film's brief) and of
`GET /jobs/{id}` over those of bench/api_bare.py: same gunicorn settings, same database, alternating rounds,
no worker that would take part of the machine. Ours reads a key, checks the brief, writes film, script, job,
event and activity, and wakes the pipeline; the bare one writes a row.

`list_1m_vs_1k` is the median time of the first page of `GET /jobs` with a million jobs over that with a
thousand, `deep_1m_vs_1k` the same nine tenths of the way down; each size has a database and an API of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.api_rows import job_at, write_jobs
from bench.load import Load, drive, request_of
from bench.measuring import Measured, median
from bench.servers import copy_database, door, servers

CONNECTIONS = 16
WARM_UP = 600
COUNT = 2000
LIST_COUNT = 60
SIZES = {"1k": 1_000, "100k": 100_000, "1m": 1_000_000}
DEPTH = 0.9
OURS = "app:create_app()"
BARE = "bench.api_bare:create_app()"
FILM = {"kind": "film", "params": {"text": "How rainbows form, in three sentences.", "sources": []}}
SCRAPE = {"kind": "scrape", "params": {"words": ["rainbow"], "sources": []}}
PATHS = {
    "list": "/api/v1/jobs",
    "deep": "/api/v1/jobs",
    "state": "/api/v1/jobs?state=failed",
    "kind": "/api/v1/jobs?kind=text_removal",
}


@dataclass
class Rounds:
    """The same load, several times."""

    loads: list[Load] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return median([load.per_second for load in self.loads])

    def milliseconds(self, share: float) -> float:
        return median([load.quantile(share) for load in self.loads])

    def figures(self, name: str) -> dict[str, Any]:
        return {
            f"{name}_per_second": round(self.per_second, 1),
            f"{name}_p50_ms": round(self.milliseconds(0.5), 2),
            f"{name}_p99_ms": round(self.milliseconds(0.99), 2),
        }


def measure(folder: Path, rounds: int) -> Measured:
    with servers(folder) as found:
        workspace, key = _make_caller()
        lists = {name: copy_database(found.database_url, f"jobs_{name}") for name in SIZES}
        loads = _against_bare(folder, found.database_url, workspace, key, rounds)
        pages = _pages(folder, lists, workspace, key, rounds)
    ratios = ratios_of(loads, pages)
    figures: dict[str, Any] = {}
    for name, made in loads.items():
        figures |= made.figures(name)
    for (size, page), made in pages.items():
        figures[f"{page}_{size}_p50_ms"] = round(made.milliseconds(0.5), 2)
    figures |= {"connections": CONNECTIONS, "count": COUNT, "depth": DEPTH}
    for name, made in loads.items():
        figures[f"all_{name}"] = [round(load.per_second, 1) for load in made.loads]
    goals = {"submit_vs_bare": ">= 0.6", "get_vs_bare": ">= 0.6"}
    goals |= {"list_1m_vs_1k": "<= 1.5", "deep_1m_vs_1k": "<= 1.5"}
    return Measured(ratios=ratios, figures=figures, goals=goals)


def ratios_of(loads: dict[str, Rounds], pages: dict[tuple[str, str], Rounds]) -> dict[str, float]:
    """Requests per second of ours over the bare one's; times of the longest list over the shortest's."""
    bare = {"submit": "bare_submit", "get": "bare_get", "submit_scrape": "bare_submit"}
    ratios = {
        f"{ours}_vs_bare": round(loads[ours].per_second / loads[theirs].per_second, 4)
        for ours, theirs in bare.items()
    }
    for page in PATHS:
        for size in list(SIZES)[1:]:
            longer, shortest = pages[size, page], pages["1k", page]
            ratios[f"{page}_{size}_vs_1k"] = round(longer.milliseconds(0.5) / shortest.milliseconds(0.5), 4)
    return ratios


def _make_caller() -> tuple[UUID, str]:
    from db.session import reset, transaction
    from services.accounts import create_key, create_workspace

    with transaction() as session:
        workspace, user = create_workspace(session, "Bench", "bench@example.test", "Bench")
        _, key = create_key(session, workspace.id, user.id, name="bench", scopes=["read", "write"])
    reset()
    return workspace.id, key


def _against_bare(folder: Path, database: str, workspace: UUID, key: str, rounds: int) -> dict[str, Rounds]:
    loads = {name: Rounds() for name in ("bare_submit", "submit", "submit_scrape", "bare_get", "get")}
    with door(folder, BARE, database) as bare, door(folder, OURS, database) as ours:
        inserts = request_of("POST", f"/workspaces/{workspace}/jobs", body=FILM)
        films = request_of("POST", "/api/v1/jobs", key, FILM)
        scrapes = request_of("POST", "/api/v1/jobs", key, SCRAPE)
        for number in range(rounds + 1):
            count = COUNT if number else WARM_UP
            posted = {
                "bare_submit": drive(bare.port, [inserts] * count, connections=CONNECTIONS, expect=201),
                "submit": drive(ours.port, [films] * count, connections=CONNECTIONS, expect=202),
                "submit_scrape": drive(ours.port, [scrapes] * count, connections=CONNECTIONS, expect=202),
            }
            ids = _ids(posted["submit"].bodies)
            selects = [request_of("GET", f"/jobs/{job}") for job in ids]
            gets = [request_of("GET", f"/api/v1/jobs/{job}", key) for job in ids]
            posted["bare_get"] = drive(bare.port, selects, connections=CONNECTIONS, expect=200)
            posted["get"] = drive(ours.port, gets, connections=CONNECTIONS, expect=200)
            if number:
                for name, load in posted.items():
                    loads[name].loads.append(load)
    return loads


def _pages(
    folder: Path, databases: dict[str, str], workspace: UUID, key: str, rounds: int
) -> dict[tuple[str, str], Rounds]:
    pages = {(size, page): Rounds() for size in SIZES for page in PATHS}
    with ExitStack() as stack:
        doors, requests = {}, {}
        for size, count in SIZES.items():
            write_jobs(databases[size], workspace, count)
            deep = _cursor(job_at(databases[size], workspace, DEPTH, count))
            doors[size] = stack.enter_context(door(folder, OURS, databases[size]))
            requests[size] = {page: request_of("GET", path, key) for page, path in PATHS.items()}
            requests[size]["deep"] = request_of("GET", f"{PATHS['deep']}?cursor={deep}", key)
        for number in range(rounds + 1):
            for page in PATHS:
                for size in SIZES:
                    asked = [requests[size][page]] * LIST_COUNT
                    load = drive(doors[size].port, asked, connections=1, expect=200)
                    _check_full(load.bodies, page, size)
                    if number:
                        pages[size, page].loads.append(load)
    return pages


def _cursor(after: UUID) -> str:
    """The cursor that the API would give after this job; it is signed with the installation's key."""
    from app import create_app
    from app.paging import page_reply
    from app.schemas.jobs import JobItemOut
    from core.settings import get_settings
    from services.paging import Page

    application = create_app(get_settings())
    with application.test_request_context(PATHS["deep"]):
        args = {"limit": 50, "cursor": None, "sort": "-created"}
        reply = page_reply(JobItemOut, Page([], after), args, [])
    return str(reply.get_json()["next_cursor"])


def _check_full(bodies: Sequence[bytes], page: str, size: str) -> None:
    """Times compare only where the pages are equally long."""
    if any(len(json.loads(body)["items"]) != 50 for body in bodies[:1]):
        raise RuntimeError(f"The page {page!r} of {size} jobs is not full.")


def _ids(bodies: Sequence[bytes]) -> list[str]:
    return [json.loads(body)["id"] for body in bodies]
