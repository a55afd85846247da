"""Films, their script versions, shots and takes, as the pipeline writes them."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.briefs import frame_size
from core.errors import NotFound
from core.ids import new_id
from core.scripts import Script as ScriptText
from db.assets import AssetStatus, Film, Project, Script, ScriptVersion, Shot, Take, TakeOrigin
from db.prepared import Call, Prepared

_NAME_ROOM = 290
"""Of a film's name in its script's: both have 300 characters at most."""


_CREATE_FILM = Prepared(
    "create_film",
    "film uuid, script uuid, workspace uuid, user uuid, project uuid, name text, script_name text,"
    " format text, width int, height int, fps int, language text, target float8, voice text, music jsonb,"
    " captions text",
    """
WITH asset AS (
    INSERT INTO assets (id, workspace_id, kind, name, description, created_by)
    VALUES ($script, $workspace, 'script', $script_name, '', $user),
        ($film, $workspace, 'film', $name, '', $user)
),
script AS (
    INSERT INTO scripts (id, project_id) VALUES ($script, $project)
)
INSERT INTO films (id, project_id, script_id, format, width, height, fps, language, target_duration, voice,
    music, caption_style)
VALUES ($film, $project, $script, $format, $width, $height, $fps, $language, $target, $voice, $music,
    $captions)
