"""What vendors make in their own time: asked for, put on the wire once, and fetched when it is made.

`submit_take` (in `tasks.shoot`) and `clean_clip` end when the submission is written down. Everything after
that happens on the submission's row, so that no worker waits for a vendor: `send_submission` sends it,
`tasks.poll` asks about it, and what is made comes home by `fetch_take` or `fetch_clip`, or by
`keep_late_take` when its job has ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from core.errors import Permanent, PipelineError, Retryable, Unconfirmed
from core.failpoints import reach
from core.limits import Leave
from core.settings import get_settings
from db.assets import Shot
from db.session import after_commit, reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Job
from providers.base import Answer, AnswerState, Handle, Quote, RemoteProvider
from services import callbacks, inputs, outcomes, polling, slots, submissions, unwanted
from services.steps import lock_job
from services.submissions import Outgoing
from tasks import pipeline
from tasks.app import app
from tasks.errands import ERRANDS
from tasks.inspection import Bench, Desk, inspect
from tasks.limits import WHY
from tasks.routing import Route
from tasks.step import Run, step
from tasks.takes import add_vendor_take
from tasks.wiring import account_of, open_remote

log = structlog.get_logger()

LONGEST_WAIT = 60.0


# -- asked for ------------------------------------------------------------------------------------


def ask_vendor(run: Run, request: dict[str, Any], reference: str | None) -> dict[str, Any]:
    """The request in a vendor's words, see `inputs.for_vendor`."""
    return inputs.for_vendor(request, str(run.held.params.get("instructions") or ""), reference)


def tell_passed_over(session: Session, run: Run, route: Route) -> None:
    """Warn of providers that the brief names and that are off or cannot do it; call inside `saving`."""
    news = [
        {"provider": one.provider, "code": one.code, "message": one.message}
        for one in route.considered
        if one.news
    ]
    if not news:
        return
    job = session.get_one(Job, run.job.id)
    job.warnings = [*job.warnings, *(warning for warning in news if warning not in job.warnings)]


def commission(run: Run, route: Route, shot: Shot, request: dict[str, Any]) -> None:
    """Write down what a vendor is to make, unless an equal take was paid for before."""
    provider, quote = route.provider, route.quote
    made = run.remember(provider=provider.slug, model=provider.model, request=request)
    run.note(audio="audio" in request)
    if made is not None:
        with run.saving() as session:
            take = add_vendor_take(
                session, run.subject_id, provider.slug, provider.model, request, made, run.input_hash or "",
                cost=0, step_id=run.held.step_id,
            )  # fmt: skip
            run.result = {**made, "take_id": str(take)}
        return
    with run.saving() as session:
        tell_passed_over(session, run, route)
        write_down(
            session, run, provider, request, quote, purpose="shot", shot_id=shot.id, routing=route.to_json()
        )


def write_down(
    session: Session,
    run: Run,
    provider: RemoteProvider[Any],
    request: dict[str, Any],
    quote: Quote,
    *,
    purpose: str,
    shot_id: UUID | None = None,
    routing: dict[str, Any] | None = None,
) -> None:
    """End a step with a submission that is sent once this is committed; call inside `saving`."""
    input_hash, run.input_hash = run.input_hash, None  # equal to nothing until its file is here
    submission = submissions.intend(
        session,
        session.get_one(Job, run.job.id),
        step_id=run.held.step_id,
        shot_id=shot_id,
        purpose=purpose,
        provider=provider.slug,
        model=provider.model,
        endpoint=provider.endpoint,
        request=request,
        quote=quote.amount,
        currency=quote.currency,
        routing=routing,
        deadline=timedelta(minutes=run.settings.submission_deadline_minutes),
    )
    run.result = {
        "submission_id": str(submission.id),
        "provider": provider.slug,
        "model": provider.model,
        "inputs": input_hash,
    }
    after_commit(session, lambda: pipeline.send_submission(submission.id, run.job.id))


# -- sent -----------------------------------------------------------------------------------------


@app.task(name="send_submission", soft_time_limit=150, time_limit=180)
def send_submission(submission_id: str, job: str = "") -> None:  # noqa: ARG001 (`job` is for people: Flower finds tasks by it)
    """Put one intended submission on the wire, once; a second message finds nothing to send."""
    with reading() as session:
        row = session.get(Submission, UUID(submission_id))
    if row is None or row.state is not SubmissionState.INTENDED:
        return
    try:
        provider = open_remote(row.provider, model=row.model, endpoint=row.endpoint, token=row.client_token)
    except PipelineError as error:
        if (sent := _take(row.id)) is not None:
            _not_accepted(sent, error)
        return
    account = account_of(provider)
    leave = account.enter()
    if not leave.calls:
        _hold_back(row.id, leave)
        return
    if (sent := _take(row.id, at_once=provider.limits.at_once)) is None:
        return
    try:
        with ERRANDS[sent.purpose].asking(sent.request) as request:
            reach("submit.before_http", str(sent.job_id))
            with account.calling(submitting=True):
                accepted = provider.submit(request, sent.client_token)
    except PipelineError as error:
        _not_accepted(sent, error)
        return
    reach("submit.after_http", str(sent.job_id))
    note_accepted(sent.id, accepted.vendor_id, accepted.receipt)
    reach("submit.after_record", str(sent.job_id))


def _take(submission_id: UUID, at_once: int = 0) -> Outgoing | None:
    with transaction() as session:
        return submissions.take_to_send(session, submission_id, at_once=at_once)


def _hold_back(submission_id: UUID, leave: Leave) -> None:
    with transaction() as session:
        row = submissions.lock_submission(session, submission_id)
        if row is not None and row.state is SubmissionState.INTENDED:
            slots.hold_back(row, wait=max(leave.wait, 0.5), code="held_back", message=WHY[leave.why])


