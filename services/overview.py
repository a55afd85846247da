"""What people see of jobs beside the row itself, in a fixed number of queries however many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.assets import Blob, Rendition, RenditionRole
from db.review import Approval, ApprovalState
from db.work import Job, JobKind, JobState, Step
from services.costs import job_costs
from services.paging import Page, Window, read_page

_SHOWN = (
    RenditionRole.MASTER,
    RenditionRole.CAPTIONS,
    RenditionRole.PROXY,
    RenditionRole.POSTER,
    RenditionRole.THUMBNAIL,
    RenditionRole.EXPORT,
    RenditionRole.CLEANED,
)


@dataclass
class Overview:
    """`files` are the newest rendition per role and file name of what the job makes."""

    cost: dict[str, Any] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    files: list[tuple[Rendition, Blob]] = field(default_factory=list)
    phase_seconds: dict[str, float] = field(default_factory=dict)


def list_jobs(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    state: str | None = None,
    kind: str | None = None,
    project_id: UUID | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> Page[Job]:
    statement = select(Job).where(Job.workspace_id == workspace_id, Job.deleted_at.is_(None))
    if state is not None:
        statement = statement.where(Job.state == JobState(state))
    if kind is not None:
        statement = statement.where(Job.kind == JobKind(kind))
    if project_id is not None:
        statement = statement.where(Job.project_id == project_id)
    if created_after is not None:
        statement = statement.where(Job.created_at >= created_after)
    if created_before is not None:
        statement = statement.where(Job.created_at < created_before)
    return read_page(session, statement, Job.id, window)


def overviews(session: Session, jobs: Sequence[Job]) -> dict[UUID, Overview]:
    found = {job.id: Overview() for job in jobs}
    if found:
        _add_costs(session, found)
        _add_approvals(session, found)
        _add_files(session, jobs, found)
        _add_phases(session, found)
    return found


def _add_costs(session: Session, found: dict[UUID, Overview]) -> None:
    for job_id, cost in job_costs(session, list(found)).items():
        found[job_id].cost = cost


def _add_approvals(session: Session, found: dict[UUID, Overview]) -> None:
    rows = session.scalars(
        select(Approval)
        .where(Approval.job_id.in_(list(found)), Approval.state == ApprovalState.PENDING)
        .order_by(Approval.id)
    )
    for row in rows:
        if row.job_id is not None:
            found[row.job_id].approvals.append(row)


def _add_files(session: Session, jobs: Sequence[Job], found: dict[UUID, Overview]) -> None:
    owners: dict[UUID, list[UUID]] = {}
    for job in jobs:
        asset_id = UUID(job.params["asset_id"]) if job.kind is JobKind.TEXT_REMOVAL else job.film_id
        if asset_id is not None:
            owners.setdefault(asset_id, []).append(job.id)
    if not owners:
        return
    rows = session.execute(
        select(Rendition, Blob)
        .join(Blob, Blob.sha256 == Rendition.blob_sha256)
        .where(Rendition.asset_id.in_(list(owners)), Rendition.role.in_(_SHOWN))
        .order_by(Rendition.asset_id, Rendition.role, Rendition.filename, Rendition.created_at.desc())
        .ext(distinct_on(Rendition.asset_id, Rendition.role, Rendition.filename))
    )
    for rendition, blob in rows:
        for job_id in owners[rendition.asset_id]:
            found[job_id].files.append((rendition, blob))


def _add_phases(session: Session, found: dict[UUID, Overview]) -> None:
    rows = session.execute(
        select(
            Step.job_id,
            Step.phase,
            func.extract("epoch", func.max(Step.finished_at) - func.min(Step.started_at)),
        )
        .where(Step.job_id.in_(list(found)), Step.started_at.is_not(None))
        .group_by(Step.job_id, Step.phase)
        .order_by(Step.job_id, func.min(Step.started_at))
    )
    for job_id, phase, seconds in rows:
        found[job_id].phase_seconds[phase] = round(float(seconds or 0), 3)