""",
)


def plan_film(
    *,
    workspace_id: UUID,
    user_id: UUID | None,
    project_id: UUID | None,
    params: dict[str, Any],
) -> tuple[UUID, Call]:
    """The film a brief asks for, with its empty script: its id, and the statement that writes both."""
    name = film_name(params)
    width, height = frame_size(params["format"], params["size"])
    film_id = new_id()
    return film_id, _CREATE_FILM.call(
        film=film_id,
        script=new_id(),
        workspace=workspace_id,
        user=user_id,
        project=project_id,
        name=name,
        script_name=f"{name[:_NAME_ROOM]} (script)",
        format=params["format"],
        width=width,
        height=height,
        fps=params["fps"],
        language=params["language"],
        target=params["target_duration"],
        voice=params["voice"],
        music=json.dumps(params["music"]),
        captions=params["captions"],
    )


def find_project(session: Session, workspace_id: UUID, project_id: UUID) -> Project:
    project = session.scalar(
        select(Project).where(
            Project.id == project_id, Project.workspace_id == workspace_id, Project.deleted_at.is_(None)
        )
    )
    if project is None:
        raise NotFound("There is no such project.", field="project_id")
    return project


def add_script_version(
    session: Session,
    script: Script,
    *,
    text: str,
    fmt: str,
    scenes: list[Any],
    author: str,
    origin: str,
) -> ScriptVersion:
    """Append a version and make it the current one; equal text of the current version is kept."""
    session.scalar(select(Script.id).where(Script.id == script.id).with_for_update())
    current = session.get(ScriptVersion, script.current_version_id) if script.current_version_id else None
    if current is not None and current.text == text and current.format == fmt:
        return current
    last = session.scalar(
        select(func.coalesce(func.max(ScriptVersion.number), 0)).where(ScriptVersion.script_id == script.id)
    )
    version = ScriptVersion(
        workspace_id=script.workspace_id,
        script_id=script.id,
        number=(last or 0) + 1,
        text=text,
        format=fmt,
        scenes=scenes,
        author=author,
        origin=origin,
    )
    session.add(version)
    session.flush()
    script.current_version_id = version.id
    return version


def film_shots(session: Session, film_id: UUID) -> list[Shot]:
    return list(
        session.scalars(
            select(Shot)
            .where(Shot.film_id == film_id, Shot.deleted_at.is_(None))
            .order_by(Shot.position, Shot.id)
        )
    )


def plan_shots(script: ScriptText) -> list[dict[str, Any]]:
    """What the shots of a script are: the columns that `write_shots` sets, in the order of the cut."""
    return [
        {
            "name": f"Shot {number}",
            "scene": scene.number,
            "heading": scene.heading,
            "narration": shot.narration,
            "visual_prompt": shot.visual_prompt,
            "search_words": [word[:100] for word in shot.search_words],
            "camera": shot.camera,
            "title": shot.title,
            "asked_duration": shot.duration,
            "image": shot.image,
            "clip": shot.clip,
            "reference": shot.reference,
            "audio": shot.audio,
        }
        for number, (scene, shot) in enumerate(script.shots, start=1)
    ]


def write_shots(
    session: Session, film: Film, version: ScriptVersion, plans: list[dict[str, Any]]
) -> list[Shot]:
    """Make the film's shots say what the script says; shots are matched by position.

    A shot that the script no longer has is deleted softly: its takes stay.
    """
    shots = film_shots(session, film.id)
    for position, plan in enumerate(plans):
        if position < len(shots):
            shot = shots[position]
            for name, value in plan.items():
                if getattr(shot, name) != value:
                    setattr(shot, name, value)
            if shot.position != position:
                shot.position = position
        else:
            shot = Shot(workspace_id=film.workspace_id, film_id=film.id, position=position, **plan)
            session.add(shot)
            shots.append(shot)
        shot.script_version_id = version.id
    for surplus in shots[len(plans) :]:
        surplus.deleted_at = func.now()
    session.flush()
    return shots[: len(plans)]


def kept_asset(result: dict[str, Any], part: str | None = None) -> UUID | None:
    """The asset that `keep_stock` left: what a shot shows, or as `reference` what a vendor begins with."""
    found = result.get(part) if part is not None else result
    asset = (found or {}).get("asset_id")
    return UUID(asset) if asset else None


def add_take(
    session: Session,
    shot: Shot,
    *,
    origin: TakeOrigin,
    provider: str | None,
    model: str | None,
    seed: int | None,
    cost: int,
    currency: str,
    source_asset_id: UUID | None,
    input_hash: str,
    instructions: str = "",
) -> Take:
    """Number and keep a take. The same inputs of the same shot are the same take."""
    session.scalar(select(Shot.id).where(Shot.id == shot.id).with_for_update())
    take = session.scalar(
        select(Take).where(Take.shot_id == shot.id, Take.input_hash == input_hash, Take.deleted_at.is_(None))
    )
    if take is not None:
        return take
    last = session.scalar(select(func.coalesce(func.max(Take.number), 0)).where(Take.shot_id == shot.id))
    take = Take(
        workspace_id=shot.workspace_id,
        name=f"{shot.name}, take {(last or 0) + 1}",
        shot_id=shot.id,
        number=(last or 0) + 1,
        origin=origin,
        provider=provider,
        model=model,
        seed=seed,
        cost=cost,
        currency=currency,
        source_asset_id=source_asset_id,
        input_hash=input_hash,
        instructions=instructions,
    )
    session.add(take)
    session.flush()
    return take


def usable_take(session: Session, shot: Shot) -> Take | None:
    """The selected take when its file is sound, else the newest sound one, else None."""
    takes = session.scalars(
        select(Take)
        .where(Take.shot_id == shot.id, Take.status == AssetStatus.ACTIVE, Take.deleted_at.is_(None))
        .order_by(Take.number.desc())
    ).all()
    for take in takes:
        if take.id == shot.selected_take_id:
            return take
    return takes[0] if takes else None


def film_name(params: dict[str, Any]) -> str:
    """What a film is called: its title, or the first words of what was sent."""
    name: str = params["title"] or _first_words(params["text"] or params["script"])
    return name


def shown_file(take: Take | None, original: str | None) -> str | None:
    """Digest of the file that the cut shows of a take: cleaned of text, or its `original`."""
    cleaned: str | None = (take.quality.get("text") or {}).get("cleaned") if take is not None else None
    return cleaned if original is not None and cleaned else original


def _first_words(text: str, limit: int = 60) -> str:
    line = next((part.strip("#*_ \t") for part in text.splitlines() if part.strip("#*_ \t")), "Untitled")
    sentence = re.split(r"(?<=[.!?…。！？])\s|(?<=[。！？])", line, maxsplit=1)[0].rstrip(".。")  # noqa: RUF001
    if 3 < len(sentence) <= limit:
        return sentence
    return line if len(line) <= limit else line[: limit - 1].rsplit(" ", 1)[0] + "…"
