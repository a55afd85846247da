"""Polling by the thousand: what a tick costs, how much is asked in a second, how late answers are found.

The vendor is the simulated Kling, a process of its own, asked a hundred takes with a call. A tick is one run
of `poll_submissions` in this process; what it costs the database is the time from sending each statement to
having its answer. Databases with more and with less open take turns in every round, and in each the same
number is due. For the restart a poller is killed in the middle of its work.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg2  # type: ignore[import-untyped]
import requests
from sqlalchemy import event, func, text
from sqlalchemy.engine import make_url

from bench.measuring import Measured, median
from bench.servers import servers
from core.settings import ROOT, get_settings
from db.session import engine, reading, reset, transaction
from db.work import Job, JobKind, JobState
from simulator.books import FIRST_ID, Books

OPEN = (100, 1_000, 10_000, 50_000)
DUE = 100
TICKS = 5
ASKED = 10_000
FINISHING, WINDOW, TICK_SECONDS = 300, 15.0, 2.0
"""While lateness is measured, at most so many takes are made in so many seconds, and beat ticks so often."""
AGES = {100: 60.0, 1_000: 60.0, 10_000: 200.0, 50_000: 600.0}
"""Open takes and how old they are then, in seconds."""

_SUBMISSIONS = """
INSERT INTO submissions (id, workspace_id, job_id, purpose, provider, model, endpoint, request, input_hash,
    client_token, state, vendor_id, sends, polls, quote, currency, submitted_at, deadline_at, next_poll_at,
    routing)
SELECT lpad(to_hex(n), 32, '0')::uuid, :workspace, :job, 'shot', 'kling', 'kling-3.0', :endpoint, '{}',
    repeat('0', 64), md5(n::text), 'submitted', (:first + n)::text, 1, 0, 0, 'USD',
    now() - interval '1 minute', now() + interval '1 day', now() + interval '1 hour', '{}'
FROM generate_series(1, :count) n
"""


def measure(folder: Path, rounds: int) -> Measured:
    with servers(folder) as found, _vendor(folder / "vendor", max(OPEN)) as vendor:
        url = f"{vendor}/kling"
        os.environ |= {"KLING_API_KEY": "sk-simulated", "KLING_URL": url}
        databases = {count: _database(found.database_url, count, url) for count in OPEN}
        costs: dict[int, list[float]] = {count: [] for count in OPEN}
        walls: dict[int, list[float]] = {count: [] for count in OPEN}
        mends: dict[int, list[float]] = {count: [] for count in OPEN}
        for _ in range(rounds):
            for count, address in databases.items():
                _use(address)
                _tick()  # connections, plans
                for _ in range(TICKS):
                    _make_due(DUE)
                    cost, wall = _timed("poll_submissions")
                    costs[count].append(cost)
                    walls[count].append(wall)
                    mends[count].append(_timed("mend_submissions")[0])
        speed = [_polls_per_second() for _ in range(rounds)]
        late = {
            count: _lateness(folder, databases[count], age, min(count, FINISHING))
            for count, age in AGES.items()
        }
        lost, seconds = _restart(folder, databases[max(OPEN)])
        for name in ("KLING_API_KEY", "KLING_URL"):
            os.environ.pop(name)
    pairs = zip(costs[max(OPEN)], costs[min(OPEN)], strict=True)
    return Measured(
        ratios={
            "open_50k_vs_100": round(median([many / few for many, few in pairs]), 4),
            "polls_per_second_to_goal": round(median(speed) / 1000, 4),
            "lost_after_kill": lost,
        },
        figures={
            **{f"tick_database_ms_{count}": round(1000 * median(costs[count]), 2) for count in OPEN},
            **{f"tick_ms_{count}": round(1000 * median(walls[count]), 2) for count in OPEN},
            **{f"mend_database_ms_{count}": round(1000 * median(mends[count]), 2) for count in OPEN},
            "polls_per_second": median(speed),
            **{f"lateness_p50_s_{count}": p50 for count, (p50, _) in late.items()},
            **{f"lateness_p99_s_{count}": p99 for count, (_, p99) in late.items()},
            "seconds_after_kill": seconds,
            "due": DUE,
            "all_polls_per_second": [round(value, 1) for value in speed],
        },
        goals={
            "open_50k_vs_100": "<= 1.3", "polls_per_second_to_goal": ">= 1", "lost_after_kill": "<= 0",
        },
    )  # fmt: skip


# -- the vendor and the rows ------------------------------------------------------------------------


@contextmanager
def _vendor(folder: Path, count: int) -> Iterator[str]:
    """The simulator with so many tasks that it works on and does not end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    Books(folder / "books.sqlite")
    facts = json.dumps({"host": f"{address}/"})
    row = "'kling', ?, NULL, 'kling-3.0', 'A fox', 1280, 720, 5, 420000, ?, NULL, 0, '[]', ?"
    with closing(sqlite3.connect(folder / "books.sqlite")) as books, books:
        books.executemany(
            "INSERT INTO tasks (vendor, vendor_id, external_id, model, prompt, width, height, seconds, "
            f"price, created, done, fails, faults, facts) VALUES ({row})",
            [(str(FIRST_ID + n), time.time(), facts) for n in range(1, count + 1)],
        )
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--state", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                requests.get(address, timeout=1)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait(10)


