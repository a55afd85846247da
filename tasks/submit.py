"""Takes from vendors: asked for, put on the wire once, and fetched when they are made.

`submit_take` (in `tasks.shoot`) ends when the submission is written down. Everything after that happens on
the submission's row, so that no worker waits for a vendor: `send_submission` sends it, `tasks.poll` asks
about it, and what is made comes home by `fetch_take`, or by `keep_late_take` when its job has ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from core.errors import Permanent, PipelineError, Retryable, Unconfirmed
from core.failpoints import reach
from core.settings import get_settings
from db.assets import Film, RenditionRole, Shot, TakeOrigin
from db.session import after_commit, reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Job
from providers.base import Answer, AnswerState, Handle, VideoProvider, VideoRequest
from services import inputs, outcomes, submissions
from services.films import add_take
from services.renditions import StoredFile, add_rendition
from services.steps import lock_job
from services.submissions import Outgoing
from tasks import pipeline
from tasks.app import app
from tasks.library import Bench, Desk, inspect
from tasks.step import Run, step
from tasks.wiring import PassedOver, open_video

log = structlog.get_logger()

LONGEST_WAIT = 60.0


# -- asked for ------------------------------------------------------------------------------------


def ask_vendor(run: Run, request: dict[str, Any]) -> dict[str, Any]:
    """The request in a vendor's words, see `inputs.for_vendor`."""
    return inputs.for_vendor(request, str(run.held.params.get("instructions") or ""))


def tell_passed_over(session: Session, run: Run, passed: Sequence[PassedOver]) -> None:
    """Warn of providers that the brief names and that are off or cannot do it; call inside `saving`."""
    news = [
        {"provider": one.provider, "code": one.code, "message": one.message} for one in passed if one.news
    ]
    if not news:
        return
    job = session.get_one(Job, run.job.id)
    job.warnings = [*job.warnings, *(warning for warning in news if warning not in job.warnings)]


