"""Assets of any kind, their files, tags, collections and uploads."""

from __future__ import annotations

from flask_smorest.fields import Upload as UploadField
from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import AssetOut, In, Out, page_of, words
from core.likeness import FARTHEST, NEAR
from db.assets import AssetKind
from services.duplicates import LikenessKind


class AssetListArgs(PageArgs):
    kind = fields.String(load_default=None, validate=validate.OneOf([k.value for k in AssetKind]))
    tag = words(100, load_default=None)
    text = words(200, load_default=None, metadata={"description": "Words in name or description."})
    licence = words(100, load_default=None, metadata={"description": "A licence class or an SPDX id."})
    collection_id = fields.UUID(load_default=None)


class AssetPatchIn(In):
    name = words(300)
    description = words(20_000, least=0)
    tags = fields.List(words(100), validate=validate.Length(max=50))


class OriginOut(Out):
    source = fields.String(required=True)
    foreign_id = fields.String(required=True)
    title = fields.String(required=True, allow_none=True)
    landing_url = fields.String(required=True, allow_none=True)
    creator = fields.String(required=True, allow_none=True)
    creator_url = fields.String(required=True, allow_none=True)
    licence = fields.String(required=True)
    licence_class = fields.String(required=True)
    licence_url = fields.String(required=True, allow_none=True)
    raw_licence = fields.String(
        required=True, metadata={"description": "What the source or the sender said, in their words."}
    )
    restrictions = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What else is said of using it: `personality`, `platforms:youtube`."},
    )
    licence_proof = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={"description": "Who said the licence, with what else, and what was said `changed` later."},
    )
    attribution = fields.String(required=True, allow_none=True)
    retrieved_at = fields.DateTime(required=True)


class MediaOut(Out):
    sha256 = fields.String(required=True)
    width = fields.Integer(required=True, allow_none=True)
    height = fields.Integer(required=True, allow_none=True)
    duration = fields.Float(required=True, allow_none=True)
    fps = fields.Float(required=True, allow_none=True)
    codec = fields.String(required=True, allow_none=True)
    channels = fields.Integer(required=True, allow_none=True)
    sample_rate = fields.Integer(required=True, allow_none=True)
    quality_score = fields.Float(required=True, allow_none=True)
    quality_parts = fields.Dict(keys=fields.String(), required=True)
    quality_flags = fields.List(fields.String(), required=True)
    score_version = fields.Integer(required=True, allow_none=True)


class AnyAssetOut(AssetOut):
    kind = fields.String(required=True)
    metadata = fields.Dict(keys=fields.String(), required=True)
    tags = fields.List(fields.String(), required=True)
    origin = fields.Nested(OriginOut, required=True, allow_none=True)
    media = fields.Nested(MediaOut, required=True, allow_none=True)


class RenditionOut(Out):
    id = fields.UUID(required=True)
    asset_id = fields.UUID(required=True)
    role = fields.String(required=True)
    filename = fields.String(required=True)
    mime = fields.String(required=True)
    sha256 = fields.String(required=True, attribute="blob_sha256")
    size = fields.Integer(required=True)
    width = fields.Integer(required=True, allow_none=True)
    height = fields.Integer(required=True, allow_none=True)
    duration = fields.Float(required=True, allow_none=True)
    bitrate = fields.Integer(required=True, allow_none=True)
    codec = fields.String(required=True, allow_none=True)
    url = fields.String(required=True)
    created_at = fields.DateTime(required=True)


class SimilarArgs(PageArgs):
    max_distance = fields.Integer(
        load_default=NEAR,
        validate=validate.Range(min=0, max=FARTHEST),
        metadata={"description": "Bits of 64 in which two hashes may differ."},
    )


class SimilarOut(Out):
    """One asset that is like another; `distance` (differing bits of 64) is null where no bits tell it."""

    asset_id = fields.UUID(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf([k.value for k in LikenessKind]))
    distance = fields.Integer(required=True, allow_none=True)
    algo = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True)


class RelationIn(In):
    child_id = fields.UUID(required=True)
    kind = fields.String(required=True, validate=validate.Regexp(r"^[a-z_]{1,32}\Z"))
    label = words(200, least=0, load_default="")


class RelationOut(Out):
    id = fields.UUID(required=True)
    parent_id = fields.UUID(required=True)
    child_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    position = fields.Integer(required=True)
    label = fields.String(required=True)


class CollectionIn(In):
    name = words(300, required=True)
    description = words(20_000, least=0, load_default="")


class MemberIn(In):
    asset_id = fields.UUID(required=True)


class TagOut(Out):
    id = fields.UUID(required=True)
    name = fields.String(required=True)


class RightsIn(In):
    """What the sender says of rights; silence means own work."""

    licence = words(100, load_default=None, allow_none=True)
    licence_url = words(500, load_default=None, allow_none=True)
    creator = words(200, load_default=None, allow_none=True)
    source_url = words(2_000, load_default=None, allow_none=True)


class SendIn(RightsIn):
    """A file and what is said of its rights, as multipart."""

    file = UploadField(required=True)


class UploadIn(RightsIn):
    filename = words(300, required=True)
    mime = fields.String(required=True, validate=validate.Regexp(r"^[\w.+-]{1,40}/[\w.+-]{1,58}\Z"))
    size = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(min=1, max=2**50)
    )


class UploadOut(Out):
    """`state`: `created`, `receiving`, then `inspecting`, `ready` (`asset_id`) or `refused` (`error`)."""

    id = fields.UUID(required=True)
    filename = fields.String(required=True)
    mime = fields.String(required=True)
    size = fields.Integer(required=True, allow_none=True)
    received = fields.Integer(required=True, metadata={"description": "Bytes that have come."})
    state = fields.String(
        required=True, validate=validate.OneOf(["created", "receiving", "inspecting", "ready", "refused"])
    )
    asset_id = fields.UUID(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)
    rights = fields.Dict(keys=fields.String(), required=True)
    content_url = fields.String(required=True)
    upload_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The same for senders without a key; null when it is complete."},
    )
    expires_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When it is forgotten if nothing more comes; null when it is complete."},
    )
    created_at = fields.DateTime(required=True)
    completed_at = fields.DateTime(required=True, allow_none=True)


AssetPage = page_of(AnyAssetOut, "AssetPage")
RenditionPage = page_of(RenditionOut, "RenditionPage")
SimilarPage = page_of(SimilarOut, "SimilarPage")
RelationPage = page_of(RelationOut, "RelationPage")
CollectionPage = page_of(AssetOut, "CollectionPage")
TagPage = page_of(TagOut, "TagPage")
UploadPage = page_of(UploadOut, "UploadPage")
