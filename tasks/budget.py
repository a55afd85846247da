"""Jobs that are out of budget: looked at again when money may have become available."""

from __future__ import annotations

from uuid import UUID

from db.session import reading, transaction
from services import shortages
from tasks import pipeline


def recheck(workspace_id: UUID | None = None) -> None:
    """Wake what has become affordable, in one workspace or in all; nothing is tried that would be refused."""
    with reading() as session:
        workspaces = [workspace_id] if workspace_id else shortages.short_workspaces(session)
    for owner in workspaces:
        with reading() as session:
            affordable = shortages.find_affordable(session, owner)
        for job_id, step_ids in affordable.items():
            with transaction() as session:
                shortages.wake(session, job_id, step_ids)
            pipeline.advance(job_id)
    if workspace_id is not None:
        with reading() as session:
            waiting = shortages.waiting_jobs(session, workspace_id)
        for job_id in waiting:
            with transaction() as session:
                shortages.refresh_reason(session, job_id)
        return
    with reading() as session:
        unsettled = shortages.unsettled_jobs(session)
    for job_id in unsettled:
        pipeline.advance(job_id)
