"""Fingerprints of what is in the library, laid out so that their neighbours are found by B-trees."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY, BIT
from sqlalchemy.orm import Mapped, mapped_column

from core.likeness import BAND_BITS, BANDS, HashAlgo
from db.base import Base, Workspace, choice


def _band(number: int) -> Any:
    start = 1 + number * BAND_BITS
    return mapped_column(Computed(f"(substring(hash, {start}, {BAND_BITS}))::integer", persisted=True))


class AssetHash(Base):
    """A fingerprint, or one of its equal parts; `services.duplicates` looks them up by their bands.

    A plain picture, a silent sound has none: it would be like everything else that is plain.
    """

    __tablename__ = "asset_hashes"
    __table_args__ = (
        *(Index(None, "workspace_id", "algo", f"b{band}") for band in range(BANDS)),
        Index(None, "terms", postgresql_using="gin", postgresql_where=text("terms IS NOT NULL")),
        CheckConstraint("(hash IS NULL) <> (items IS NULL)", name="hash_or_items"),
    )

    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
    algo: Mapped[HashAlgo] = mapped_column(choice(HashAlgo, "algo"), primary_key=True)
    version: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True, default=0)
    workspace_id: Mapped[Workspace]
    hash: Mapped[str | None] = mapped_column(BIT(64))
    """As PostgreSQL writes it: 64 digits 0 and 1."""
    b0: Mapped[int | None] = _band(0)
    b1: Mapped[int | None] = _band(1)
    b2: Mapped[int | None] = _band(2)
    b3: Mapped[int | None] = _band(3)
    items: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    """Chromaprint's, in order."""
    terms: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    """The different ones without their unstable bits: what music is looked up by."""
