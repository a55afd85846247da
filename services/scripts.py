"""Scripts as people edit them: append-only versions, differences, restored texts."""

from __future__ import annotations

import difflib
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.scripts import Dialect, parse_script
from db.assets import Asset, Film, Project, Script, ScriptVersion
from services.activities import record_activity
from services.films import add_script_version
from services.library import change_asset, check_revision, find_asset
from services.paging import Page, Window, read_page


def create_script(
    session: Session, workspace_id: UUID, user_id: UUID, *, name: str, project_id: UUID | None
) -> Script:
    if project_id is not None:
        find_asset(session, workspace_id, Project, project_id)
    script = Script(workspace_id=workspace_id, created_by=user_id, name=name, project_id=project_id)
    session.add(script)
    session.flush()
    return script


def project_script(session: Session, workspace_id: UUID, user_id: UUID, project_id: UUID) -> Script:
    """The project's own script: its oldest that belongs to no film, made if there is none."""
    project = find_asset(session, workspace_id, Project, project_id, lock=True)
    used = select(Film.id).where(Film.script_id == Script.id).exists()
    script = session.scalar(
        select(Script)
        .where(Script.project_id == project_id, Asset.deleted_at.is_(None), ~used)
        .order_by(Script.id)
        .limit(1)
    )
    return script or create_script(session, workspace_id, user_id, name=project.name, project_id=project_id)


def list_scripts(
    session: Session, workspace_id: UUID, window: Window, *, project_id: UUID | None = None
) -> Page[Script]:
    statement = select(Script).where(Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None))
    if project_id is not None:
        statement = statement.where(Script.project_id == project_id)
    return read_page(session, statement, Script.id, window)


def add_version(
    session: Session,
    script: Script,
    *,
    user_id: UUID,
    text: str,
    fmt: Dialect,
    origin: str,
    expected: int | None = None,
) -> ScriptVersion:
    """Append a version that parses; raises Invalid naming the line when it does not.

    Equal text of the current version is that version. `expected` guards against a concurrent edit.
    """
    scenes: list[Any] = parse_script(text, fmt).to_json()["scenes"]
    session.refresh(script, with_for_update={"of": Asset})
    check_revision(script, expected)
    version = add_script_version(
        session, script, text=text, fmt=fmt, scenes=scenes, author=str(user_id), origin=origin
    )
    session.flush()
    record_activity(
        session, script.workspace_id, user_id, "script.version_added", script.id, number=version.number
    )
    return version


def rename_script(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    script_id: UUID,
    changes: dict[str, Any],
    expected: int | None,
) -> Script:
    script = find_asset(session, workspace_id, Script, script_id, lock=True)
    check_revision(script, expected)
    change_asset(script, changes)
    session.flush()
    record_activity(session, workspace_id, user_id, "script.changed", script.id, fields=sorted(changes))
    return script


def delete_script(
    session: Session, workspace_id: UUID, user_id: UUID, script_id: UUID, expected: int | None
) -> None:
    script = find_asset(session, workspace_id, Script, script_id, lock=True)
    check_revision(script, expected)
    script.deleted_at = session.scalar(select(func.now()))
    record_activity(session, workspace_id, user_id, "script.deleted", script.id)


def current_version(session: Session, script: Script) -> ScriptVersion | None:
    if script.current_version_id is None:
        return None
    return session.get(ScriptVersion, script.current_version_id)


def list_versions(
    session: Session, workspace_id: UUID, script_id: UUID, window: Window
) -> Page[ScriptVersion]:
    find_asset(session, workspace_id, Script, script_id)
    return read_page(
        session, select(ScriptVersion).where(ScriptVersion.script_id == script_id), ScriptVersion.id, window
    )


def get_version(session: Session, workspace_id: UUID, script_id: UUID, number: int) -> ScriptVersion:
    find_asset(session, workspace_id, Script, script_id)
    version = session.scalar(
        select(ScriptVersion).where(ScriptVersion.script_id == script_id, ScriptVersion.number == number)
    )
    if version is None:
        raise NotFound(f"The script has no version {number}.")
    return version


def diff_versions(
    session: Session, workspace_id: UUID, script_id: UUID, first: int, second: int
) -> list[str]:
    """Lines of a unified diff from one version to another; empty when they are equal."""
    old = get_version(session, workspace_id, script_id, first)
    new = get_version(session, workspace_id, script_id, second)
    return list(
        difflib.unified_diff(
            old.text.splitlines(),
            new.text.splitlines(),
            f"version {old.number}",
            f"version {new.number}",
            lineterm="",
        )
    )


def restore_version(
    session: Session, workspace_id: UUID, user_id: UUID, script_id: UUID, number: int, expected: int | None
) -> ScriptVersion:
    """Append a copy of an older version; history is never rewritten."""
    old = get_version(session, workspace_id, script_id, number)
    script = find_asset(session, workspace_id, Script, script_id, lock=True)
    check_revision(script, expected)
    version = add_script_version(
        session,
        script,
        text=old.text,
        fmt=old.format,
        scenes=old.scenes,
        author=str(user_id),
        origin=f"restored:{number}",
    )
    session.flush()
    record_activity(
        session, workspace_id, user_id, "script.restored", script.id, restored=number, number=version.number
    )
    return version
