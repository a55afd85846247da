"""Projects: what films, scripts and caps belong to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest.fields import Upload as UploadField
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import page_reply, window_of
from app.reply import IF_MATCH_PARAMETER, expected_revision, reply
from app.schemas.base import In
from app.schemas.studio import (
    ProjectIn,
    ProjectListArgs,
    ProjectOut,
    ProjectPage,
    ProjectPatchIn,
    VersionIn,
    VersionOut,
)
from core.errors import Invalid
from db.assets import Project
from db.session import reading, transaction
from services import projects, scripts
from services.library import find_asset
from services.script_files import read_script_file

blp = Blueprint("projects", __name__, url_prefix="/api/v1", description="What films belong to.")
MAX_SCRIPT_FILE = 4 * 1024 * 1024


class ScriptFile(In):
    file = UploadField(required=True, metadata={"description": "txt, md, fountain or docx"})


@blp.post("/projects")
@blp.arguments(ProjectIn)
@blp.response(201, ProjectOut)
def make_project(data: dict[str, Any]) -> Response:
    """Make a project."""
    caller = identity()
    with transaction() as session:
        row = projects.create_project(session, caller.workspace_id, caller.user_id, data)
        return reply(ProjectOut, row, 201, location=f"/api/v1/projects/{row.id}", revision=row.revision)


@blp.get("/projects")
@blp.arguments(ProjectListArgs, location="query")
@blp.response(200, ProjectPage)
def show_projects(args: dict[str, Any]) -> Response:
    """List projects."""
    window, filters = window_of(args)
    with reading() as session:
        page = projects.list_projects(session, identity().workspace_id, window, **filters)
        return page_reply(ProjectOut, page, args)


@blp.get("/projects/<uuid:project_id>")
@blp.response(200, ProjectOut)
def show_project(project_id: UUID) -> Response:
    """Show a project."""
    with reading() as session:
        row = find_asset(session, identity().workspace_id, Project, project_id)
        return reply(ProjectOut, row, revision=row.revision)


@blp.patch("/projects/<uuid:project_id>")
@blp.arguments(ProjectPatchIn)
@blp.response(200, ProjectOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def change_project(data: dict[str, Any], project_id: UUID) -> Response:
    """Change a project."""
    caller = identity()
    with transaction() as session:
        row = projects.update_project(
            session, caller.workspace_id, caller.user_id, project_id, data, expected_revision()
        )
        return reply(ProjectOut, row, revision=row.revision)


@blp.delete("/projects/<uuid:project_id>")
@blp.response(204)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def remove_project(project_id: UUID) -> Response:
    """Delete a project; its films stay."""
    caller = identity()
    with transaction() as session:
        projects.delete_project(session, caller.workspace_id, caller.user_id, project_id, expected_revision())
    return Response(status=204)


@blp.post("/projects/<uuid:project_id>/upload-script")
@blp.arguments(ScriptFile, location="multipart")
@blp.response(201, VersionOut)
def upload_script(files: dict[str, Any], project_id: UUID) -> Response:
    """Store a script file as a new version of the project's script."""
    sent = files["file"]
    content = sent.stream.read(MAX_SCRIPT_FILE + 1)
    if len(content) > MAX_SCRIPT_FILE:
        raise Invalid(f"A script file has at most {MAX_SCRIPT_FILE} bytes.", field="file")
    words, dialect = read_script_file(sent.filename or "", content)
    with transaction() as session:
        return _new_version(session, project_id, words, dialect, "upload")


@blp.post("/projects/<uuid:project_id>/screenplay")
@blp.arguments(VersionIn)
@blp.response(201, VersionOut)
def store_screenplay(data: dict[str, Any], project_id: UUID) -> Response:
    """Store a script text as a new version of the project's script."""
    with transaction() as session:
        return _new_version(session, project_id, data["text"], data["format"], "edited")


def _new_version(session: Session, project_id: UUID, text: str, dialect: Any, origin: str) -> Response:
    caller = identity()
    script = scripts.project_script(session, caller.workspace_id, caller.user_id, project_id)
    version = scripts.add_version(
        session, script, user_id=caller.user_id, text=text, fmt=dialect, origin=origin
    )
    where = f"/api/v1/scripts/{script.id}/versions/{version.number}"
    return reply(VersionOut, version, 201, location=where)
