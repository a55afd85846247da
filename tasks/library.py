"""Files that came in from outside become assets here: licensed, once, beside what they are like."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import NotFound, Permanent
from core.guard import is_public
from core.licences import Licence, LicencePolicy
from core.redact import redact
from db.assets import (
    Asset,
    AssetKind,
    Audio,
    Clip,
    Image,
    MediaAsset,
    Origin,
    Rendition,
    RenditionRole,
    Take,
)
from scrapers.base import Candidate, canonical_url
from services.copies import Wanted, find_copy
from services.duplicates import link_duplicates
from services.films import shown_file
from services.fingerprints import add_hashes
from services.renditions import add_rendition, latest_rendition
from services.rights import last_said, note_licence
from tasks.inspection import Inspected
from tasks.step import storage

log = structlog.get_logger()

_PROVENANCE = ("title", "landing_url", "use_url", "creator", "creator_url", "attribution")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_ROWS: dict[str, type[MediaAsset]] = {"image": Image, "clip": Clip, "audio": Audio}


def keep_asset(
    session: Session,
    *,
    workspace_id: UUID,
    inspected: Inspected,
    name: str,
    source: str,
    foreign_id: str,
    licence: Licence,
    raw_licence: str,
    origin: dict[str, Any],
    instead: Wanted | None = None,
) -> MediaAsset:
    """Make an asset of an inspected file, once per source and item; its origin says the licence.

    An item that was deleted here and is wanted again comes back, under the licence it was kept with. With
    `instead`, an asset that will do in its place is the answer. What is like it is said there too.
    """
    # two films that keep the same picture at once; one lock for all items, so that none can deadlock
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(workspace_id), 0))))
    known = session.scalar(
        select(Origin.asset_id).where(
            Origin.workspace_id == workspace_id, Origin.source == source, Origin.foreign_id == foreign_id
        )
    )
    if known is not None:
        asset = session.get_one(MediaAsset, known)
        asset.deleted_at = None
        note_licence(session, session.get_one(Origin, known), licence, raw_licence)
        return asset
    if instead is not None and (copy := find_copy(session, workspace_id, instead)) is not None:
        log.info("an asset is taken in place of a find", asset_id=str(copy), source=source, item=foreign_id)
        return session.get_one(MediaAsset, copy)
    asset = _ROWS[inspected.kind](
        workspace_id=workspace_id, name=name[:300], sha256=inspected.stored.sha256, **inspected.facts
    )
    session.add(asset)
    session.flush()
    session.add(
        Origin(
            asset_id=asset.id,
            workspace_id=workspace_id,
            source=source,
            foreign_id=foreign_id,
            licence=licence.id,
            licence_class=licence.licence_class,
            licence_url=licence.url,
            licence_facts=licence.to_json(),
            raw_licence=raw_licence,
            canonical_url=canonical_url(origin.get("landing_url")),
            **origin,
        )
    )
    add_rendition(
        session,
        workspace_id=workspace_id,
        asset_id=asset.id,
        role=RenditionRole.ORIGINAL,
        stored=inspected.stored,
    )
    _show_and_compare(session, asset, inspected)
    return asset


def describe_asset(session: Session, asset: MediaAsset, inspected: Inspected) -> None:
    """Write down what an asset proved to be that was made before anybody had looked into its file."""
    for name, value in inspected.facts.items():
        setattr(asset, name, value)
    original, stored = original_of(session, asset), inspected.stored
    for name in ("width", "height", "duration", "codec", "bitrate"):
        setattr(original, name, getattr(stored, name))
    session.flush()
    _show_and_compare(session, asset, inspected)


def _show_and_compare(session: Session, asset: MediaAsset, inspected: Inspected) -> None:
    if inspected.thumbnail is not None:
        add_rendition(
            session,
            workspace_id=asset.workspace_id,
            asset_id=asset.id,
            role=RenditionRole.THUMBNAIL,
            stored=inspected.thumbnail,
        )
    add_hashes(session, asset, inspected.prints)
    link_duplicates(session, asset)


def keep_found(
    session: Session,
    workspace_id: UUID,
    found: Candidate,
    inspected: Inspected,
    *,
    policy: LicencePolicy,
    foreign_id: str = "",
) -> MediaAsset:
    """Make an asset of a source's item, see `keep_asset`; `foreign_id` where it is kept under another id.

    One with the same bytes, or of the same work, is the answer where `policy` takes its licence.
    """
    return keep_asset(
        session,
        workspace_id=workspace_id,
        inspected=inspected,
        name=found.title,
        source=found.source,
        foreign_id=foreign_id or found.foreign_id,
        licence=found.licence,
        raw_licence=found.raw_licence,
        origin={
            **{name: getattr(found, name) for name in _PROVENANCE},
            "media_url": found.media_url if found.expires_at is None else None,
            "restrictions": list(found.restrictions),
            "licence_proof": _proof(found),
        },
        instead=_wanted(found, policy, inspected.stored.sha256),
    )


def kept_already(
    session: Session, workspace_id: UUID, found: Candidate, policy: LicencePolicy, *, foreign_id: str = ""
) -> UUID | None:
    """The asset that needs no download: the item itself, kept before, or a copy of it that `policy` takes."""
    known = known_asset(session, workspace_id, found.source, foreign_id or found.foreign_id)
    if known is None:
        return find_copy(session, workspace_id, _wanted(found, policy))
    # what the source says now is noted where it is kept
    said = last_said(session.get_one(Origin, known))
    return known if said["licence"] == found.licence.id else None


def _wanted(found: Candidate, policy: LicencePolicy, sha256: str | None = None) -> Wanted:
    return Wanted(
        kind=found.kind,
        source=found.source,
        licence=found.licence,
        policy=policy,
        canonical_url=found.canonical_url,
        width=found.width,
        height=found.height,
        sha1=found.sha1.lower() if found.sha1 else None,
        sha256=sha256,
    )


def _proof(found: Candidate) -> dict[str, Any]:
    """What the source's item said beside the licence, bounded, and without secrets or people's addresses."""
    said = {
        "title": found.title,
        "creator": found.creator,
        "attribution": found.attribution,
        "description": found.description,
        "tags": ", ".join(found.tags),
        "restrictions": ", ".join(found.restrictions),
    }
    return {
        "said_by": found.source,
        "raw": _evidence(found.raw_licence),
        "page": found.landing_url,
        "item": {name: _evidence(text) for name, text in said.items() if text},
    }


def _evidence(text: str) -> str:
    return _EMAIL.sub("(address)", redact(text))[:500]


def known_asset(session: Session, workspace_id: UUID, source: str, foreign_id: str) -> UUID | None:
    """The asset that this item of a source became here, when it was kept before and not deleted since."""
    return session.scalar(
        select(Origin.asset_id)
        .join(Asset, Asset.id == Origin.asset_id)
        .where(
            Origin.workspace_id == workspace_id,
            Origin.source == source,
            Origin.foreign_id == foreign_id,
            Asset.deleted_at.is_(None),
        )
    )


def find_asset(session: Session, workspace_id: UUID, asset_id: UUID) -> Asset:
    asset = session.scalar(
        select(Asset).where(
            Asset.id == asset_id, Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None)
        )
    )
    if asset is None:
        raise NotFound(f"There is no asset {asset_id}.", field="asset_id")
    return asset


def original_of(session: Session, asset: Asset) -> Rendition:
    """The file an asset was kept with; a take's own file for a take."""
    rendition = latest_rendition(session, asset.id, RenditionRole.ORIGINAL)
    if rendition is None:
        raise Permanent(f"The {asset.kind.value} “{asset.name}” has no file.", code="no_file")
    return rendition


