"""Wake-ups: a message that has a worker advance jobs, sent so that whoever asks waits for nobody.

One thread per process publishes, at once after a rest. What is asked while it is busy with a message, or just
after, goes into the next one together, so under load a message wakes many jobs. A wake-up may be lost, with
the process or with the broker: the sweeper finds the job seconds later.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from uuid import UUID

import structlog

from tasks.app import app

log = structlog.get_logger()

MOST = 50
"""Jobs of one message: no worker is to be busy with it for long."""
PAUSE_SECONDS = 0.03
"""From one message to the next; a message for each job took a quarter of the time of submitting it."""
LAST_SECONDS = 2.0
"""How long a process that ends waits for what is left to be sent."""


class _Sender:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._asked: queue.SimpleQueue[UUID | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="wakeups", daemon=True)
        self._thread.start()
        atexit.register(self.finish)

    def ask(self, job_id: UUID) -> None:
        self._asked.put(job_id)

    def finish(self) -> None:
        """Send what is left, within bounds."""
        if self.pid == os.getpid():
            self._asked.put(None)
            self._thread.join(LAST_SECONDS)

    def _send_all(self) -> None:
        more, rested = True, 0.0
        while more:
            jobs = [self._asked.get()]
            time.sleep(max(0.0, rested - time.monotonic()))
            while len(jobs) < MOST and not self._asked.empty():
                jobs.append(self._asked.get())
            more = None not in jobs
            if named := [str(job) for job in dict.fromkeys(jobs) if job is not None]:
                _publish(named)
                rested = time.monotonic() + PAUSE_SECONDS


_sender: _Sender | None = None
_lock = threading.Lock()


def wake(job_id: UUID) -> None:
    """Have a worker advance this job soon; returns at once."""
    global _sender  # noqa: PLW0603 (one thread per process; a fork has none of its parent's)
    with _lock:
        if _sender is None or _sender.pid != os.getpid():
            _sender = _Sender()
        _sender.ask(job_id)


def _publish(jobs: list[str]) -> None:
    try:
        with app.producer_or_acquire() as producer:
            app.send_task("wake_jobs", args=(jobs,), producer=producer, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 (any broker's any error means the same: not sent)
        log.warning("the broker did not take a wake-up; the sweeper will see to it", error=str(error))