def commission(
    run: Run, provider: VideoProvider, shot: Shot, request: dict[str, Any], passed: Sequence[PassedOver]
) -> None:
    """Write down what a vendor is to make, unless an equal take was paid for before."""
    made = run.remember(provider=provider.slug, model=provider.model, request=request)
    if made is not None:
        with run.saving() as session:
            take = _add_take(
                session, run.subject_id, provider.slug, provider.model, request, made, run.input_hash or "",
                cost=0, step_id=run.held.step_id,
            )  # fmt: skip
            run.result = {**made, "take_id": str(take)}
        return
    quote = provider.quote(VideoRequest(**request))
    input_hash, run.input_hash = run.input_hash, None  # equal to nothing until its file is here
    with run.saving() as session:
        tell_passed_over(session, run, passed)
        submission = submissions.intend(
            session,
            session.get_one(Job, run.job.id),
            step_id=run.held.step_id,
            shot_id=shot.id,
            purpose="shot",
            provider=provider.slug,
            model=provider.model,
            endpoint=provider.endpoint,
            request=request,
            quote=quote.amount,
            currency=quote.currency,
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
    with transaction() as session:
        sent = submissions.take_to_send(session, UUID(submission_id))
    if sent is None:
        return
    try:
        provider = open_video(sent.provider, model=sent.model, endpoint=sent.endpoint)
        reach("submit.before_http", str(sent.job_id))
        accepted = provider.submit(VideoRequest(**sent.request), sent.client_token)
    except PipelineError as error:
        _not_accepted(sent, error)
        return
    reach("submit.after_http", str(sent.job_id))
    note_accepted(sent.id, accepted.vendor_id, accepted.receipt)
    reach("submit.after_record", str(sent.job_id))


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
            lock_job(session, row.job_id)
            submissions.announce(session, row, "submitted", vendor_id=vendor_id)
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
            knows = open_video(sent.provider, model=sent.model, endpoint=sent.endpoint).can_look_up
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
    submission_id = UUID(run.held.variant)
    with run.loading() as session:
        row = session.get_one(Submission, submission_id)
        film = session.get_one(Film, run.film_id)
    made = None
    if row.state is SubmissionState.ANSWERED:
        made = _copy(row, run, film, again=run.held.failures > 0)
    reach("fetch.before_save", str(run.job.id))
    with run.saving() as session:
        run.result = _keep(session, submission_id, made)


@app.task(name="keep_late_take", soft_time_limit=600, time_limit=660)
def keep_late_take(submission_id: str) -> None:
    """Bring home a take that was paid for and that no job waits for any more."""
    with reading() as session:
        row = session.get(Submission, UUID(submission_id))
        shot = session.get(Shot, row.shot_id) if row is not None and row.shot_id else None
        film = session.get(Film, shot.film_id) if shot is not None else None
    if row is None or film is None or row.state is not SubmissionState.ANSWERED:
        return
    scratch = get_settings().var_dir / "scratch" / f"late-{submission_id}"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        made = _copy(row, Desk(scratch), film, again=True)
    except PipelineError as error:
        log.warning("a late take could not be fetched", submission=submission_id, error=error.message)
        return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with transaction() as session:
        lock_job(session, row.job_id)
        _keep(session, row.id, made)
    log.info("a late take was kept", submission=submission_id)


def _copy(row: Submission, bench: Bench, film: Film, *, again: bool) -> dict[str, Any]:
    """Copy the vendor's file into the store; whatever is wrong with it, the next copy may be whole."""
    assert row.vendor_id is not None
    provider = open_video(row.provider, model=row.model, endpoint=row.endpoint)
    answer = Answer(row.vendor_id, AnswerState.SUCCEEDED, raw=row.answer)
    if again:  # the link may have run out
        fresh = provider.poll([Handle(row.vendor_id, row.receipt, row.model)])[0]
        answer = fresh if fresh.state is AnswerState.SUCCEEDED else answer
    out = bench.scratch / "take.mp4"
    provider.fetch(answer, out)
    try:
        seen = inspect(bench, out, filename="take.mp4", width=film.width, height=film.height)
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
    """Make a take of a copied file, once; call under the job's lock."""
    row = submissions.lock_submission(session, submission_id)
    assert row is not None
    if row.state is not SubmissionState.ANSWERED or made is None:
        return {"take_id": str(row.take_id) if row.take_id else None}
    assert row.shot_id is not None
    take = _add_take(
        session, row.shot_id, row.provider, row.model, row.request, made, row.input_hash,
        cost=made["cost"], step_id=row.step_id, select=row.given_up_at is None,
    )  # fmt: skip
    submissions.mark_succeeded(session, row, take_id=take, actual_cost=made["cost"])
    result = {**made, "submission_id": str(row.id), "take_id": str(take)}
    outcomes.note_result(session, row, result)
    return result


def _add_take(
    session: Session,
    shot_id: UUID,
    provider: str,
    model: str,
    request: dict[str, Any],
    made: dict[str, Any],
    input_hash: str,
    *,
    cost: int,
    step_id: UUID | None,
    select: bool = True,
) -> UUID:
    shot = session.get_one(Shot, shot_id)
    take = add_take(
        session,
        shot,
        origin=TakeOrigin.GENERATED,
        provider=provider,
        model=model,
        seed=request["seed"],
        cost=cost,
        currency=made["currency"],
        source_asset_id=None,
        input_hash=input_hash,
    )
    add_rendition(
        session,
        workspace_id=shot.workspace_id,
        asset_id=take.id,
        role=RenditionRole.ORIGINAL,
        stored=StoredFile.from_json(made["stored"]),
        input_hash=input_hash,
        step_id=step_id,
        tool=f"{provider} {model}",
        parameters=request,
    )
    if select and shot.selected_take_id is None:
        shot.selected_take_id = take.id
    return take.id
