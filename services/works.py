"""Works known again: under which names, by which look, and in which of a project's films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.likeness import VERSIONS, HashAlgo
from db.assets import Film, Origin, Shot, Take
from db.candidates import Candidate
from db.hashes import AssetHash
from services.ranking import Looks


@dataclass(frozen=True)
class Recent:
    """What the last films of a project show, by name and by look."""

    names: Mapping[str, str]
    looks: Looks

    def shown_in(self, names: Sequence[str], look: str | None) -> str | None:
        """The name of a film that shows it."""
        for name in names:
            if name in self.names:
                return self.names[name]
        near = self.looks.near(look)
        return min(near, key=lambda film: (near[film], film)) if near else None


def same_as(source: str, foreign_id: str, page: str | None, sha1: str | None = None) -> list[str]:
    """The names under which a work is known: its item, its page as `canonical_url` writes it, its bytes."""
    more = [f"page:{page}"] if page else []
    return [f"{source}:{foreign_id}", *more, *([f"sha1:{sha1.lower()}"] if sha1 else [])]


def recently_shown(session: Session, film: Film, films: int) -> Recent:
    """What the last `films` films of the project before this one show and play.

    A clip's look is that of the preview it was found with, and what was made here from a seed is known by
    the item it was found as.
    """
    if film.project_id is None or films <= 0:
        return Recent({}, Looks(()))
    earlier: dict[UUID, str] = {}
    music: dict[UUID, str] = {}
    for film_id, name, facts in session.execute(
        select(Film.id, Film.name, Film.metadata_)
        .where(Film.project_id == film.project_id, Film.id < film.id, Film.deleted_at.is_(None))
        .order_by(Film.id.desc())
        .limit(films)
    ):
        earlier[film_id] = name
        if heard := facts.get("music_asset_id"):
            music.setdefault(UUID(heard), name)
    shot, take = aliased(Shot, flat=True), aliased(Take, flat=True)
    shown = session.execute(
        select(take.source_asset_id, shot.film_id)
        .join(shot, shot.selected_take_id == take.id)
        .where(shot.film_id.in_(earlier), shot.deleted_at.is_(None), take.source_asset_id.is_not(None))
        .order_by(shot.film_id)
    )
    used = {**music, **{cast(UUID, asset): earlier[film_id] for asset, film_id in shown}}
    names: dict[str, str] = {}
    looks: list[tuple[str, str | None]] = []
    for asset_id, source, foreign_id, page, look in session.execute(
        select(Origin.asset_id, Origin.source, Origin.foreign_id, Origin.canonical_url, AssetHash.hash)
        .outerjoin(AssetHash, _look_of(Origin.asset_id))
        .where(Origin.asset_id.in_(used))
    ):
        looks.append((used[asset_id], look and _hex(look)))
        names |= dict.fromkeys(same_as(source, foreign_id, page), used[asset_id])
    for kept, found_as, look in session.execute(
        select(Candidate.asset_id, Candidate.same_as, Candidate.perceptual_hash).where(
            Candidate.asset_id.in_(used)
        )
    ):
        looks.append((used[cast(UUID, kept)], look))
        names |= dict.fromkeys(found_as, used[cast(UUID, kept)])
    return Recent(names, Looks(looks))


def known_looks(session: Session, workspace_id: UUID, items: Sequence[str]) -> dict[str, str]:
    """Hashes of those of these items, as `<source>:<item>`, that were kept as pictures before."""
    pairs = [item.split(":", 1) for item in items]
    rows = session.execute(
        select(Origin.source, Origin.foreign_id, AssetHash.hash)
        .join(AssetHash, _look_of(Origin.asset_id))
        .where(Origin.workspace_id == workspace_id, tuple_(Origin.source, Origin.foreign_id).in_(pairs))
    )
    return {f"{source}:{foreign_id}": _hex(look) for source, foreign_id, look in rows if look}


def _look_of(asset_id: Any) -> ColumnElement[bool]:
    """The row with the hash of a whole picture."""
    algo = HashAlgo.PICTURE
    return and_(
        AssetHash.asset_id == asset_id,
        AssetHash.algo == algo,
        AssetHash.version == VERSIONS[algo],
        AssetHash.position == 0,
    )


def _hex(bits: str) -> str:
    return f"{int(bits, 2):016x}"
