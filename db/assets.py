"""The universal asset: everything a person can see, name, tag, approve or reuse, in one id space."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from core.licences import LicenceClass
from db.base import Base, CreatedAt, Micros, PrimaryKey, Sha256, Workspace, choice


class AssetKind(StrEnum):
    PROJECT = "project"
    COLLECTION = "collection"
    FILM = "film"
    SCRIPT = "script"
    CHARACTER = "character"
    SHOT = "shot"
    TAKE = "take"
    IMAGE = "image"
    CLIP = "clip"
    AUDIO = "audio"
    FONT = "font"
    DOCUMENT = "document"


class AssetStatus(StrEnum):
    ACTIVE = "active"
    BROKEN = "broken"
    """Its file did not pass the probe; kept so that people see what came in."""
    ARCHIVED = "archived"


class ProjectStage(StrEnum):
    DEVELOPMENT = "development"
    PRE_PRODUCTION = "pre_production"
    PRODUCTION = "production"
    POST_PRODUCTION = "post_production"
    DELIVERED = "delivered"


class TakeOrigin(StrEnum):
    STOCK = "stock"
    GENERATED = "generated"
    UPLOAD = "upload"
    RENDERED = "rendered"
    """Made on this machine: a move over a still, a trim, a card."""


class Validation(StrEnum):
    NEUTRAL = "neutral"
    APPROVED = "approved"
    REJECTED = "rejected"


class RenditionRole(StrEnum):
    ORIGINAL = "original"
    PROXY = "proxy"
    POSTER = "poster"
    THUMBNAIL = "thumbnail"
    CLEANED = "cleaned"
    REPORT = "report"
    """What was seen and done when text was removed: JSON, a sheet of pictures, where the text was."""
    SEGMENT = "segment"
    SEGMENT_PROXY = "segment_proxy"
    """A segment small and light: joined, they are the film's proxy."""
    SOUND = "sound"
    """The mix of narration and music, as long as the film."""
    NARRATION = "narration"
    CAPTIONS = "captions"
    MASTER = "master"
    EXPORT = "export"


class Asset(Base):
    """Base of joined-table inheritance; `revision` counts edits and is the row's ETag."""

    __tablename__ = "assets"
    __table_args__: tuple[Any, ...] = (
        Index("ix_assets_list", "workspace_id", "kind", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_assets_all", "workspace_id", "id", postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    kind: Mapped[AssetKind] = mapped_column(choice(AssetKind, "kind"))
    name: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(default="")
    status: Mapped[AssetStatus] = mapped_column(
        choice(AssetStatus, "status"), default=AssetStatus.ACTIVE, server_default="active"
    )
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default="{}")
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1, server_default="1")

    __mapper_args__ = {
        "polymorphic_on": "kind",
        "version_id_col": revision,
    }


def _own_id() -> Any:
    return mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)


