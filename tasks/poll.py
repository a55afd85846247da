"""The duty that asks vendors about takes: many at a time, side by side, within what each of them takes.

A round claims what is due and puts its next time off before anybody is asked, with no transaction open
meanwhile; whatever a dead poller leaves is due again when its lease is over. Answers are written down
together, as they come in. It may run twice at once and may be missed for an hour.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from core.errors import PipelineError, Retryable
from core.failpoints import reach
from core.settings import get_settings
from db.session import reading, transaction
from providers.base import Answer, AnswerState, Handle, RemoteProvider
from services import callbacks, polling, submissions
from services.polling import POLL_LEASE, Due
from tasks import pipeline
from tasks.beat import duty
from tasks.limits import Account
from tasks.wiring import account_of, open_remote

log = structlog.get_logger()

ROUND_SECONDS = 20.0
"""A round claims nothing after this; what is still due is the next one's."""
CALLS_AT_ONCE = 64
CALLS_PER_VENDOR = 32
"""A vendor that hangs holds no more of this process than these."""
VENDOR_AWAY_SECONDS = 15.0

_round = threading.Lock()
_calls: Counter[tuple[str, str]] = Counter()
"""Calls under way in this process, by provider and endpoint; a round that only waits has some too."""


@duty("poll_submissions")
def poll_submissions() -> None:
    """Ask every vendor about the takes that are due, as many with one call as it allows."""
    if not _round.acquire(blocking=False):
        return
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="poll") as pool:
        current = _Round(pool)
        try:
            current.ask()
        finally:
            _round.release()
        current.wait_for_the_rest()


@dataclass(frozen=True)
class _Asked:
    """One call that is under way."""

    vendor: tuple[str, str]
    batch: Sequence[Due]
    shortest: float


class _Round:
    """What one poller does until nothing is due any more, or its time is over."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._ends = time.monotonic() + ROUND_SECONDS
        self._asked: dict[Future[list[Answer]], _Asked] = {}

    def ask(self) -> None:
        with reading() as session:
            vendors = polling.vendors_to_ask(session)
        while vendors and time.monotonic() < self._ends:
            vendors = [vendor for vendor in vendors if self._ask_vendor(vendor)]
            self._write_down(timeout=1.0)

    def wait_for_the_rest(self) -> None:
        ends = time.monotonic() + POLL_LEASE
        while self._asked and time.monotonic() < ends:
            self._write_down(timeout=5.0)

    def _ask_vendor(self, vendor: tuple[str, str]) -> bool:
        """Ask about what is due there, as far as there is room; whether it is to be looked at again."""
        free = CALLS_PER_VENDOR - _calls[vendor]
        if free < CALLS_PER_VENDOR / 2:  # few calls at a time would be many claims
            return any(one.vendor == vendor for one in self._asked.values())
        try:
            provider = open_remote(vendor[0], endpoint=vendor[1])
        except PipelineError as error:  # its key was taken away; what is open stays open
            _put_off_all(vendor, error)
            return False
        account = account_of(provider)
        room = account.enter(free, looking=True).calls
        if not room:
            return False
        shortest = max(get_settings().poll_seconds, provider.limits.poll_seconds)
        with transaction() as session:
            claimed = polling.claim_polls(
                session, *vendor, limit=room * provider.batch, batch=provider.batch, ahead=shortest / 2
            )
        calls = [claimed[n : n + provider.batch] for n in range(0, len(claimed), provider.batch)]
        leave = account.enter(len(calls))
        for batch in calls[: leave.calls]:
            self._call(_Asked(vendor, batch, shortest), provider, account)
        if refused := [due for batch in calls[leave.calls :] for due in batch]:
            with transaction() as session:
                polling.put_off(session, [due.id for due in refused], seconds=leave.wait)
        return len(claimed) == room * provider.batch

    def _call(self, asked: _Asked, provider: RemoteProvider[Any], account: Account) -> None:
        def call() -> list[Answer]:
            with account.calling():
                return provider.poll([Handle(d.vendor_id or "", d.receipt, d.model) for d in asked.batch])

        _calls[asked.vendor] += 1
        self._asked[self._pool.submit(call)] = asked

    def _write_down(self, *, timeout: float) -> None:
        """Keep what has been answered by now, of all calls together; wait for one of them if none has."""
        done, _ = wait(self._asked, timeout, FIRST_COMPLETED)
        answers: list[tuple[Due, Answer | None]] = []
        shortest: dict[str, float] = {}
        for call in done:
            asked = self._asked.pop(call)
            _calls[asked.vendor] -= 1
            try:
                said = {answer.vendor_id: answer for answer in call.result()}
            except PipelineError as error:
                put_off(asked.batch, error)
                continue
            except Exception:
                log.exception("a bug in an adapter's poll", provider=asked.vendor[0])
                continue  # the lease will bring them back
            reach("poll.after_ask")
            shortest[asked.vendor[0]] = asked.shortest
            answers += [(due, said.get(due.vendor_id or "")) for due in asked.batch]
        write_down(answers, shortest)


def write_down(answers: Iterable[tuple[Due, Answer | None]], shortest: dict[str, float]) -> None:
    """Keep every answer: those still running with one statement, the others each in a transaction."""
    running: dict[str, list[UUID]] = defaultdict(list)
    jobs = set()
    for due, answer in answers:
        if answer is None or answer.state is AnswerState.RUNNING:
            running[due.provider].append(due.id)
        elif (job_id := end(due.id, answer)) is not None:
            jobs.add(job_id)
    for provider, ids in running.items():
        with transaction() as session:
            heard = callbacks.is_heard(session, provider)
            polling.note_running(session, ids, shortest=shortest[provider], heard=heard)
    for job_id in jobs:
        pipeline.advance(job_id)


def end(submission_id: UUID, answer: Answer) -> UUID | None:
    """Keep a vendor's last word on a submission; returns the job to move on, None when it was known."""
    with transaction() as session:
        if answer.state is AnswerState.FAILED:
            message = answer.error or "The vendor could not make it."
            return submissions.mark_failed(session, submission_id, code=answer.code, message=message)
        kept = submissions.mark_answered(session, submission_id, cost=answer.cost, answer=answer.raw or {})
    if kept is None:
        return None
    job_id, overrun = kept
    if overrun:
        log.error("a take cost more than was held", submission=str(submission_id), overrun=overrun)
    return job_id


def put_off(batch: Sequence[Due], error: PipelineError) -> None:
    """Ask about these later: their vendor did not answer, or wants to be left alone."""
    wish = error.retry_after if isinstance(error, Retryable) else None
    with transaction() as session:
        polling.put_off(
            session,
            [due.id for due in batch],
            seconds=VENDOR_AWAY_SECONDS if wish is None else min(wish, 300.0),
        )
    log.warning(
        "a vendor could not be asked", provider=batch[0].provider, code=error.code, error=error.message
    )


def _put_off_all(vendor: tuple[str, str], error: PipelineError) -> None:
    with transaction() as session:
        batch = polling.claim_polls(session, *vendor, limit=1000)
    if batch:
        put_off(batch, error)
