"""Assets that will do in place of an item from elsewhere: the same file, or the work on the same page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from core.licences import Licence, LicencePolicy
from db.assets import Asset, AssetKind, AssetStatus, MediaAsset, Origin
from services.duplicates import strictness


@dataclass(frozen=True)
class Wanted:
    """An item before its file is here, or, with `sha256`, after; and which licence will do in its place."""

    kind: str
    source: str
    licence: Licence
    policy: LicencePolicy
    canonical_url: str | None = None
    width: int | None = None
    height: int | None = None
    sha1: str | None = None
    sha256: str | None = None


def find_copy(session: Session, workspace_id: UUID, wanted: Wanted) -> UUID | None:
    """An asset to take instead: its licence passes the policy and is no stricter than the item's.

    An upload stands in for nothing: its licence is its sender's word, the source's is on a page.
    """
    there = _candidates(workspace_id, wanted)
    same_file = [
        column == value
        for column, value in ((MediaAsset.sha256, wanted.sha256), (MediaAsset.sha1, wanted.sha1))
        if value
    ]
    if same_file:
        for asset, origin in session.execute(there.where(or_(*same_file))):
            if _will_do(origin, wanted):
                return asset.id
    if wanted.canonical_url is None:
        return None
    on_its_page = there.where(Origin.canonical_url == wanted.canonical_url, Origin.source != wanted.source)
    found = session.execute(on_its_page.limit(2)).all()
    if len(found) != 1:  # a page of many items names none of them
        return None
    asset, origin = found[0]
    return asset.id if _will_do(origin, wanted) and _as_large(asset, wanted) else None


def _candidates(workspace_id: UUID, wanted: Wanted) -> Select[MediaAsset, Origin]:
    return (
        select(MediaAsset, Origin)
        .join(Origin, Origin.asset_id == MediaAsset.id)
        .where(
            Asset.workspace_id == workspace_id,
            Asset.kind == AssetKind(wanted.kind),
            Asset.status == AssetStatus.ACTIVE,
            Asset.deleted_at.is_(None),
            Origin.source != "upload",
        )
        .order_by(MediaAsset.id)
    )


def _will_do(origin: Origin, wanted: Wanted) -> bool:
    licence = Licence.from_json(origin.licence_facts)
    freer = strictness(licence.licence_class) <= strictness(wanted.licence.licence_class)
    return freer and wanted.policy.verdict(licence).ok


def _as_large(asset: MediaAsset, wanted: Wanted) -> bool:
    """Whether the item promises no more pixels than the asset has."""
    if not (wanted.width and wanted.height and asset.width and asset.height):
        return True
    return asset.width * asset.height >= 0.9 * wanted.width * wanted.height
