"""The asset library: everything with an id, found, described, tagged and filed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, selectin_polymorphic

from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from core.licences import LicenceClass
from db.assets import (
    Asset,
    AssetKind,
    AssetRelationship,
    AssetTag,
    Blob,
    Clip,
    Collection,
    CollectionMember,
    Image,
    MediaAsset,
    Origin,
    Rendition,
    Tag,
)
from db.assets import Audio as AudioAsset
from services.paging import Page, Window, read_page
from services.renditions import name_of_file

Kind = TypeVar("Kind", bound=Asset)
MAX_TAGS = 50


def find_asset(
    session: Session, workspace_id: UUID, model: type[Kind], asset_id: UUID, *, lock: bool = False
) -> Kind:
    """Find one asset of a kind in this workspace; NotFound for deleted ones and other workspaces'."""
    statement: Select[Any] = select(model).where(
        Asset.id == asset_id, Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None)
    )
    if lock:
        statement = statement.with_for_update(of=Asset)
    row: Kind | None = session.scalar(statement)
    if row is None:
        noun = "asset" if model is Asset else model.__name__.lower()
        raise NotFound(f"There is no such {noun}.")
    return row


def check_revision(asset: Asset, expected: int | None) -> None:
    """Refuse an edit that was based on another revision than the present one."""
    if expected is not None and asset.revision != expected:
        raise Conflict(
            f"Somebody else changed it meanwhile (it is at revision {asset.revision}): "
            "read it again and repeat the edit.",
            code="stale_revision",
        )


def change_asset(asset: Asset, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if getattr(asset, name) != value:
            setattr(asset, name, value)


def delete_asset(session: Session, workspace_id: UUID, asset_id: UUID, expected: int | None = None) -> Asset:
    """Hide an asset; its rows and files stay for what was made from it."""
    asset = find_asset(session, workspace_id, Asset, asset_id, lock=True)
    check_revision(asset, expected)
    asset.deleted_at = session.scalar(select(func.now()))
    session.flush()
    return asset


def list_assets(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    kind: str | None = None,
    tag: str | None = None,
    text: str | None = None,
    licence: str | None = None,
    collection_id: UUID | None = None,
) -> Page[Asset]:
    """List assets; `text` looks in name and description, `licence` is a licence class or an SPDX id."""
    statement = (
        select(Asset)
        .options(selectin_polymorphic(Asset, [MediaAsset, Image, Clip, AudioAsset]))
        .where(Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None))
    )
    if kind is not None:
        statement = statement.where(Asset.kind == AssetKind(kind))
    if text is not None:
        wanted = _like(text)
        statement = statement.where(
            or_(Asset.name.ilike(wanted, escape="\\"), Asset.description.ilike(wanted, escape="\\"))
        )
    if tag is not None:
        statement = statement.where(
            select(AssetTag.asset_id)
            .join(Tag, Tag.id == AssetTag.tag_id)
            .where(AssetTag.asset_id == Asset.id, Tag.workspace_id == workspace_id, Tag.name == tag)
            .exists()
        )
    if licence is not None:
        statement = statement.where(
            select(Origin.asset_id)
            .where(
                Origin.asset_id == Asset.id,
                or_(Origin.licence == licence, Origin.licence_class == licence.lower()),
            )
            .exists()
            if licence.lower() in _CLASSES
            else select(Origin.asset_id)
            .where(Origin.asset_id == Asset.id, Origin.licence == licence)
            .exists()
        )
    if collection_id is not None:
        statement = statement.where(
            select(CollectionMember.asset_id)
            .where(CollectionMember.asset_id == Asset.id, CollectionMember.collection_id == collection_id)
            .exists()
        )
    return read_page(session, statement, Asset.id, window)


_CLASSES = tuple(kind.value for kind in LicenceClass)


def tags_of(session: Session, asset_ids: Iterable[UUID]) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {asset_id: [] for asset_id in asset_ids}
    rows = session.execute(
        select(AssetTag.asset_id, Tag.name)
        .join(Tag, Tag.id == AssetTag.tag_id)
        .where(AssetTag.asset_id.in_(list(found)))
        .order_by(Tag.name)
    )
    for asset_id, name in rows:
        found[asset_id].append(name)
    return found


def origins_of(session: Session, asset_ids: Iterable[UUID]) -> dict[UUID, Origin]:
    rows = session.scalars(select(Origin).where(Origin.asset_id.in_(list(asset_ids))))
    return {row.asset_id: row for row in rows}


