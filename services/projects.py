"""Projects, the films in them, and how people describe both."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.briefs import frame_size
from db.assets import Asset, Film, Project, ProjectStage
from services.activities import record_activity
from services.library import change_asset, check_revision, find_asset
from services.paging import Page, Window, read_page


def create_project(session: Session, workspace_id: UUID, user_id: UUID, data: dict[str, Any]) -> Project:
    project = Project(workspace_id=workspace_id, created_by=user_id, **data)
    session.add(project)
    session.flush()
    record_activity(session, workspace_id, user_id, "project.created", project.id, name=project.name)
    return project


def list_projects(
    session: Session, workspace_id: UUID, window: Window, *, stage: str | None = None
) -> Page[Project]:
    statement = select(Project).where(Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None))
    if stage is not None:
        statement = statement.where(Project.stage == ProjectStage(stage))
    return read_page(session, statement, Project.id, window)


def update_project(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    project_id: UUID,
    changes: dict[str, Any],
    expected: int | None,
) -> Project:
    """Change a project; raises Conflict `stale_revision` when `expected` is not its revision."""
    project = find_asset(session, workspace_id, Project, project_id, lock=True)
    check_revision(project, expected)
    change_asset(project, changes)
    session.flush()
    record_activity(session, workspace_id, user_id, "project.changed", project.id, fields=sorted(changes))
    return project


def delete_project(
    session: Session, workspace_id: UUID, user_id: UUID, project_id: UUID, expected: int | None
) -> None:
    """Hide a project; its films, scripts and jobs stay."""
    project = find_asset(session, workspace_id, Project, project_id, lock=True)
    check_revision(project, expected)
    project.deleted_at = session.scalar(select(func.now()))
    record_activity(session, workspace_id, user_id, "project.deleted", project.id, name=project.name)


def list_films(
    session: Session, workspace_id: UUID, window: Window, *, project_id: UUID | None = None
) -> Page[Film]:
    statement = select(Film).where(Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None))
    if project_id is not None:
        statement = statement.where(Film.project_id == project_id)
    return read_page(session, statement, Film.id, window)


def update_film(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    film_id: UUID,
    changes: dict[str, Any],
    expected: int | None,
) -> Film:
    """Change a film. Another format, voice or caption style makes what was made of it stale, no more."""
    film = find_asset(session, workspace_id, Film, film_id, lock=True)
    check_revision(film, expected)
    if changes.get("project_id") is not None:
        find_asset(session, workspace_id, Project, changes["project_id"])
    if "format" in changes:
        film.width, film.height = frame_size(changes["format"], min(film.width, film.height))
    change_asset(film, changes)
    session.flush()
    record_activity(session, workspace_id, user_id, "film.changed", film.id, fields=sorted(changes))
    return film


def delete_film(
    session: Session, workspace_id: UUID, user_id: UUID, film_id: UUID, expected: int | None
) -> None:
    film = find_asset(session, workspace_id, Film, film_id, lock=True)
    check_revision(film, expected)
    film.deleted_at = session.scalar(select(func.now()))
    record_activity(session, workspace_id, user_id, "film.deleted", film.id, name=film.name)
