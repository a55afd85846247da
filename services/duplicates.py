"""Files that are there already: the same work, the same bytes, or so alike that a person sees one picture.

Cheap layers first. A likeness is a statement, never a deletion: the worse asset is a `duplicate_of` the
better one, and both stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.errors import Retryable
from core.ids import new_id
from core.licences import LicenceClass
from core.likeness import (
    BIT_ERROR,
    BITS,
    FRAME_SHARE,
    LEAST_FRAMES,
    NEAR,
    VERSIONS,
    Fingerprint,
    HashAlgo,
    bit_error,
    frame_share,
)
from db.assets import Asset, AssetRelationship, MediaAsset, Origin
from services.fingerprints import bounded, hashes_of, near_hashes, near_recordings
from services.library import find_asset
from services.paging import Page, Window

log = structlog.get_logger()

DUPLICATE_OF = "duplicate_of"
MOST = 200
"""Likenesses of one asset that are told at all."""
_LINKED = 20
_FRAMES_ASKED = 12
"""Frames of a clip that are looked up: enough that one falls into any stretch of ten seconds."""
_RECORDINGS = 50
_TERMS_ASKED = 120
_PATIENCE = "3s"
_CANCELLED = "57014"


class LikenessKind(StrEnum):
    SAME_BYTES = "same_bytes"
    SAME_WORK = "same_work"
    """Another source's copy: both name the same page."""
    NEAR_DUPLICATE = "near_duplicate"
    EXCERPT = "excerpt"
    """One of the two clips holds the other."""


@dataclass(frozen=True)
class Likeness:
    """`distance` counts differing bits of 64; null where none were compared."""

    asset_id: UUID
    kind: LikenessKind
    distance: int | None
    algo: HashAlgo | None
    reason: str


def find_similar(session: Session, asset: MediaAsset, *, distance: int = NEAR) -> list[Likeness]:
    """Everything live that is like an asset, likest first; each other asset once, for its strongest reason.

    Retryable when the look-up takes too long.
    """
    found: dict[UUID, Likeness] = {}
    with bounded(session):
        for one in (*_same_bytes(session, asset), *_same_work(session, asset)):
            found.setdefault(one.asset_id, one)
        prints = {one.algo: one for one in hashes_of(session, [asset.id])[asset.id]}
        for one in _alike(session, asset, prints, distance):
            found.setdefault(one.asset_id, one)
    found.pop(asset.id, None)
    live = set(
        session.scalars(
            select(Asset.id).where(
                Asset.id.in_(found),
                Asset.workspace_id == asset.workspace_id,
                Asset.kind == asset.kind,
                Asset.deleted_at.is_(None),
            )
        )
    )
    order = list(LikenessKind)
    ranked = sorted(
        (one for one in found.values() if one.asset_id in live),
        key=lambda one: (order.index(one.kind), one.distance or 0, one.asset_id),
    )
    return ranked[:MOST]


def list_similar(
    session: Session, workspace_id: UUID, asset_id: UUID, window: Window, *, max_distance: int
) -> Page[tuple[Likeness, str]]:
    """What is like an asset, with its name, likest first; nothing is like what has no file."""
    asset = find_asset(session, workspace_id, Asset, asset_id)
    found = find_similar(session, asset, distance=max_distance) if isinstance(asset, MediaAsset) else []
    ids = [one.asset_id for one in found]
    start = ids.index(window.after) + 1 if window.after in ids else 0
    page = found[start : start + window.limit]
    named = select(Asset.id, Asset.name).where(Asset.id.in_([one.asset_id for one in page]))
    names = {row.id: row.name for row in session.execute(named)}
    more = start + window.limit < len(found)
    return Page([(one, names[one.asset_id]) for one in page], page[-1].asset_id if more else None)


def link_duplicates(session: Session, asset: MediaAsset) -> None:
    """Say of what an asset that just came in is a duplicate, or what is one of it.

    To be called in the transaction that adds its hashes, under the workspace's lock: of two workers that
    keep the same picture at once the second one must find the first.
    """
    try:
        alike = find_similar(session, asset)[:_LINKED]
    except Retryable as error:
        log.warning("duplicates were not looked for", asset_id=str(asset.id), error=error.message)
        return
    found = select(MediaAsset).where(MediaAsset.id.in_([one.asset_id for one in alike]))
    others = {row.id: row for row in session.scalars(found)}
    known = select(Origin).where(Origin.asset_id.in_([asset.id, *others]))
    origins = {row.asset_id: row for row in session.scalars(known)}
    for one in alike:
        other = others[one.asset_id]
        worse, better = sorted((asset, other), key=lambda row: _worth(row, origins.get(row.id)))
        label = one.reason if one.algo is None else f"{one.reason} ({one.algo.value} {VERSIONS[one.algo]})"
        session.execute(
            upsert(AssetRelationship)
            .values(
                id=new_id(),
                workspace_id=asset.workspace_id,
                parent_id=worse.id,
                child_id=better.id,
                kind=DUPLICATE_OF,
                position=one.distance or 0,
                label=label[:200],
            )
            .on_conflict_do_nothing()
        )


