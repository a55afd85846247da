"""One thread per process keeps the leases of all steps it works on, and tells each when to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from core.settings import get_settings
from db.session import single
from services.claims import Claim, extend_leases

SECONDS = 2.0


@dataclass
class Pulse:
    """A step at work: its claim, when its time is up, how much of it is done (0..1, where known)."""

    held: Claim
    deadline: float
    share: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)


_pulses: dict[int, Pulse] = {}
_change = threading.Condition()
_beat_in_progress = threading.Lock()
_thread: threading.Thread | None = None


@contextmanager
def beating(pulse: Pulse) -> Iterator[None]:
    """Keep the step's lease alive; sets `pulse.stop` when the claim is lost, the job stops or time is up.

    The thread starts with the first step, so in a forked worker it belongs to the child.
    """
    global _thread  # noqa: PLW0603 (one per process)
    with _change:
        _pulses[id(pulse)] = pulse
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_beat, name="heartbeat", daemon=True)
            _thread.start()
        _change.notify()
    try:
        yield
    finally:
        with _change:
            del _pulses[id(pulse)]


def _beat() -> None:
    while True:
        with _change:
            _change.wait_for(lambda: _pulses)
        time.sleep(SECONDS)
        with _beat_in_progress:
            with _change:
                at_work = list(_pulses.values())
            if at_work:
                _extend(at_work)


@contextmanager
def at_rest() -> Iterator[None]:
    """Hold the thread between two beats; with no step at work, it reads and asks nothing after that."""
    with _beat_in_progress:
        yield


def _extend(at_work: list[Pulse]) -> None:
    """Extend what still has time; what was told to stop keeps only the lease it has."""
    lease = timedelta(seconds=get_settings().step_lease_seconds)
    for pulse in at_work:
        if time.monotonic() > pulse.deadline:
            pulse.stop.set()
    going_on = [pulse for pulse in at_work if not pulse.stop.is_set()]
    if not going_on:
        return
    try:
        with single() as connection:
            kept = extend_leases(connection, [(pulse.held, pulse.share) for pulse in going_on], lease=lease)
    except SQLAlchemyError:
        return  # the database is away; the lease has room for several missed beats
    for pulse in going_on:
        if pulse.held.step_id not in kept:
            pulse.stop.set()
