"""What sources offered: every item found for a shot or for a film's music, and what became of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, SmallInteger, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Workspace, choice


class CandidateState(StrEnum):
    FOUND = "found"
    """Scored and not ranked yet."""
    CHOSEN = "chosen"
    """What is shown or heard."""
    RANKED = "ranked"
    RECENTLY_USED = "recently_used"
    """An earlier film of the project shows it: it waits behind whatever is fresh."""
    USED_ELSEWHERE = "used_elsewhere"
    """Another shot of this film shows it."""
    NEAR_DUPLICATE = "near_duplicate"
    """It looks like what another shot of this film shows."""
    TOO_SMALL = "too_small"
    SHOWN_BEFORE = "shown_before"
    """Of an earlier take."""
    FAILED = "failed"
    """Its file could not be fetched or is not what it says."""
    REFUSED = "refused"
    """The film's licence policy forbids it."""


class Candidate(Base):
    """A found item, with its rank; without a shot it was found for the film's music.

    `position` is its place in the ranking: 0 is used first, a retake goes one further. Null: not ranked.
    """

    __tablename__ = "candidates"
    __table_args__ = (
        UniqueConstraint(
            "film_id",
            "shot_id",
            "source",
            "foreign_id",
            name="uq_candidates_item",
            postgresql_nulls_not_distinct=True,
        ),
        Index(None, "shot_id", "position"),
        Index(None, "lender_id"),
        Index(None, "asset_id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    film_id: Mapped[UUID] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"))
    shot_id: Mapped[UUID | None] = mapped_column(ForeignKey("shots.id", ondelete="CASCADE"))
    lender_id: Mapped[UUID | None] = mapped_column(ForeignKey("shots.id", ondelete="CASCADE"))
    """The shot that it was found for, where a shot without finds borrowed it."""
    source: Mapped[str] = mapped_column(String(64))
    foreign_id: Mapped[str] = mapped_column(String(500))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[CandidateState] = mapped_column(
        choice(CandidateState, "state"), default=CandidateState.FOUND, server_default="found"
    )
    reason: Mapped[str] = mapped_column(default="", server_default="")
    """Why it is in this state, in a sentence for people."""
    position: Mapped[int | None]
    score: Mapped[float] = mapped_column(Float)
    score_version: Mapped[int] = mapped_column(SmallInteger)
    parts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the score is made of: `{name: {"mark": 0..1, "weight": …}}`; the weights add up to 1."""
    same_as: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    """Names of the work: two candidates that share one are the same."""
    perceptual_hash: Mapped[str | None] = mapped_column(String(16))
    """Of its preview; see `media.images`."""
    small: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether it claims fewer pixels than any film takes; used where there is nothing else."""
    asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("assets.id", ondelete="SET NULL"))
    """What it was kept as."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """All that the source said of it."""
    created_at: Mapped[CreatedAt]