class Project(Asset):
    __tablename__ = "projects"
    __mapper_args__ = {"polymorphic_identity": AssetKind.PROJECT}

    id: Mapped[UUID] = _own_id()
    stage: Mapped[ProjectStage] = mapped_column(
        choice(ProjectStage, "stage"), default=ProjectStage.DEVELOPMENT
    )
    budget: Mapped[int | None] = mapped_column(BigInteger)
    """Cap of everything its jobs may spend, in micro-units of `currency`; null = no cap."""
    currency: Mapped[str] = mapped_column(String(3), default="USD")
    defaults: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Brief fields that its films start from."""


class Collection(Asset):
    __tablename__ = "collections"
    __mapper_args__ = {"polymorphic_identity": AssetKind.COLLECTION}

    id: Mapped[UUID] = _own_id()


class CollectionMember(Base):
    __tablename__ = "collection_members"

    collection_id: Mapped[UUID] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)


class Script(Asset):
    __tablename__ = "scripts"
    __mapper_args__ = {"polymorphic_identity": AssetKind.SCRIPT}

    id: Mapped[UUID] = _own_id()
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    current_version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("script_versions.id", use_alter=True, ondelete="SET NULL")
    )


class ScriptVersion(Base):
    """Append-only: an edit is a new number."""

    __tablename__ = "script_versions"
    __table_args__ = (
        UniqueConstraint("script_id", "number"),
        CheckConstraint("number > 0", name="number_positive"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    script_id: Mapped[UUID] = mapped_column(ForeignKey("scripts.id", ondelete="CASCADE"))
    number: Mapped[int]
    text: Mapped[str]
    format: Mapped[str] = mapped_column(String(32))
    scenes: Mapped[list[Any]] = mapped_column(default=list)
    author: Mapped[str] = mapped_column(String(200))
    """Who wrote it: `client`, a user's name, or the writer's slug and model."""
    origin: Mapped[str] = mapped_column(String(64))
    """`brief`, `written`, `edited`, `upload` or `restored:<n>`."""
    approved_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class Film(Asset):
    __tablename__ = "films"
    __mapper_args__ = {"polymorphic_identity": AssetKind.FILM}
    __table_args__ = (
        CheckConstraint(
            "width > 0 AND height > 0 AND mod(width, 2) = 0 AND mod(height, 2) = 0", name="size_even"
        ),
        CheckConstraint("fps > 0 AND fps <= 60", name="fps_sane"),
        Index(None, "project_id"),
    )

    id: Mapped[UUID] = _own_id()
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    script_id: Mapped[UUID | None] = mapped_column(ForeignKey("scripts.id", ondelete="SET NULL"))
    master_rendition_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("renditions.id", use_alter=True, ondelete="SET NULL")
    )
    format: Mapped[str] = mapped_column(String(8))
    width: Mapped[int]
    height: Mapped[int]
    fps: Mapped[int]
    language: Mapped[str] = mapped_column(String(16))
    target_duration: Mapped[float | None] = mapped_column(Float)
    voice: Mapped[str | None] = mapped_column(String(100))
    music: Mapped[dict[str, Any]] = mapped_column(default=dict)
    caption_style: Mapped[str] = mapped_column(String(32))
    seo: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Character(Asset):
    __tablename__ = "characters"
    __mapper_args__ = {"polymorphic_identity": AssetKind.CHARACTER}

    id: Mapped[UUID] = _own_id()
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    appearance: Mapped[str] = mapped_column(default="")
    wardrobe: Mapped[str] = mapped_column(default="")
    voice: Mapped[str] = mapped_column(default="")


class Shot(Asset):
    """A planned piece of the film; `selected_take_id` points at what the cut uses."""

    __tablename__ = "shots"
    __mapper_args__ = {"polymorphic_identity": AssetKind.SHOT}
    __table_args__ = (
        Index("ix_shots_film_position", "film_id", "position"),
        CheckConstraint("position >= 0", name="position_not_negative"),
    )

    id: Mapped[UUID] = _own_id()
    film_id: Mapped[UUID] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"))
    position: Mapped[int]
    scene: Mapped[int]
    heading: Mapped[str] = mapped_column(default="")
    narration: Mapped[str] = mapped_column(default="")
    visual_prompt: Mapped[str] = mapped_column(default="")
    search_words: Mapped[list[str]] = mapped_column(ARRAY(String(100)), default=list)
    camera: Mapped[str | None] = mapped_column(String(32))
    title: Mapped[str | None] = mapped_column(String(300))
    asked_duration: Mapped[float | None] = mapped_column(Float)
    """Seconds the script asks for; null = as long as the narration."""
    image: Mapped[str | None]
    clip: Mapped[str | None]
    """References the script pins (`samples:rocket`, `asset:<id>`, a URL)."""
    reference: Mapped[str | None]
    """A picture, named the same way, that a vendor's take begins with."""
    audio: Mapped[bool | None]
    """Whether the film has the take's own sound; null = as the brief says."""
    duration: Mapped[float | None] = mapped_column(Float)
    """Seconds on screen, known once the narration is spoken; a whole number of frames."""
    frames: Mapped[int | None]
    words: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Word timings of the narration: [[word, start, end], …] in seconds from the shot's start."""
    selected_take_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("takes.id", use_alter=True, ondelete="SET NULL")
    )
    script_version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("script_versions.id", ondelete="SET NULL")
    )