def strictness(licence_class: LicenceClass) -> int:
    """Order licence classes; the freest is 0."""
    return list(LicenceClass).index(licence_class)


# -- layers ----------------------------------------------------------------------------------------


def _same_bytes(session: Session, asset: MediaAsset) -> Iterator[Likeness]:
    rows = session.scalars(
        select(MediaAsset.id).where(
            MediaAsset.sha256 == asset.sha256,
            Asset.workspace_id == asset.workspace_id,
            MediaAsset.id != asset.id,
        )
    )
    for asset_id in rows:
        yield Likeness(asset_id, LikenessKind.SAME_BYTES, 0, None, "the same bytes")


def _same_work(session: Session, asset: MediaAsset) -> Iterator[Likeness]:
    own = session.get(Origin, asset.id)
    if own is None or own.canonical_url is None:
        return
    # one page may hold many items of one source: only another source's names the same work
    rows = session.scalars(
        select(Origin.asset_id).where(
            Origin.workspace_id == asset.workspace_id,
            Origin.canonical_url == own.canonical_url,
            Origin.source != own.source,
        )
    )
    for asset_id in rows:
        yield Likeness(asset_id, LikenessKind.SAME_WORK, None, None, f"the same page, {own.canonical_url}")


def _alike(
    session: Session, asset: MediaAsset, prints: dict[HashAlgo, Fingerprint], distance: int
) -> Iterator[Likeness]:
    workspace = asset.workspace_id
    if picture := prints.get(HashAlgo.PICTURE):
        near = near_hashes(session, workspace, picture.algo, picture.hashes, distance=distance)
        for asset_id, bits in near.items():
            yield _near(asset_id, picture.algo, bits)
    if short := prints.get(HashAlgo.PCM):
        for asset_id in near_hashes(session, workspace, short.algo, short.hashes, distance=0):
            yield Likeness(asset_id, LikenessKind.NEAR_DUPLICATE, 0, short.algo, "the same samples")
    if music := prints.get(HashAlgo.CHROMAPRINT):
        yield from _recordings(session, asset, music)
    yield from _clips(session, asset, prints, distance)


def _near(asset_id: UUID, algo: HashAlgo, bits: int) -> Likeness:
    reason = f"{bits} of {BITS} bits differ"
    return Likeness(asset_id, LikenessKind.NEAR_DUPLICATE, bits, algo, reason)


def _recordings(session: Session, asset: MediaAsset, music: Fingerprint) -> Iterator[Likeness]:
    for asset_id, items in near_recordings(session, asset.workspace_id, music.items).items():
        error = bit_error(music.items, items) if asset_id != asset.id else 1.0
        if error <= BIT_ERROR:
            reason = f"the same recording, {error:.1%} of the bits differ"
            bits = round(error * BITS)
            yield Likeness(asset_id, LikenessKind.NEAR_DUPLICATE, bits, music.algo, reason)


def _clips(
    session: Session, asset: MediaAsset, prints: dict[HashAlgo, Fingerprint], distance: int
) -> Iterator[Likeness]:
    """Candidates by the sprite and by single frames; the frames decide."""
    sprite, frames = prints.get(HashAlgo.SPRITE), prints.get(HashAlgo.FRAME)
    workspace, own = asset.workspace_id, frames.hashes if frames else ()
    near = near_hashes(session, workspace, sprite.algo, sprite.hashes, distance=distance) if sprite else {}
    step = max(1, len(own) // _FRAMES_ASKED)
    shared = near_hashes(session, workspace, HashAlgo.FRAME, own[::step], distance=NEAR)
    candidates = [asset_id for asset_id in {**near, **shared} if asset_id != asset.id]
    others = hashes_of(session, candidates)
    measured = select(MediaAsset.id, MediaAsset.duration).where(MediaAsset.id.in_(candidates))
    lengths = {row.id: row.duration for row in session.execute(measured)}
    for asset_id in candidates:
        theirs = next((one.hashes for one in others[asset_id] if one.algo is HashAlgo.FRAME), ())
        as_long = _as_long(asset.duration, lengths.get(asset_id))
        share = frame_share(own, theirs)
        if share >= FRAME_SHARE and as_long:
            told = f"{share:.0%} of the frames are the same"
            bits = near.get(asset_id)
            algo = HashAlgo.FRAME if bits is None else HashAlgo.SPRITE
            yield Likeness(asset_id, LikenessKind.NEAR_DUPLICATE, bits, algo, told)
        elif share >= FRAME_SHARE and min(len(own), len(theirs)) >= LEAST_FRAMES:
            told = f"{share:.0%} of the shorter one's frames are in the longer one"
            yield Likeness(asset_id, LikenessKind.EXCERPT, None, HashAlgo.FRAME, told)


def _as_long(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return abs(one - other) <= max(1.0, 0.02 * max(one, other))


# -- small things ----------------------------------------------------------------------------------


def _worth(row: MediaAsset, origin: Origin | None) -> tuple[int, float, int]:
    """Sort key, better ones last: the freer licence, the higher quality, the one that was there first."""
    licence = strictness(origin.licence_class) if origin else len(LicenceClass)
    return -licence, row.quality_score or 0.0, -row.id.int
