"""Blobs and renditions: content-addressed bytes, and the files of assets that point at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from db.assets import Asset, Blob, Derivation, Rendition, RenditionRole, Upload

_CLIP_ENDINGS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"})


@dataclass(frozen=True)
class StoredFile:
    """A file whose bytes are in the object store; JSON-ready, as steps keep it in their results."""

    sha256: str
    size: int
    mime: str
    key: str
    filename: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    codec: str | None = None
    bitrate: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StoredFile:
        return cls(**value)


def keep_blob(session: Session, stored: StoredFile) -> None:
    """Register the bytes. Equal bytes are registered once, and are as young as their last registration."""
    session.execute(
        upsert(Blob)
        .values(sha256=stored.sha256, size=stored.size, mime=stored.mime, storage_key=stored.key)
        .on_conflict_do_nothing()
    )
    # an own statement: an upsert would lock the row each time, and two steps that share many files deadlock
    session.execute(
        update(Blob)
        .where(Blob.sha256 == stored.sha256, Blob.created_at < func.now() - timedelta(hours=1))
        .values(created_at=func.now())
        .execution_options(synchronize_session=False)
    )


def add_rendition(
    session: Session,
    *,
    workspace_id: UUID,
    asset_id: UUID,
    role: RenditionRole,
    stored: StoredFile,
    input_hash: str | None = None,
    parents: Iterable[UUID] = (),
    step_id: UUID | None = None,
    tool: str = "",
    parameters: dict[str, Any] | None = None,
) -> Rendition:
    """Give an asset a file, and say what the file was made from.

    The same bytes in the same role of the same asset are one rendition, however often they are saved.
    """
    keep_blob(session, stored)
    rendition = session.scalar(
        select(Rendition).where(
            Rendition.asset_id == asset_id,
            Rendition.role == role,
            Rendition.blob_sha256 == stored.sha256,
            Rendition.filename == stored.filename,
        )
    )
    if rendition is None:
        rendition = Rendition(
            workspace_id=workspace_id,
            asset_id=asset_id,
            role=role,
            blob_sha256=stored.sha256,
            filename=stored.filename,
            mime=stored.mime,
            width=stored.width,
            height=stored.height,
            duration=stored.duration,
            bitrate=stored.bitrate,
            codec=stored.codec,
            facts=stored.facts,
            input_hash=input_hash,
        )
        session.add(rendition)
    else:
        rendition.created_at = func.now()
        rendition.input_hash = input_hash
    session.flush()
    for parent in dict.fromkeys(parents):
        if parent != rendition.id:
            session.execute(
                upsert(Derivation)
                .values(
                    child_rendition_id=rendition.id,
                    parent_rendition_id=parent,
                    step_id=step_id,
                    tool=tool,
                    parameters=parameters or {},
                )
                .on_conflict_do_nothing()
            )
    return rendition


def latest_rendition(session: Session, asset_id: UUID, role: RenditionRole) -> Rendition | None:
    return session.scalar(
        select(Rendition)
        .where(Rendition.asset_id == asset_id, Rendition.role == role)
        .order_by(Rendition.created_at.desc(), Rendition.id.desc())
        .limit(1)
    )


def name_of_file(rendition: Rendition, asset_name: str) -> str:
    """What a file is called when people save it: what became of a clip goes by the name of what was sent."""
    if rendition.role not in (RenditionRole.CLEANED, RenditionRole.REPORT):
        return rendition.filename
    sent, made = PurePath(asset_name), PurePath(rendition.filename)
    stem = sent.stem if sent.suffix.lower() in _CLIP_ENDINGS else asset_name
    what = "clean" if rendition.role is RenditionRole.CLEANED else made.stem.replace("-", " ")
    return f"{stem} ({what}){made.suffix}"


def blob_of(session: Session, rendition: Rendition) -> Blob:
    return session.get_one(Blob, rendition.blob_sha256)


def still_there(session: Session, result: dict[str, Any]) -> bool:
    """Whether everything a step's result names is still here: the bytes of each `sha256`, each `asset_id`."""
    blobs, assets = set(_named(result, "sha256")), {UUID(value) for value in _named(result, "asset_id")}
    for listed in _named(result, "asset_ids"):
        assets |= {UUID(value) for value in listed}
    stored = session.scalar(select(func.count()).select_from(Blob).where(Blob.sha256.in_(blobs)))
    alive = select(func.count()).select_from(Asset).where(Asset.id.in_(assets), Asset.deleted_at.is_(None))
    return stored == len(blobs) and (not assets or session.scalar(alive) == len(assets))


def _named(value: Any, name: str) -> Iterator[Any]:
    """Everything under a name in JSON, at any depth; nulls left out."""
    if isinstance(value, dict):
        if value.get(name) is not None:
            yield value[name]
        for part in value.values():
            yield from _named(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part, name)


def take_unused_blobs(session: Session, *, older_than_hours: int, limit: int = 100) -> list[str]:
    """Forget blobs that no rendition and no upload points at; returns their storage keys to delete.

    The grace time protects bytes whose rendition is about to be written.
    """
    used = select(Rendition.id).where(Rendition.blob_sha256 == Blob.sha256).exists()
    uploaded = select(Upload.id).where(Upload.blob_sha256 == Blob.sha256).exists()
    rows = session.scalars(
        select(Blob)
        .where(
            Blob.created_at < func.now() - func.make_interval(0, 0, 0, 0, older_than_hours),
            ~used,
            ~uploaded,
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    keys = [row.storage_key for row in rows]
    session.execute(delete(Blob).where(Blob.sha256.in_([row.sha256 for row in rows])))
    return keys