class Take(Asset):
    __tablename__ = "takes"
    id: Mapped[UUID] = _own_id()
    __mapper_args__ = {
        "polymorphic_identity": AssetKind.TAKE,
        "inherit_condition": id == Asset.id,  # noqa: A003
    }
    __table_args__ = (
        UniqueConstraint("shot_id", "number"),
        CheckConstraint("number > 0", name="number_positive"),
    )

    shot_id: Mapped[UUID] = mapped_column(ForeignKey("shots.id", ondelete="CASCADE"))
    number: Mapped[int]
    origin: Mapped[TakeOrigin] = mapped_column(choice(TakeOrigin, "origin"))
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(100))
    seed: Mapped[int | None] = mapped_column(BigInteger)
    cost: Mapped[Micros] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(String(3), default="USD")
    source_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("assets.id", ondelete="SET NULL"))
    """The still or clip it was made from."""
    instructions: Mapped[str] = mapped_column(default="")
    quality: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    validation: Mapped[Validation] = mapped_column(
        choice(Validation, "validation"), default=Validation.NEUTRAL
    )
    input_hash: Mapped[str | None] = mapped_column(String(64))


class MediaAsset(Asset):
    """Facts of a file that came in: image, clip, audio, font, document."""

    __tablename__ = "media_assets"
    __mapper_args__ = {"polymorphic_abstract": True}
    __table_args__ = (Index(None, "sha256"), Index(None, "sha1"))

    id: Mapped[UUID] = _own_id()
    sha256: Mapped[Sha256]
    sha1: Mapped[str | None] = mapped_column(String(40))
    """What some sources tell of a file before it is fetched."""
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration: Mapped[float | None] = mapped_column(Float)
    fps: Mapped[float | None] = mapped_column(Float)
    codec: Mapped[str | None] = mapped_column(String(64))
    channels: Mapped[int | None] = mapped_column(SmallInteger)
    sample_rate: Mapped[int | None]
    quality_score: Mapped[float | None] = mapped_column(Float)
    quality_parts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    quality_flags: Mapped[list[str]] = mapped_column(ARRAY(String(32)), default=list, server_default="{}")
    """What lowered the score besides its parts, such as `too_small`."""
    score_version: Mapped[int | None] = mapped_column(SmallInteger)


class Image(MediaAsset):
    __mapper_args__ = {"polymorphic_identity": AssetKind.IMAGE}


class Clip(MediaAsset):
    __mapper_args__ = {"polymorphic_identity": AssetKind.CLIP}


class Audio(MediaAsset):
    __mapper_args__ = {"polymorphic_identity": AssetKind.AUDIO}


class Font(MediaAsset):
    __mapper_args__ = {"polymorphic_identity": AssetKind.FONT}


class Document(MediaAsset):
    __mapper_args__ = {"polymorphic_identity": AssetKind.DOCUMENT}


class Blob(Base):
    """One content-addressed object in the store; shared by every rendition with the same bytes."""

    __tablename__ = "blobs"
    __table_args__ = (CheckConstraint("size >= 0", name="size_not_negative"),)

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mime: Mapped[str] = mapped_column(String(100))
    storage_key: Mapped[str]
    created_at: Mapped[CreatedAt]


