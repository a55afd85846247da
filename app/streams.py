"""Requests that stay open: long polls, server-sent events, WebSockets; counted and bounded.

Each holds a thread, so a process lets in only so many, and one workspace only its share.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask import Flask, json
from sqlalchemy.orm import Session

from app.schemas.base import shared
from app.schemas.jobs import EventOut, ProjectEventOut
from core.errors import NotFound, Retryable
from db.session import glancing
from db.work import ENDED_JOB, Job
from services import progress
from services.events import Settled, jobs_at_work, list_events, list_project_events
from services.jobs import get_job

_LOCK = threading.Lock()
_BATCH = 200
NOTICEABLE = 0.01
"""Share of a job that is worth telling of."""


class Places:
    """The open requests of this process, by workspace."""

    def __init__(self, app: Flask) -> None:
        self._total = app.config["STREAMS_PER_PROCESS"]
        self._share = app.config["STREAMS_PER_WORKSPACE"]
        self._open: Counter[UUID] = Counter()

    def take(self, workspace_id: UUID) -> None:
        with _LOCK:
            if self._open.total() >= self._total or self._open[workspace_id] >= self._share:
                raise Retryable(
                    "Too many requests stay open here: close some, or ask without `wait`.",
                    code="too_many_streams",
                    retry_after=5,
                )
            self._open[workspace_id] += 1

    def leave(self, workspace_id: UUID) -> None:
        with _LOCK:
            self._open[workspace_id] -= 1
            if self._open[workspace_id] <= 0:
                del self._open[workspace_id]

    @contextmanager
    def held(self, workspace_id: UUID) -> Iterator[None]:
        self.take(workspace_id)
        try:
            yield
        finally:
            self.leave(workspace_id)


@dataclass(frozen=True)
class News:
    """Something to tell whoever watches; an `event` of the log has an `id` to go on after."""

    event: str
    data: dict[str, Any] = field(default_factory=dict)
    id: int | None = None


Pause = Callable[[float], Any]
"""Waits for so many seconds; may raise when nobody watches any more."""


def wait_for_change(app: Flask, workspace_id: UUID, job_id: UUID, *, seen: int, seconds: float) -> None:
    """Return when the job has an event after `seen`, has got on by a hundredth, or the time is over."""
    places: Places = app.extensions["places"]
    began: float | None = None
    with places.held(workspace_id):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with glancing() as session:
                job = get_job(session, workspace_id, job_id)
                share = progress.measure(session, job)["progress"] or 0.0
            began = share if began is None else began
            if job.event_seq > seen or share >= began + NOTICEABLE:
                return
            time.sleep(min(app.config["STREAM_POLL_SECONDS"], max(0.0, deadline - time.monotonic())))


def watch_job(
    app: Flask, workspace_id: UUID, job_id: UUID, after: int, pause: Pause
) -> Iterator[News | None]:
    """Yield a job's events after a number and its progress, until it has ended or the time is over.

    None says that nothing happened for a while. The last news is `end` when the job has ended, else `pause`:
    come back.
    """
    shown: dict[str, Any] = {}
    for _ in _ticks(app, pause):
        with glancing() as session:
            try:
                job = get_job(session, workspace_id, job_id)
            except NotFound:  # deleted meanwhile
                yield News("end")
                return
            events = list_events(session, workspace_id, job_id, after_seq=after, limit=_BATCH)
            now = _progress_of(session, job)
        for event in events:
            after = event.seq or after
            yield News(event.type, shared(EventOut).dump(event), after)
        if len(events) == _BATCH:
            continue
        if _differs(now, shown):
            shown = now
            yield News("progress", now)
        if not events and job.state in ENDED_JOB:
            yield News("end")
            return
        yield None
    yield News("pause")


def watch_project(
    app: Flask, workspace_id: UUID, project_id: UUID, after: int | None, pause: Pause
) -> Iterator[News | None]:
    """Like `watch_job`, for everything that happens in a project; without `after`, from now on."""
    settled = Settled()
    shown: dict[UUID, dict[str, Any]] = {}
    for _ in _ticks(app, pause):
        with glancing() as session:
            upto = settled.upto(session)
            after = upto if after is None else after
            events = list_project_events(session, workspace_id, project_id, after, upto, limit=_BATCH)
            running = {job.id: _progress_of(session, job) for job in jobs_at_work(session, project_id)}
        for event in events:
            after = event.id
            yield News(event.type, shared(ProjectEventOut).dump(event), after)
        for job_id, now in running.items():
            if _differs(now, shown.get(job_id, {})):
                yield News("progress", now)
        shown = running
        if len(events) < _BATCH:
            yield None
    yield News("pause")


def stream_events(app: Flask, workspace_id: UUID, job_id: UUID, after: int) -> Iterator[str]:
    """A job's news as server-sent events.

    `id:` is the event's number: a client that reconnects with Last-Event-ID misses nothing. The caller has
    taken a place; it is given back here.
    """
    places: Places = app.extensions["places"]
    try:
        yield "retry: 2000\n\n"
        silent_since = time.monotonic()
        for news in watch_job(app, workspace_id, job_id, after, time.sleep):
            if news is not None and news.event != "pause":
                silent_since = time.monotonic()
                number = f"id: {news.id}\n" if news.id is not None else ""
                yield f"{number}event: {news.event}\ndata: {json.dumps(news.data)}\n\n"
            elif time.monotonic() - silent_since >= app.config["STREAM_HEARTBEAT_SECONDS"]:
                silent_since = time.monotonic()
                yield ": still here\n\n"
    finally:
        places.leave(workspace_id)


def _ticks(app: Flask, pause: Pause) -> Iterator[None]:
    """Look again and again until the time is over."""
    deadline = time.monotonic() + app.config["STREAM_SECONDS"]
    while time.monotonic() < deadline:
        yield
        pause(app.config["STREAM_POLL_SECONDS"])


def _progress_of(session: Session, job: Job) -> dict[str, Any]:
    measured = progress.measure(session, job)
    return {
        "job_id": str(job.id),
        "state": job.state.value,
        "phase": job.phase,
        "progress": round(measured["progress"] or 0.0, 3),
        "eta_seconds": measured["eta_seconds"],
        "waits_for": job.waits_for.value if job.waits_for else None,
        "waits_reason": job.waits_reason,
    }


def _differs(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether somebody who watches would notice."""
    if not before or abs(now["progress"] - before["progress"]) >= NOTICEABLE:
        return True
    return any(now[name] != before[name] for name in ("state", "phase", "waits_for"))
