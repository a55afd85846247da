"""The duty that mends submissions: sends what is due, and finds out or gives up what was left on the way.

It may run twice at once and may be missed for an hour. No vendor is asked inside a transaction.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from core.errors import PipelineError, Retryable
from core.settings import get_settings
from db.session import reading, transaction
from providers.base import Handle
from services import overdue, polling, slots, submissions, unwanted
from services.polling import Due
from services.unwanted import Unwanted
from tasks import pipeline
from tasks.beat import duty
from tasks.poll import put_off
from tasks.submit import note_accepted
from tasks.wiring import account_of, open_remote

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 5.0
SENDS_AT_ONCE = 200


@duty("mend_submissions")
def mend_submissions() -> None:
    """Send what is due, look up what is unknown, give up what is overdue, fetch or stop what is late."""
    settings = get_settings()
    with reading() as session:
        late, hopeless = overdue.overdue(session), overdue.hopeless(session)
        vendors = polling.vendors_to_send_to(session)
    jobs: set[UUID] = set()
    for submission_id in late:  # each in its own transaction: two jobs' rows are never locked at once
        with transaction() as session:
            jobs |= overdue.give_up(session, submission_id)
    for submission_id in hopeless:
        with transaction() as session:
            overdue.end_hopeless(session, submission_id)
    for slug, endpoint in vendors:
        _send(slug, endpoint)
    with transaction() as session:
        to_keep = polling.claim_late(session)
        unknown = polling.claim_lookups(session, grace=settings.lookup_grace_seconds)
        jobs |= set(overdue.jobs_to_advance(session))
        to_stop = unwanted.claim_unwanted(session)
    for one in to_stop:
        jobs |= _stop(one)
    for due in to_keep:
        pipeline.keep_late_take(due.id, due.job_id)
    for due in unknown:
        jobs |= look_up(due)
    for job_id in jobs:
        pipeline.advance(job_id)


def _send(slug: str, endpoint: str) -> None:
    """Send again what was held back or got lost, as much as its vendor has room for."""
    room = SENDS_AT_ONCE
    try:
        provider = open_remote(slug, endpoint=endpoint)
        room = account_of(provider).enter(room, looking=True).calls
    except PipelineError:
        provider = None  # its sender will say what is wrong
    with transaction() as session:
        if provider is not None and provider.limits.at_once:
            room = min(room, slots.free_slots(session, slug, provider.limits.at_once))
        unsent = polling.claim_unsent(session, slug, endpoint, limit=room)
    for due in unsent:
        pipeline.send_submission(due.id, due.job_id)


def _stop(one: Unwanted) -> set[UUID]:
    """Ask a vendor to stop; returns the job when it has, in case that goes on after all."""
    try:
        provider = open_remote(one.provider, model=one.model, endpoint=one.endpoint)
        account = account_of(provider)
        if not account.enter().calls:
            return set()
        with account.calling():
            stopped = provider.cancel(Handle(one.vendor_id, one.receipt, one.model))
    except Retryable:
        return set()
    except PipelineError as error:
        log.warning("a vendor could not be asked to stop", provider=one.provider, error=error.message)
        stopped = False
    with transaction() as session:
        if stopped and (job_id := unwanted.mark_released(session, one.id)) is not None:
            return {job_id}
        unwanted.let_be(session, one.id)
    return set()


def look_up(due: Due) -> set[UUID]:
    """Find out whether a vendor accepted a submission; returns the job when that is settled."""
    try:
        provider = open_remote(due.provider, model=due.model, endpoint=due.endpoint)
        if not provider.can_look_up and due.certain:
            with transaction() as session:
                submissions.park(session, due.id)
            return {due.job_id}
        found = None
        if provider.can_look_up:
            account = account_of(provider)
            leave = account.enter()
            if not leave.calls:
                with transaction() as session:
                    polling.put_off(session, [due.id], seconds=max(leave.wait, 1.0))
                return set()
            with account.calling():
                found = provider.lookup(due.client_token)
    except PipelineError as error:
        put_off([due], error)
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