def _database(address: str, count: int, endpoint: str) -> str:
    """A database with so many open submissions, none of them due; their job has ended."""
    name = f"open_{count}"
    url = make_url(address)
    with closing(
        psycopg2.connect(host=url.query["host"], user=url.username, password=url.password, dbname="postgres")
    ) as admin:
        admin.autocommit = True
        reset()
        admin.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {url.database}")
    made = url.set(database=name).render_as_string(hide_password=False)
    _use(made)
    from services.accounts import create_workspace

    with transaction() as session:
        workspace, _ = create_workspace(session, "Bench", "bench@example.test", "Bench")
        job = Job(
            workspace_id=workspace.id,
            kind=JobKind.FILM,
            params={},
            state=JobState.CANCELLED,
            finished_at=func.now(),
        )
        session.add(job)
        session.flush()
        values = {
            "workspace": workspace.id,
            "job": job.id,
            "endpoint": endpoint,
            "first": FIRST_ID,
            "count": count,
        }
        session.execute(text(_SUBMISSIONS), values)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE submissions"))
    return made


def _use(address: str) -> None:
    os.environ["DATABASE_URL"] = address
    get_settings.cache_clear()
    reset()


def _make_due(count: int) -> None:
    with transaction() as session:
        session.execute(
            text(
                "UPDATE submissions SET next_poll_at = now() + CASE WHEN vendor_id::bigint <= :last "
                "THEN interval '0' ELSE interval '1 hour' END "
                "WHERE next_poll_at < now() + interval '50 minutes' OR vendor_id::bigint <= :last"
            ),
            {"last": FIRST_ID + count},
        )


# -- what is measured ---------------------------------------------------------------------------------


def _tick(duty: str = "poll_submissions") -> None:
    from tasks.app import app

    app.loader.import_default_modules()
    app.tasks[duty]()


def _timed(duty: str) -> tuple[float, float]:
    """Seconds that a duty waited for the database, and its wall seconds."""
    spent = 0.0

    def before(*given: Any) -> None:
        given[4].began = time.perf_counter()

    def after(*given: Any) -> None:
        nonlocal spent
        spent += time.perf_counter() - given[4].began

    made = engine()
    event.listen(made, "before_cursor_execute", before)
    event.listen(made, "after_cursor_execute", after)
    began = time.perf_counter()
    try:
        _tick(duty)
        return spent, time.perf_counter() - began
    finally:
        event.remove(made, "before_cursor_execute", before)
        event.remove(made, "after_cursor_execute", after)


def _polls_per_second() -> float:
    _make_due(ASKED)
    polls = _sum_of_polls()
    began = time.perf_counter()
    while _count("next_poll_at <= now()"):
        _tick()
    return (_sum_of_polls() - polls) / (time.perf_counter() - began)


def _lateness(folder: Path, address: str, age: float, finishing: int) -> tuple[float, float]:
    """Seconds from the vendor's having made a take to its being written down: median, 99th of a hundred."""
    _use(address)
    starts = time.time() + 3
    ends = {str(FIRST_ID + n): starts + WINDOW * n / finishing for n in range(1, finishing + 1)}
    _book(folder, ends)
    with transaction() as session:  # asked about after a tenth of their age, at all times alike
        session.execute(
            text(
                "UPDATE submissions SET submitted_at = now() - :age * interval '1 second', "
                "next_poll_at = now() + random() * :age * interval '0.1 seconds'"
            ),
            {"age": age},
        )
    found: dict[str, float] = {}
    while len(found) < finishing and time.time() < starts + WINDOW + 90:
        began = time.time()
        _tick()
        with reading() as session:
            answered = session.scalars(text("SELECT vendor_id FROM submissions WHERE state = 'answered'"))
            for vendor_id in answered:
                found.setdefault(vendor_id, time.time())
        time.sleep(max(0.0, TICK_SECONDS - (time.time() - began)))
    late = [found.get(vendor_id, time.time()) - ends[vendor_id] for vendor_id in ends]
    _book(folder, dict.fromkeys(ends))
    cuts = quantiles(late, n=100)
    return round(cuts[49], 2), round(cuts[98], 2)


def _book(folder: Path, ends: dict[str, float] | dict[str, None]) -> None:
    """Have the vendor's tasks end then, or not at all."""
    with closing(sqlite3.connect(folder / "vendor" / "books.sqlite", timeout=30)) as books, books:
        books.executemany(
            "UPDATE tasks SET done = ? WHERE vendor_id = ?", [(end, name) for name, end in ends.items()]
        )


def _restart(folder: Path, address: str) -> tuple[int, float]:
    """Kill a poller among its calls and start another; how many of the made takes were lost."""
    _use(address)
    with transaction() as session:
        session.execute(text("UPDATE submissions SET state = 'running' WHERE state = 'answered'"))
    _make_due(ASKED)
    _book(folder, {str(FIRST_ID + n): time.time() for n in range(1, 501)})
    poller = subprocess.Popen(
        [sys.executable, "-c", "from bench.poll import _tick; _tick()"], cwd=ROOT, env=os.environ
    )
    while poller.poll() is None and _count("polls > 0 AND next_poll_at > now() + interval '80 seconds'") == 0:
        time.sleep(0.01)
    poller.send_signal(signal.SIGKILL)
    poller.wait(10)
    began = time.perf_counter()
    with transaction() as session:  # the leases run out
        session.execute(
            text(
                "UPDATE submissions SET next_poll_at = now() "
                "WHERE next_poll_at < now() + interval '2 minutes'"
            )
        )
    while _count("next_poll_at <= now() AND state IN ('submitted', 'running')"):
        _tick()
    found = _count(f"state = 'answered' AND vendor_id::bigint <= {FIRST_ID + 500}")
    return 500 - found, round(time.perf_counter() - began, 2)


def _count(condition: str) -> int:
    with reading() as session:
        return int(session.scalar(text(f"SELECT count(*) FROM submissions WHERE {condition}")) or 0)


def _sum_of_polls() -> int:
    with reading() as session:
        return int(session.scalar(text("SELECT sum(polls) FROM submissions")) or 0)
