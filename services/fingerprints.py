"""The table of fingerprints: kept there, and found again by what is near them.

A 64-bit hash is looked up in four bands of 16 bits: two hashes that differ in at most 7 bits differ in at
most one in some band, so 17 values of each band, by a B-tree, find all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    cast,
    column,
    func,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.errors import Retryable
from core.likeness import BANDS, BITS, FARTHEST, NEAR, VERSIONS, Fingerprint, HashAlgo, probes, terms
from db.assets import MediaAsset
from db.hashes import AssetHash

_TERMS_ASKED = 120
_MOST_OF_BAND = 100_000
"""Neighbours of one band at most; also keeps the planner from workers, whose start takes longer."""
_PATIENCE = "3s"
_CANCELLED = "57014"


def _asked(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=ARRAY(Integer))


def _branch(band: int) -> Select[UUID, int]:
    # the distance is checked inside each branch: else all candidates of all bands are sorted first
    bits = _differing()
    values: ColumnElement[int] = getattr(AssetHash, f"b{band}")
    return (
        select(AssetHash.asset_id, bits.label("distance"))
        .where(
            AssetHash.workspace_id == bindparam("workspace"),
            AssetHash.algo == bindparam("algo"),
            values == func.any(_asked(f"band{band}")),
            AssetHash.version == bindparam("version"),
            bits <= bindparam("distance"),
        )
        .limit(_MOST_OF_BAND)
    )


def _differing() -> ColumnElement[int]:
    return func.bit_count(AssetHash.hash.op("#")(cast(bindparam("hash"), BIT(BITS))), type_=Integer)


_near = union_all(*(_branch(band) for band in range(BANDS))).subquery("near")
NEIGHBOURS = (
    select(_near.c.asset_id, func.min(_near.c.distance).label("distance"))
    .group_by(_near.c.asset_id)
    .order_by(column("distance"), _near.c.asset_id)
    .limit(bindparam("most"))
)
_term = func.unnest(AssetHash.terms, type_=Integer).table_valued("term", name="term")
_common = (
    select(func.count())
    .select_from(_term)
    .where(_term.c.term == func.any(_asked("terms")))
    .correlate(AssetHash)
    .scalar_subquery()
)
RECORDINGS = (
    select(AssetHash.asset_id, AssetHash.items)
    .where(
        AssetHash.workspace_id == bindparam("workspace"),
        AssetHash.algo == HashAlgo.CHROMAPRINT,
        AssetHash.version == bindparam("version"),
        AssetHash.terms.overlap(_asked("terms")),
    )
    .order_by(_common.desc())
    .limit(bindparam("most"))
)


def add_hashes(session: Session, asset: MediaAsset, prints: Sequence[Fingerprint]) -> None:
    """Keep an asset's fingerprints."""
    for one in prints:
        same = {
            "asset_id": asset.id,
            "workspace_id": asset.workspace_id,
            "algo": one.algo,
            "version": VERSIONS[one.algo],
        }
        session.add_all(
            AssetHash(**same, position=position, hash=_digits(value))
            for position, value in enumerate(one.hashes)
        )
        if one.items:
            session.add(AssetHash(**same, position=0, items=list(one.items), terms=terms(one.items)))
    session.flush()


def hashes_of(session: Session, asset_ids: Sequence[UUID]) -> dict[UUID, list[Fingerprint]]:
    """An asset's fingerprints of the present versions."""
    rows = session.scalars(
        select(AssetHash)
        .where(AssetHash.asset_id.in_(asset_ids))
        .order_by(AssetHash.asset_id, AssetHash.algo, AssetHash.position)
    )
    found: dict[UUID, dict[HashAlgo, Fingerprint]] = {asset_id: {} for asset_id in asset_ids}
    for row in rows:
        if row.version != VERSIONS[row.algo]:
            continue
        known = found[row.asset_id].get(row.algo, Fingerprint(row.algo))
        more = () if row.hash is None else (f"{int(row.hash, 2):016x}",)
        found[row.asset_id][row.algo] = Fingerprint(
            row.algo, known.hashes + more, known.items + tuple(row.items or ())
        )
    return {asset_id: list(prints.values()) for asset_id, prints in found.items()}


def near_hashes(
    session: Session,
    workspace_id: UUID,
    algo: HashAlgo,
    hashes: Sequence[str],
    *,
    distance: int = NEAR,
    most: int = 200,
) -> dict[UUID, int]:
    """Every asset with a hash within `distance` of one of these, and the smallest such distance."""
    if not 0 <= distance <= FARTHEST:
        raise ValueError(f"distance must be 0-{FARTHEST}")
    found: dict[UUID, int] = {}
    for value in dict.fromkeys(hashes):
        asked = {f"band{band}": values for band, values in enumerate(probes(value, distance))}
        same = {"workspace": workspace_id, "algo": algo, "version": VERSIONS[algo], "most": most}
        rows = session.execute(NEIGHBOURS, {"hash": _digits(value), "distance": distance, **same, **asked})
        for asset_id, bits in rows:
            found[asset_id] = min(bits, found.get(asset_id, BITS))
    return found


def near_recordings(
    session: Session, workspace_id: UUID, items: Sequence[int], *, most: int = 50
) -> dict[UUID, list[int]]:
    """The Chromaprints that share most with this one; the caller compares them."""
    known = terms(items)
    if not known:
        return {}
    asked = known[:: max(1, len(known) // _TERMS_ASKED)]
    same = {"workspace": workspace_id, "version": VERSIONS[HashAlgo.CHROMAPRINT], "most": most}
    return {row.asset_id: row.items for row in session.execute(RECORDINGS, {"terms": asked, **same})}


@contextmanager
def bounded(session: Session) -> Iterator[None]:
    """Give a block of queries little time: look-alikes in masses must not hold a workspace's lock."""
    before = session.scalar(select(func.current_setting("statement_timeout")))
    try:
        with session.begin_nested():
            session.execute(select(func.set_config("statement_timeout", _PATIENCE, True)))
            yield
            session.execute(select(func.set_config("statement_timeout", before, True)))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != _CANCELLED:
            raise
        raise Retryable("Looking for duplicates took too long.", code="timeout") from error


def _digits(value: str) -> str:
    return f"{int(value, 16):064b}"
