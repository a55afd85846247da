"""Duties for submissions: ask vendors about takes, many at a time, and mend what was left on the way.

Both may run twice at once and may be missed for an hour. No vendor is asked inside a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

import structlog

from core.errors import PipelineError, Retryable
from core.failpoints import reach
from core.settings import get_settings
from db.session import reading, transaction
from providers.base import Answer, AnswerState, Handle
from services import polling, submissions
from services.polling import Due
from tasks import pipeline
from tasks.beat import duty
from tasks.submit import note_accepted
from tasks.wiring import open_remote

log = structlog.get_logger()

ROUND_SECONDS = 20.0
"""A round ends after this; what is still due is the next one's."""
VENDOR_AWAY_SECONDS = 15.0
LOOK_AGAIN_SECONDS = 5.0


@duty("poll_submissions")
def poll_submissions() -> None:
    """Ask every vendor about the takes that are due, as many with one call as it allows."""
    ends = time.monotonic() + ROUND_SECONDS
    with reading() as session:
        vendors = polling.vendors_to_ask(session)
    for slug, endpoint in vendors:
        _ask_vendor(slug, endpoint, ends)


@duty("mend_submissions")
def mend_submissions() -> None:
    """Send what is due, look up what is unknown, give up what is overdue, fetch what is late."""
    settings = get_settings()
    with reading() as session:
        overdue, hopeless = polling.overdue(session), polling.hopeless(session)
    jobs: set[UUID] = set()
    for submission_id in overdue:  # each in its own transaction: two jobs' rows are never locked at once
        with transaction() as session:
            jobs |= polling.give_up(session, submission_id)
    for submission_id in hopeless:
        with transaction() as session:
            polling.end_hopeless(session, submission_id)
    with transaction() as session:
        unsent = polling.claim_unsent(session)
        late = polling.claim_late(session)
        unknown = polling.claim_lookups(session, grace=settings.lookup_grace_seconds)
        jobs |= set(polling.jobs_to_advance(session))
    for due in unsent:
        pipeline.send_submission(due.id, due.job_id)
    for due in late:
        pipeline.keep_late_take(due.id, due.job_id)
    for due in unknown:
        jobs |= _look_up(due)
    for job_id in jobs:
        pipeline.advance(job_id)


def _ask_vendor(slug: str, endpoint: str, ends: float) -> None:
    ahead = get_settings().poll_seconds / 2
    while time.monotonic() < ends:
        try:
            provider = open_remote(slug, endpoint=endpoint)
        except PipelineError as error:  # its key was taken away; what is open stays open
            _put_off_all(slug, endpoint, error)
            return
        with transaction() as session:
            batch = polling.claim_polls(session, slug, endpoint, limit=provider.batch, ahead=ahead)
        if not batch:
            return
        try:
            answers = provider.poll([Handle(due.vendor_id or "", due.receipt, due.model) for due in batch])
        except PipelineError as error:
            _put_off(batch, error)
            return
        reach("poll.after_ask")
        _write_down(batch, answers)
        if len(batch) < provider.batch:
            return


def _write_down(batch: Sequence[Due], answers: Sequence[Answer]) -> None:
    """Keep every answer: those still running with one statement, the others each in a transaction."""
    said = {answer.vendor_id: answer for answer in answers}
    running, jobs = [], set()
    for due in batch:
        answer = said.get(due.vendor_id or "")
        if answer is None or answer.state is AnswerState.RUNNING:
            running.append(due.id)
        elif (job_id := _end(due, answer)) is not None:
            jobs.add(job_id)
    if running:
        with transaction() as session:
            polling.note_running(session, running, shortest=get_settings().poll_seconds)
    for job_id in jobs:
        pipeline.advance(job_id)


def _end(due: Due, answer: Answer) -> UUID | None:
    with transaction() as session:
        if answer.state is AnswerState.FAILED:
            return submissions.mark_failed(
                session, due.id, code="vendor_failed", message=answer.error or "The vendor could not make it."
            )
        kept = submissions.mark_answered(session, due.id, cost=answer.cost, answer=answer.raw or {})
    if kept is None:
        return None
    job_id, overrun = kept
    if overrun:
        log.error("a take cost more than was held", submission=str(due.id), overrun=overrun)
    return job_id


def _look_up(due: Due) -> set[UUID]:
    """Find out whether a vendor accepted a submission; returns the job when that is settled."""
    try:
        provider = open_remote(due.provider, model=due.model, endpoint=due.endpoint)
        if not provider.can_look_up and due.certain:
            with transaction() as session:
                submissions.park(session, due.id)
            return {due.job_id}
        found = provider.lookup(due.client_token) if provider.can_look_up else None
    except PipelineError as error:
        _put_off([due], error)
        return set()
    if found is not None:
        note_accepted(due.id, found.vendor_id)
        return {due.job_id}
    with transaction() as session:
        if due.certain:
            polling.send_again(session, due.id)
            return {due.job_id}
        polling.put_off(session, [due.id], seconds=LOOK_AGAIN_SECONDS)
    return set()


def _put_off(batch: Sequence[Due], error: PipelineError) -> None:
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


def _put_off_all(slug: str, endpoint: str, error: PipelineError) -> None:
    with transaction() as session:
        batch = polling.claim_polls(session, slug, endpoint, limit=1000)
    if batch:
        _put_off(batch, error)
