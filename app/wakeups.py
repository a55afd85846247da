"""The one way from here into the pipeline: a wake-up sent after the commit."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Invalid
from db.session import after_commit
from db.work import Job
from services.plans import Planned


def advance_after(session: Session, job_id: UUID) -> None:
    """Have the job looked at once this transaction is committed; the sweeper does it if this is lost."""
    from tasks import pipeline

    after_commit(session, lambda: pipeline.advance(job_id))


def wake_after(session: Session, job_id: UUID) -> None:
    """Have a worker look at a new job once this transaction is committed; nobody waits for that."""
    from tasks import pipeline

    after_commit(session, lambda: pipeline.wake(job_id))


def inspect_after(session: Session, upload_id: UUID) -> None:
    """Have a media worker probe the upload once this transaction is committed."""
    from tasks import pipeline

    after_commit(session, lambda: pipeline.inspect_upload(upload_id))


def check(kind: str, params: dict[str, Any]) -> None:
    """Refuse a brief with adapters that are not here or a script that cannot be read; raises Invalid."""
    from tasks import pipeline

    try:
        pipeline.check(kind, params)
    except Invalid as error:
        if error.field and not error.field.startswith("params"):
            error.field = f"params.{error.field}"
        raise


def recheck_after(session: Session, workspace_id: UUID) -> None:
    """Have jobs that wait for money be looked at again once this transaction is committed."""
    from tasks import pipeline

    after_commit(session, lambda: pipeline.recheck_budget(workspace_id))


def describe_providers() -> dict[str, dict[str, Any]]:
    from tasks import pipeline

    return pipeline.describe_providers()


def describe_sources() -> dict[str, dict[str, Any]]:
    from tasks import pipeline

    return pipeline.describe_sources()


def quote(
    session: Session, workspace_id: UUID, kind: str, params: dict[str, Any], **more: Any
) -> dict[str, Any]:
    from tasks import pipeline

    answer: dict[str, Any] = pipeline.quote(session, workspace_id, kind, params, **more)
    return answer


def plan(session: Session, job: Job) -> list[Planned]:
    """Say of every step of a job whether it is made, missing, stale or blocked, and why."""
    from tasks import pipeline

    lines: list[Planned] = pipeline.plan(session, job)
    return lines


def remake(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Have an ended job make what is missing or stale."""
    from tasks import pipeline

    job: Job = pipeline.remake(session, workspace_id, job_id)
    return job
