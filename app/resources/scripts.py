"""Scripts: versions, differences, restored texts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IF_MATCH_REQUIRED, expected_revision, reply
from app.schemas.studio import (
    ByProjectArgs,
    DiffArgs,
    DiffOut,
    ScriptIn,
    ScriptItemOut,
    ScriptOut,
    ScriptPage,
    ScriptPatchIn,
    VersionIn,
    VersionItemOut,
    VersionOut,
    VersionPage,
)
from db.assets import Script
from db.session import reading, transaction
from services import scripts
from services.library import find_asset

blp = Blueprint("scripts", __name__, url_prefix="/api/v1", description="The written film, versioned.")
GUARDED = {"parameters": [IF_MATCH_REQUIRED]}
_NUMBER = "<int(min=1, max=2147483647):number>"


@blp.post("/scripts")
@blp.arguments(ScriptIn)
@blp.response(201, ScriptOut)
def make_script(data: dict[str, Any]) -> Response:
    """Store a script with its first version."""
    caller = identity()
    with transaction() as session:
        row = scripts.create_script(
            session, caller.workspace_id, caller.user_id, name=data["name"], project_id=data["project_id"]
        )
        scripts.add_version(
            session, row, user_id=caller.user_id, text=data["text"], fmt=data["format"], origin="edited"
        )
        return _shown(session, row, 201)


@blp.get("/scripts")
@blp.arguments(ByProjectArgs, location="query")
@blp.response(200, ScriptPage)
def show_scripts(args: dict[str, Any]) -> Response:
    """List scripts."""
    window, filters = window_of(args)
    with reading() as session:
        page = scripts.list_scripts(session, identity().workspace_id, window, **filters)
        return page_reply(ScriptItemOut, page, args)


@blp.get("/scripts/<uuid:script_id>")
@blp.response(200, ScriptOut)
def show_script(script_id: UUID) -> Response:
    """Show a script with its current version."""
    with reading() as session:
        return _shown(session, find_asset(session, identity().workspace_id, Script, script_id))


@blp.patch("/scripts/<uuid:script_id>")
@blp.arguments(ScriptPatchIn)
@blp.response(200, ScriptOut)
@blp.doc(**GUARDED)
def change_script(data: dict[str, Any], script_id: UUID) -> Response:
    """Rename or describe a script."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        row = scripts.rename_script(session, caller.workspace_id, caller.user_id, script_id, data, expected)
        return _shown(session, row)


@blp.delete("/scripts/<uuid:script_id>")
@blp.response(204)
@blp.doc(**GUARDED)
def remove_script(script_id: UUID) -> Response:
    """Delete a script."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        scripts.delete_script(session, caller.workspace_id, caller.user_id, script_id, expected)
    return Response(status=204)


@blp.get("/scripts/<uuid:script_id>/versions")
@blp.arguments(PageArgs, location="query")
@blp.response(200, VersionPage)
def show_versions(args: dict[str, Any], script_id: UUID) -> Response:
    """List a script's versions."""
    window, _ = window_of(args)
    with reading() as session:
        page = scripts.list_versions(session, identity().workspace_id, script_id, window)
        return page_reply(VersionItemOut, page, args)


@blp.post("/scripts/<uuid:script_id>/versions")
@blp.arguments(VersionIn)
@blp.response(201, VersionOut)
@blp.doc(**GUARDED)
def add_version(data: dict[str, Any], script_id: UUID) -> Response:
    """Write a new version; the script's ETag guards against a second writer."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        row = find_asset(session, caller.workspace_id, Script, script_id)
        version = scripts.add_version(
            session,
            row,
            user_id=caller.user_id,
            text=data["text"],
            fmt=data["format"],
            origin="edited",
            expected=expected,
        )
        where = f"/api/v1/scripts/{script_id}/versions/{version.number}"
        return reply(VersionOut, version, 201, location=where, revision=row.revision)


@blp.get(f"/scripts/<uuid:script_id>/versions/{_NUMBER}")
@blp.response(200, VersionOut)
def show_version(script_id: UUID, number: int) -> Response:
    """Show one version."""
    with reading() as session:
        return reply(VersionOut, scripts.get_version(session, identity().workspace_id, script_id, number))


@blp.get("/scripts/<uuid:script_id>/diff")
@blp.arguments(DiffArgs, location="query")
@blp.response(200, DiffOut)
def diff_versions(args: dict[str, Any], script_id: UUID) -> Response:
    """Show what changed from one version to another."""
    with reading() as session:
        lines = scripts.diff_versions(
            session, identity().workspace_id, script_id, args["first"], args["second"]
        )
        return reply(DiffOut, {**args, "equal": not lines, "diff": lines})


@blp.post(f"/scripts/<uuid:script_id>/versions/{_NUMBER}/restore")
@blp.response(201, VersionOut)
@blp.doc(**GUARDED)
def restore_version(script_id: UUID, number: int) -> Response:
    """Make an older text the current version again, as a new version."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        version = scripts.restore_version(
            session, caller.workspace_id, caller.user_id, script_id, number, expected
        )
        where = f"/api/v1/scripts/{script_id}/versions/{version.number}"
        return reply(VersionOut, version, 201, location=where)


def _shown(session: Session, row: Script, status: int = 200) -> Response:
    version = scripts.current_version(session, row)
    shown = {name: getattr(row, name) for name in ScriptItemOut().fields}
    where = f"/api/v1/scripts/{row.id}"
    return reply(ScriptOut, {**shown, "version": version}, status, location=where, revision=row.revision)
