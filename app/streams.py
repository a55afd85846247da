"""Requests that stay open: long polls and server-sent events, counted and bounded.

Each holds a thread, so a process lets in only so many, and one workspace only its share.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from flask import Flask, json

from app.schemas.jobs import EventOut
from core.errors import Retryable
from db.session import glancing
from db.work import ENDED_JOB
from services.events import latest_seq, list_events
from services.jobs import get_job

_LOCK = threading.Lock()
_BATCH = 200


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


def wait_for_change(app: Flask, workspace_id: UUID, job_id: UUID, *, seen: int, seconds: float) -> None:
    """Return when the job has an event after `seen`, has ended, or the time is over."""
    places: Places = app.extensions["places"]
    with places.held(workspace_id):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with glancing() as session:
                if latest_seq(session, workspace_id, job_id) > seen:
                    return
            time.sleep(min(app.config["STREAM_POLL_SECONDS"], max(0.0, deadline - time.monotonic())))


def stream_events(app: Flask, workspace_id: UUID, job_id: UUID, after: int) -> Iterator[str]:
    """Yield a job's events as server-sent events until it has ended or the time is over.

    `id:` is the event's number: a client that reconnects with Last-Event-ID misses nothing. The caller
    has taken a place; it is given back here.
    """
    places: Places = app.extensions["places"]
    try:
        yield "retry: 2000\n\n"
        deadline = time.monotonic() + app.config["STREAM_SECONDS"]
        silent_since = time.monotonic()
        while time.monotonic() < deadline:
            with glancing() as session:
                job = get_job(session, workspace_id, job_id)
                ended = job.state in ENDED_JOB
                events = list_events(session, workspace_id, job_id, after_seq=after, limit=_BATCH)
                lines = [
                    f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(EventOut().dump(event))}\n\n"
                    for event in events
                ]
                after = events[-1].seq or after if events else after
            if lines:
                silent_since = time.monotonic()
                yield "".join(lines)
            elif ended:
                yield "event: end\ndata: {}\n\n"
                return
            elif time.monotonic() - silent_since >= app.config["STREAM_HEARTBEAT_SECONDS"]:
                silent_since = time.monotonic()
                yield ": still here\n\n"
            if len(lines) < _BATCH:
                time.sleep(app.config["STREAM_POLL_SECONDS"])
    finally:
        places.leave(workspace_id)