def shown_of(session: Session, take: Take) -> Rendition:
    """The file that the cut shows of a take: cleaned, where text was removed from it."""
    original = original_of(session, take)
    shown = shown_file(take, original.blob_sha256)
    if shown == original.blob_sha256:
        return original
    cleaned = session.scalar(
        select(Rendition).where(
            Rendition.asset_id == take.id,
            Rendition.role == RenditionRole.CLEANED,
            Rendition.blob_sha256 == shown,
        )
    )
    return cleaned or original


def is_picture(asset: Asset) -> bool:
    return asset.kind in (AssetKind.IMAGE, AssetKind.CLIP)


def blob_path(rendition: Rendition) -> Any:
    """Lend the rendition's bytes as a local file (context manager)."""
    sha256 = rendition.blob_sha256
    return storage().local(f"blobs/{sha256[:2]}/{sha256[2:4]}/{sha256}")


def public_link(key: str, *, filename: str, mime: str, hours: float) -> str:
    """Sign a link to a stored file for somebody outside; empty where it would lead nowhere from there.

    The address is PUBLIC_URL's or the bucket's: one that is private, or a name without a dot, reaches nobody.
    """
    link = storage().presign(key, ttl=round(hours * 3600), filename=filename, mime=mime)
    host = urlsplit(link).hostname or ""
    literal = ":" in host or host.replace(".", "").isdigit()
    return link if (is_public(host) if literal else "." in host) else ""