def set_tags(session: Session, asset: Asset, names: Sequence[str]) -> None:
    """Make the asset carry exactly these tags, making the new ones."""
    wanted = sorted({" ".join(name.split()).lower() for name in names} - {""})
    if len(wanted) > MAX_TAGS:
        raise Invalid(f"An asset carries at most {MAX_TAGS} tags.", field="tags")
    session.execute(delete(AssetTag).where(AssetTag.asset_id == asset.id))
    if not wanted:
        return
    session.execute(
        upsert(Tag)
        .values([{"id": new_id(), "workspace_id": asset.workspace_id, "name": name} for name in wanted])
        .on_conflict_do_nothing()
    )
    ids = session.scalars(select(Tag.id).where(Tag.workspace_id == asset.workspace_id, Tag.name.in_(wanted)))
    session.execute(
        upsert(AssetTag)
        .values([{"asset_id": asset.id, "tag_id": tag_id} for tag_id in ids])
        .on_conflict_do_nothing()
    )


def list_tags(session: Session, workspace_id: UUID, window: Window) -> Page[Tag]:
    return read_page(session, select(Tag).where(Tag.workspace_id == workspace_id), Tag.id, window)


def list_renditions(session: Session, workspace_id: UUID, asset_id: UUID, window: Window) -> Page[Rendition]:
    find_asset(session, workspace_id, Asset, asset_id)
    return read_page(session, select(Rendition).where(Rendition.asset_id == asset_id), Rendition.id, window)


def find_rendition(session: Session, workspace_id: UUID, rendition_id: UUID) -> tuple[Rendition, Blob, str]:
    """A file, its bytes, and what it is called when people save it."""
    row = session.execute(
        select(Rendition, Blob, Asset.name)
        .join(Blob, Blob.sha256 == Rendition.blob_sha256)
        .join(Asset, Asset.id == Rendition.asset_id)
        .where(Rendition.id == rendition_id, Rendition.workspace_id == workspace_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such rendition.")
    return row[0], row[1], name_of_file(row[0], row[2])


def blobs_of(session: Session, renditions: Iterable[Rendition]) -> dict[str, Blob]:
    digests = {rendition.blob_sha256 for rendition in renditions}
    return {row.sha256: row for row in session.scalars(select(Blob).where(Blob.sha256.in_(digests)))}


def list_relationships(
    session: Session, workspace_id: UUID, asset_id: UUID, window: Window
) -> Page[AssetRelationship]:
    """List what this asset is related to, as parent or as child."""
    find_asset(session, workspace_id, Asset, asset_id)
    return read_page(
        session,
        select(AssetRelationship).where(
            AssetRelationship.workspace_id == workspace_id,
            or_(AssetRelationship.parent_id == asset_id, AssetRelationship.child_id == asset_id),
        ),
        AssetRelationship.id,
        window,
    )


def relate_assets(
    session: Session, workspace_id: UUID, parent_id: UUID, *, child_id: UUID, kind: str, label: str = ""
) -> AssetRelationship:
    """Relate two assets; the same relation again is the same row."""
    if parent_id == child_id:
        raise Invalid("An asset is not related to itself.", field="child_id")
    find_asset(session, workspace_id, Asset, parent_id, lock=True)
    find_asset(session, workspace_id, Asset, child_id)
    there = session.scalar(
        select(AssetRelationship).where(
            AssetRelationship.parent_id == parent_id,
            AssetRelationship.child_id == child_id,
            AssetRelationship.kind == kind,
        )
    )
    if there is not None:
        there.label = label
        return there
    row = AssetRelationship(
        workspace_id=workspace_id, parent_id=parent_id, child_id=child_id, kind=kind, label=label
    )
    session.add(row)
    session.flush()
    return row


def create_collection(
    session: Session, workspace_id: UUID, user_id: UUID, *, name: str, description: str = ""
) -> Collection:
    row = Collection(workspace_id=workspace_id, created_by=user_id, name=name, description=description)
    session.add(row)
    session.flush()
    return row


def list_collections(session: Session, workspace_id: UUID, window: Window) -> Page[Collection]:
    return read_page(
        session,
        select(Collection).where(Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None)),
        Collection.id,
        window,
    )


def add_member(session: Session, workspace_id: UUID, collection_id: UUID, asset_id: UUID) -> None:
    """File an asset in a collection; filing it twice is fine."""
    find_asset(session, workspace_id, Collection, collection_id, lock=True)
    find_asset(session, workspace_id, Asset, asset_id)
    if asset_id == collection_id:
        raise Invalid("A collection does not hold itself.", field="asset_id")
    last = session.scalar(
        select(func.coalesce(func.max(CollectionMember.position), -1)).where(
            CollectionMember.collection_id == collection_id
        )
    )
    session.execute(
        upsert(CollectionMember)
        .values(collection_id=collection_id, asset_id=asset_id, position=(last or 0) + 1)
        .on_conflict_do_nothing()
    )


def remove_member(session: Session, workspace_id: UUID, collection_id: UUID, asset_id: UUID) -> None:
    find_asset(session, workspace_id, Collection, collection_id)
    gone = session.execute(
        delete(CollectionMember)
        .where(CollectionMember.collection_id == collection_id, CollectionMember.asset_id == asset_id)
        .returning(CollectionMember.asset_id)
    ).one_or_none()
    if gone is None:
        raise NotFound("The collection does not hold this asset.")


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