class Rendition(Base):
    """One concrete file of an asset."""

    __tablename__ = "renditions"
    __table_args__ = (
        Index("ix_renditions_asset", "asset_id", "role", "created_at"),
        Index(None, "blob_sha256"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    role: Mapped[RenditionRole] = mapped_column(choice(RenditionRole, "role"))
    blob_sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"))
    filename: Mapped[str] = mapped_column(String(300))
    mime: Mapped[str] = mapped_column(String(100))
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration: Mapped[float | None] = mapped_column(Float)
    bitrate: Mapped[int | None] = mapped_column(BigInteger)
    codec: Mapped[str | None] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What else is known: word timings of a narration, loudness of a master."""
    input_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]


class Derivation(Base):
    """One edge of provenance (W3C PROV): the child was made from the parent by this step."""

    __tablename__ = "derivations"
    __table_args__ = (Index(None, "parent_rendition_id"), Index(None, "step_id"))

    child_rendition_id: Mapped[UUID] = mapped_column(
        ForeignKey("renditions.id", ondelete="CASCADE"), primary_key=True
    )
    parent_rendition_id: Mapped[UUID] = mapped_column(
        ForeignKey("renditions.id", ondelete="CASCADE"), primary_key=True
    )
    step_id: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id", ondelete="SET NULL"))
    tool: Mapped[str] = mapped_column(String(200))
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Origin(Base):
    """Where an asset came from and under which licence. No licence, no asset."""

    __tablename__ = "origins"
    __table_args__ = (
        UniqueConstraint("workspace_id", "source", "foreign_id"),
        CheckConstraint("licence <> ''", name="licence_present"),
        Index(None, "workspace_id", "canonical_url"),
    )

    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[Workspace]
    source: Mapped[str] = mapped_column(String(64))
    foreign_id: Mapped[str] = mapped_column(String(500))
    title: Mapped[str | None]
    landing_url: Mapped[str | None]
    canonical_url: Mapped[str | None]
    """The page of the work, written the one way that finds it again across sources."""
    media_url: Mapped[str | None]
    use_url: Mapped[str | None]
    """What the source wants to be called when it is shown."""
    creator: Mapped[str | None]
    creator_url: Mapped[str | None]
    licence: Mapped[str] = mapped_column(String(100))
    """SPDX id or LicenseRef."""
    licence_class: Mapped[LicenceClass] = mapped_column(choice(LicenceClass, "licence_class"))
    licence_url: Mapped[str | None]
    licence_facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The whole licence value, flags included, as it was judged then."""
    raw_licence: Mapped[str] = mapped_column(default="")
    attribution: Mapped[str | None]
    restrictions: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """What else the source says of using it: `personality`, `trademarked`, `platforms:youtube`."""
    licence_proof: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Who said the licence, what was read with it, and as `changed` what was said differently later."""
    retrieved_at: Mapped[CreatedAt]


class AssetRelationship(Base):
    __tablename__ = "asset_relationships"
    __table_args__ = (UniqueConstraint("parent_id", "child_id", "kind"), Index(None, "child_id"))

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    parent_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    child_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    position: Mapped[int] = mapped_column(default=0)
    label: Mapped[str] = mapped_column(String(200), default="")


class Tag(Base):
    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    name: Mapped[str] = mapped_column(String(100))


class AssetTag(Base):
    __tablename__ = "asset_tags"
    __table_args__ = (Index(None, "tag_id"),)

    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[UUID] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)


class Upload(Base):
    """A direct upload: created, filled by its sender, completed once its bytes are verified."""

    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint("received >= 0", name="received_not_negative"),
        Index(None, "workspace_id", "created_at"),
        Index("ix_uploads_unfinished", "expires_at", postgresql_where=text("blob_sha256 IS NULL")),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    filename: Mapped[str] = mapped_column(String(300))
    declared_mime: Mapped[str] = mapped_column(String(100))
    declared_size: Mapped[int | None] = mapped_column(BigInteger)
    licence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the sender says of rights: `licence`, `creator`, `source_url`."""
    blob_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("assets.id", ondelete="SET NULL"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]
    received: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Bytes that lie in `parts`, until they are put together."""
    parts: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Store keys of what came in one go each, in order."""
    expires_at: Mapped[datetime] = mapped_column(server_default=text("now() + interval '1 day'"))
    """When it is forgotten, unless it is complete by then or more of it has come."""
    completed_at: Mapped[datetime | None]