def note_accepted(submission_id: UUID, vendor_id: str, receipt: Mapping[str, Any] | None = None) -> None:
    """Write down the vendor's id before anything else happens."""
    with transaction() as session:
        first = submissions.mark_submitted(
            session,
            submission_id,
            vendor_id,
            receipt=dict(receipt or {}),
            first_poll=2 * get_settings().poll_seconds,
        )
    with transaction() as session:
        row = session.get_one(Submission, submission_id)
        if first:
            job = lock_job(session, row.job_id)
            if job.state in unwanted.STOPPED:
                unwanted.want_no_more(session, job.id)
            submissions.announce(session, row, "submitted", vendor_id=vendor_id)
            if callbacks.is_heard(session, row.provider):
                polling.expect_callback(session, row.id)
        elif row.vendor_id != vendor_id:
            log.error(
                "a vendor has one submission twice",
                submission=str(submission_id),
                provider=row.provider,
                known=row.vendor_id,
                other=vendor_id,
            )


def _not_accepted(sent: Outgoing, error: PipelineError) -> None:
    job_id: UUID | None = sent.job_id
    with transaction() as session:
        if isinstance(error, Unconfirmed):
            knows = open_remote(sent.provider, model=sent.model, endpoint=sent.endpoint).can_look_up
            submissions.mark_unconfirmed(session, sent, message=error.message, can_look_up=knows)
        elif isinstance(error, Retryable):
            wait = error.retry_after if error.retry_after is not None else 2.0 ** min(sent.sends, 6)
            submissions.mark_unsent(
                session, sent, wait=min(wait, LONGEST_WAIT), code=error.code, message=error.message
            )
        else:
            job_id = submissions.mark_failed(session, sent.id, code=error.code, message=error.message)
    log.warning(
        "a submission was not accepted", submission=str(sent.id), code=error.code, error=error.message
    )
    if job_id is not None:
        pipeline.advance(job_id)


# -- fetched --------------------------------------------------------------------------------------


@step("fetch_take", soft=900, hard=960)
def fetch_take(run: Run) -> None:
    """Bring home a take that a vendor has made: copied, looked into, kept and selected."""
    bring_home(run)


def bring_home(run: Run) -> None:
    """Copy what a vendor has made, look into it, and keep it as what it was asked for."""
    submission_id = UUID(run.held.variant)
    with run.loading() as session:
        row = session.get_one(Submission, submission_id)
        frame = ERRANDS[row.purpose].frame(session, row)
    made = None
    if row.state is SubmissionState.ANSWERED and frame is not None:
        made = _copy(row, run, frame, again=run.held.failures > 0)
    reach("fetch.before_save", str(run.job.id))
    with run.saving() as session:
        run.result = _keep(session, submission_id, made)


@app.task(name="keep_late_take", soft_time_limit=600, time_limit=660)
def keep_late_take(submission_id: str) -> None:
    """Bring home a take that was paid for and that no job waits for any more."""
    with reading() as session:
        row = session.get(Submission, UUID(submission_id))
        frame = ERRANDS[row.purpose].frame(session, row) if row is not None else None
    if row is None or frame is None or row.state is not SubmissionState.ANSWERED:
        return
    scratch = get_settings().var_dir / "scratch" / f"late-{submission_id}"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        made = _copy(row, Desk(scratch), frame, again=True)
    except PipelineError as error:
        log.warning("a late take could not be fetched", submission=submission_id, error=error.message)
        return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with transaction() as session:
        lock_job(session, row.job_id)
        _keep(session, row.id, made)
    log.info("a late take was kept", submission=submission_id)


def _copy(row: Submission, bench: Bench, frame: tuple[int, int], *, again: bool) -> dict[str, Any]:
    """Copy the vendor's file into the store; whatever is wrong with it, the next copy may be whole."""
    assert row.vendor_id is not None
    provider = open_remote(row.provider, model=row.model, endpoint=row.endpoint)
    answer = Answer(row.vendor_id, AnswerState.SUCCEEDED, raw=row.answer)
    if again:  # the link may have run out
        fresh = provider.poll([Handle(row.vendor_id, row.receipt, row.model)])[0]
        answer = fresh if fresh.state is AnswerState.SUCCEEDED else answer
    out = bench.scratch / "take.mp4"
    provider.fetch(answer, out)
    try:
        seen = inspect(bench, out, filename="take.mp4", width=frame[0], height=frame[1], closely=False)
        if seen.kind != "clip":
            raise Permanent(f"The vendor's file is a {seen.kind}, not a film.", code="wrong_kind")
    except Permanent as error:
        raise Retryable(error.message, code=error.code) from error
    return {
        "stored": seen.stored.to_json(),
        "vendor_id": row.vendor_id,
        "cost": row.actual_cost or 0,
        "currency": row.currency,
        "provider": row.provider,
        "model": row.model,
    }


def _keep(session: Session, submission_id: UUID, made: dict[str, Any] | None) -> dict[str, Any]:
    """Make what was asked for of a copied file, once; call under the job's lock."""
    row = submissions.lock_submission(session, submission_id)
    assert row is not None
    if row.state is not SubmissionState.ANSWERED or made is None:
        return {"take_id": str(row.take_id) if row.take_id else None}
    kept = ERRANDS[row.purpose].keep(session, row, made)
    take = kept.get("take_id")
    submissions.mark_succeeded(session, row, take_id=UUID(take) if take else None, actual_cost=made["cost"])
    result = {**made, "submission_id": str(row.id), **kept}
    outcomes.note_result(session, row, result)
    return result
