"""What people see of jobs beside the row itself, in a fixed number of queries however many jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from core.errors import NotFound
from db.assets import Asset, Blob, Rendition, RenditionRole
from db.prepared import Prepared
from db.review import Approval, ApprovalState
from db.work import Job, JobKind, JobState, Step, WaitsFor
from services.costs import job_costs, no_cost
from services.paging import Page, Window, read_page
from services.renditions import name_of_file

_SHOWN = (
    RenditionRole.MASTER,
    RenditionRole.CAPTIONS,
    RenditionRole.PROXY,
    RenditionRole.POSTER,
    RenditionRole.THUMBNAIL,
    RenditionRole.EXPORT,
)
_FILE = "_rendition_id"


@dataclass
class Overview:
    """`files` are what there is to download, by name; see `_film_files` and `_clean_files`."""

    cost: dict[str, Any] = field(default_factory=no_cost)
    approvals: list[Approval] = field(default_factory=list)
    files: dict[str, tuple[Rendition, Blob, str]] = field(default_factory=dict)
    """With the file name that people get."""
    phase_seconds: dict[str, float] = field(default_factory=dict)
    has_steps: bool = False
    has_submissions: bool = False


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


_HAS = """
    EXISTS (SELECT FROM holds WHERE holds.job_id = job.id)
        OR EXISTS (SELECT FROM submissions WHERE submissions.job_id = job.id)
        OR EXISTS (SELECT FROM steps WHERE steps.job_id = job.id AND short_amount IS NOT NULL) AS has_cost,
    EXISTS (SELECT FROM approvals WHERE job_id = job.id AND approvals.state = 'pending') AS has_approvals,
    EXISTS (SELECT FROM steps WHERE steps.job_id = job.id) AS has_steps,
    EXISTS (SELECT FROM submissions WHERE submissions.job_id = job.id) AS has_submissions,
"""
_PARTS = Prepared(
    "job_parts",
    "jobs uuid[], films uuid[]",
    f"""
SELECT {_HAS} EXISTS (SELECT FROM renditions WHERE renditions.asset_id = job.film_id) AS has_files, job.id
FROM unnest($jobs, $films) AS job (id, film_id)
""",  # noqa: S608 - the parts are constants
)
_JOB = Prepared(
    "job_with_parts",
    "job uuid, workspace uuid",
    f"""
SELECT {_HAS} EXISTS (SELECT FROM renditions WHERE renditions.asset_id = film_id) AS has_files, job.*
FROM jobs AS job WHERE id = $job AND workspace_id = $workspace AND deleted_at IS NULL
""",  # noqa: S608 - the parts are constants
)
_ENUMS = {"kind": JobKind, "state": JobState, "waits_for": WaitsFor}


def overview(session: Session, workspace_id: UUID, job_id: UUID) -> tuple[Job, Overview]:
    """Read a job and what hangs on it; the job is a copy that no session knows. Raises NotFound."""
    row = _JOB.run(session, job=job_id, workspace=workspace_id).one_or_none()
    if row is None:
        raise NotFound("There is no such job.", field="job_id")
    columns = {name: value for name, value in row._asdict().items() if not name.startswith("has_")}
    for name, enum in _ENUMS.items():
        columns[name] = enum(columns[name]) if columns[name] is not None else None
    job = Job(**columns)
    return job, _fill(session, [job], [row])[job.id]


def overviews(session: Session, jobs: Sequence[Job]) -> dict[UUID, Overview]:
    """Look up what hangs on these jobs: first what there is at all, which for most jobs is little."""
    if not jobs:
        return {}
    asked = {"jobs": [job.id for job in jobs], "films": [job.film_id for job in jobs]}
    return _fill(session, jobs, list(_PARTS.run(session, **asked)))


def _fill(session: Session, jobs: Sequence[Job], parts: Sequence[Any]) -> dict[UUID, Overview]:
    found = {job.id: Overview() for job in jobs}
    for part in parts:
        found[part.id].has_steps, found[part.id].has_submissions = part.has_steps, part.has_submissions
    for add, having in (
        (_add_costs, [part.id for part in parts if part.has_cost]),
        (_add_approvals, [part.id for part in parts if part.has_approvals]),
        (_add_phases, [part.id for part in parts if part.has_steps]),
    ):
        if having:
            add(session, {job_id: found[job_id] for job_id in having})
    makers = {part.id for part in parts if part.has_files}
    films = [job for job in jobs if job.id in makers and job.film_id is not None]
    if films:
        _film_files(session, films, found)
    cleaned = [job for job in jobs if job.kind is JobKind.TEXT_REMOVAL and _made(job)]
    if cleaned:
        _clean_files(session, cleaned, found)
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


def _film_files(session: Session, jobs: Sequence[Job], found: dict[UUID, Overview]) -> None:
    """Of a film the newest file of each role; where a role has several, by their file names."""
    owners: dict[UUID, list[UUID]] = {}
    for job in jobs:
        owners.setdefault(cast(UUID, job.film_id), []).append(job.id)
    rows = session.execute(
        select(Rendition, Blob)
        .join(Blob, Blob.sha256 == Rendition.blob_sha256)
        .where(Rendition.asset_id.in_(list(owners)), Rendition.role.in_(_SHOWN))
        .order_by(Rendition.asset_id, Rendition.role, Rendition.filename, Rendition.created_at.desc())
        .ext(distinct_on(Rendition.asset_id, Rendition.role, Rendition.filename))
    ).all()
    counts = Counter((rendition.asset_id, rendition.role) for rendition, _ in rows)
    for rendition, blob in rows:
        role = rendition.role
        single = counts[rendition.asset_id, role] == 1 and role is not RenditionRole.EXPORT
        name = role.value if single else rendition.filename
        for job_id in owners[rendition.asset_id]:
            found[job_id].files[name] = rendition, blob, rendition.filename


def _clean_files(session: Session, jobs: Sequence[Job], found: dict[UUID, Overview]) -> None:
    """What each job made of its clip, not what another job made of the same clip later."""
    asked = {rendition_id for job in jobs for rendition_id in _made(job).values()}
    rows = session.execute(
        select(Rendition, Blob, Asset.name)
        .join(Blob, Blob.sha256 == Rendition.blob_sha256)
        .join(Asset, Asset.id == Rendition.asset_id)
        .where(Rendition.id.in_(asked))
    )
    files = {rendition.id: (rendition, blob, name_of_file(rendition, clip)) for rendition, blob, clip in rows}
    for job in jobs:
        there = {name: files[id_] for name, id_ in _made(job).items() if id_ in files}
        found[job.id].files.update(there)


def _made(job: Job) -> dict[str, UUID]:
    """The files that a result names: `cleaned_rendition_id` is `cleaned`."""
    named = (job.result or {}).items()
    return {k.removesuffix(_FILE): UUID(v) for k, v in named if k.endswith(_FILE) and isinstance(v, str)}


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
