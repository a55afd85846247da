"""Vendors' callbacks: believed only when signed, kept before they are acted on, taken like answers to polls.

The door calls `receive` in the API's process; a worker does the rest. A callback is never needed: what it
says would be found by a poll, so one that is lost, late, doubled or out of order costs time at most. Where
the answer to a submit was lost, at a vendor that cannot be asked for it, a callback is the one that tells: it
comes back with the submission's token.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

import structlog

from core.errors import Invalid, Misconfigured, NotFound
from db.callbacks import CallbackEvent
from db.session import after_commit, transaction
from providers.base import Answer, AnswerState
from services import callbacks
from tasks import pipeline
from tasks.app import app
from tasks.beat import duty
from tasks.poll import end
from tasks.submit import note_accepted
from tasks.wiring import calls_back, open_remote

log = structlog.get_logger()


def receive(slug: str, headers: Mapping[str, str], body: bytes, token: str | None = None) -> bool:
    """Check a callback's signature and keep what it says; False: it was here before.

    Raises Rejected when it is not the vendor's or too old, NotFound for a vendor that does not call back.
    """
    try:
        provider = open_remote(slug)
    except (Invalid, Misconfigured):
        provider = None
    if provider is None or not calls_back(type(provider)):
        raise NotFound("No vendor of this name calls back here.")
    try:
        news = provider.parse_callback(headers, body, time.time())
    except Misconfigured as error:
        log.warning("a callback cannot be checked", provider=slug, error=error.message)
        raise NotFound("No vendor of this name calls back here.") from None
    with transaction() as session:
        answers = [asdict(answer) for answer in news.answers]
        kept = callbacks.keep(session, slug, news.event_id, answers=answers, ask=news.ask, token=token)
        if kept is not None:
            after_commit(session, lambda: pipeline.take_callback(kept))
    return kept is not None


@app.task(name="take_callback", send_events=False)
def take_callback(event_id: str) -> None:
    """Act on one callback; a second message finds nothing to do."""
    with transaction() as session:
        events = callbacks.claim(session, UUID(event_id))
    for event in events:
        _take(event)


@duty("take_callbacks")
def take_callbacks() -> None:
    """Act on callbacks whose message was lost, or that came before their submission was known."""
    with transaction() as session:
        events = callbacks.claim_due(session)
    for event in events:
        _take(event)


@duty("forget_callbacks")
def forget_callbacks() -> None:
    """Delete what is only history."""
    with transaction() as session:
        callbacks.forget(session)


def _take(event: CallbackEvent) -> None:
    answers = [_answer(kept) for kept in event.answers]
    named = {*(answer.vendor_id for answer in answers), *event.ask}
    with transaction() as session:
        ours = callbacks.find_submissions(session, event.provider, named)
        lost = callbacks.find_unconfirmed(session, event.provider, event.client_token)
    if lost is not None and len(named) == 1 and not ours:
        (vendor_id,) = named
        note_accepted(lost, vendor_id)
        ours[vendor_id] = lost
    # One that is still running is no news, and may be older than what we know.
    said = [answer for answer in answers if answer.state is not AnswerState.RUNNING]
    jobs = {end(ours[answer.vendor_id], answer) for answer in said if answer.vendor_id in ours}
    with transaction() as session:
        callbacks.ask_soon(session, [ours[vendor_id] for vendor_id in event.ask if vendor_id in ours])
        callbacks.settle(session, event.id, complete=named <= set(ours))
    for job_id in filter(None, jobs):
        pipeline.advance(job_id)


def _answer(kept: dict[str, Any]) -> Answer:
    return Answer(**{**kept, "state": AnswerState(kept["state"])})
