"""What a film is made of and whether its licence policy takes it; judged before anything is encoded.

Candidates were judged when they were ranked. Since then a person may have chosen another take, a policy may
have been tightened or a licence corrected, so the cut itself is judged again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from core.errors import Unlicensed
from core.licences import OWN_WORK, Licence, LicencePolicy
from db.assets import Asset, AssetKind, AssetStatus, Film, Origin, Shot, Take, TakeOrigin
from db.work import Job

_MOST_CHANGES = 20
RESTRICTED, SHARE_ALIKE = "restricted", "share_alike"
"""Codes of a job's warnings about what may be done with the film."""
MUSIC_CHANGES = "trimmed and levelled"
_TOLD = 3


@dataclass(frozen=True)
class Used:
    """An asset in the cut, where it is (`shot 3`, `music`), and what was changed of it."""

    asset: Asset
    origin: Origin | None
    places: tuple[str, ...]
    changes: str

    @property
    def licence(self) -> Licence | None:
        """None for what nobody else has rights in."""
        if self.origin is None or self.origin.licence == OWN_WORK:
            return None
        return Licence.from_json(self.origin.licence_facts)

    @property
    def name(self) -> str:
        return (self.origin.title if self.origin else None) or self.asset.name


def used_assets(session: Session, film_id: UUID) -> list[Used]:
    """Every asset that is seen or heard in the cut, once, in the order of the film."""
    source, shown = aliased(Asset), aliased(Take, flat=True)
    rows = session.execute(
        select(Shot.position, shown.origin, source, Origin)
        .join(shown, shown.id == Shot.selected_take_id)
        .join(source, source.id == shown.source_asset_id)
        .outerjoin(Origin, Origin.asset_id == source.id)
        .where(
            Shot.film_id == film_id,
            Shot.deleted_at.is_(None),
            shown.status == AssetStatus.ACTIVE,
            shown.deleted_at.is_(None),
        )
        .order_by(Shot.position)
    ).all()
    found: list[tuple[Asset, Origin | None, str, str]] = [
        (asset, origin, f"shot {position + 1}", _changes(made, asset))
        for position, made, asset, origin in rows
    ]
    if music := session.get_one(Film, film_id).metadata_.get("music_asset_id"):
        asset = session.get(Asset, UUID(music))
        if asset is not None:
            found.append((asset, session.get(Origin, asset.id), "music", MUSIC_CHANGES))
    used: dict[UUID, Used] = {}
    for asset, origin, place, changes in found:
        known = used.get(asset.id)
        places = (*known.places, place) if known else (place,)
        done = dict.fromkeys([*(known.changes.split("; ") if known else ()), changes])
        used[asset.id] = Used(asset, origin, places, "; ".join(done))
    return list(used.values())


def changes_of(session: Session, take: Take) -> str:
    """Say what became of the asset that a take shows."""
    asset = session.get(Asset, take.source_asset_id) if take.source_asset_id else None
    return _changes(take.origin, asset)


def _changes(made: TakeOrigin, asset: Asset | None) -> str:
    """As it was: stills are moved over, clips are cut to length, and what a vendor makes moves by itself."""
    still = asset is not None and asset.kind is AssetKind.IMAGE
    if still and made is TakeOrigin.GENERATED:
        return "made into a moving picture"
    return "cropped and moved" if still else "trimmed and scaled"


def require_licensed(used: Iterable[Used], policy: LicencePolicy) -> None:
    """Raise Unlicensed where the policy refuses what is used, saying where it is, what it is and why."""
    refused = []
    for item in used:
        if item.origin is None or (licence := item.licence) is None:
            continue
        verdict = policy.verdict(licence)
        if not verdict.ok:
            which = f"{item.origin.source}:{item.origin.foreign_id}, asset {item.asset.id}"
            refused.append(
                f"{', '.join(item.places)}: “{item.name}” ({which}), {licence.name or licence.id}: "
                f"{verdict.reason}"
            )
    if refused:
        more = f"; and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
        raise Unlicensed(
            f"The film's licence policy does not take {'; '.join(refused[:_TOLD])}{more}. "
            "Choose other takes or another policy.",
            field="licences",
        )


def note_licence(session: Session, origin: Origin, licence: Licence, raw: str) -> None:
    """Write down that a source says another licence now; the one it was kept under stays in force."""
    said = {"licence": licence.id, "url": licence.url, "raw": raw[:500]}
    last = last_said(origin)
    if (last["licence"], last["url"]) == (said["licence"], said["url"]):
        return
    at: datetime = session.scalars(select(func.now())).one()
    noted = [*origin.licence_proof.get("changed", ()), {**said, "at": at.isoformat()}][-_MOST_CHANGES:]
    origin.licence_proof = {**origin.licence_proof, "changed": noted}


def last_said(origin: Origin) -> dict[str, Any]:
    """What a source said last of an item's licence: `licence` and `url`."""
    changed: list[dict[str, Any]] = origin.licence_proof.get("changed", [])
    return changed[-1] if changed else {"licence": origin.licence, "url": origin.licence_url}


def warn_of_rights(job: Job, used: Iterable[Used]) -> None:
    """Write down what else is said of using the film's assets; replaces what an earlier cut was told."""
    told: list[dict[str, Any]] = []
    for item in used:
        where, licence = ", ".join(item.places), item.licence
        told += [
            {
                "code": RESTRICTED,
                "asset_id": str(item.asset.id),
                "restriction": restriction,
                "message": f"{where}: “{item.name}” comes with a restriction: {_words(str(restriction))}.",
            }
            for restriction in (item.origin.restrictions if item.origin else ())
        ]
        if licence is not None and licence.share_alike:
            bound = f"“{item.name}” binds the film to {licence.name} or a compatible licence"
            told.append(
                {"code": SHARE_ALIKE, "asset_id": str(item.asset.id), "message": f"{where}: {bound}."}
            )
    before = [warning for warning in job.warnings if warning.get("code") not in (RESTRICTED, SHARE_ALIKE)]
    if told or len(before) < len(job.warnings):
        job.warnings = [*before, *told]


def _words(restriction: str) -> str:
    """Say a restriction as a source codes it in a person's words."""
    name, _, value = restriction.partition(":")
    if name == "platforms" and value:
        return f"for {value} only"
    return {
        "personality": "people can be recognised, whose consent may be needed",
        "trademarked": "it shows a trade mark",
    }.get(restriction, restriction)
