"""Sample data: a project whose script can be filmed at once."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound
from db.assets import Asset, Project
from db.identity import Membership, Role
from services.projects import create_project
from services.scripts import add_version, project_script

NAME = "Looking Up (sample)"


def sow(session: Session, script: str) -> str:
    """Add the sample project to the first workspace, once; says what there is now."""
    owner = session.scalars(
        select(Membership).where(Membership.role == Role.OWNER).order_by(Membership.created_at).limit(1)
    ).one_or_none()
    if owner is None:
        raise NotFound("There is no workspace yet: start the stack once with `make up`.")
    known = session.scalar(
        select(Project).where(
            Asset.workspace_id == owner.workspace_id, Asset.name == NAME, Asset.deleted_at.is_(None)
        )
    )
    if known is not None:
        return f"The project “{NAME}” is there already: {known.id}"
    project = create_project(
        session,
        owner.workspace_id,
        owner.user_id,
        {"name": NAME, "description": "A short film about looking up, made of public-domain pictures."},
    )
    version = add_version(
        session,
        project_script(session, owner.workspace_id, owner.user_id, project.id),
        user_id=owner.user_id,
        text=script,
        fmt="markdown",
        origin="upload",
    )
    return f"Added the project “{NAME}” ({project.id}) with version {version.number} of its script."
