"""Accounts, money, reviews, and what is known of the running house."""

from __future__ import annotations

from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import In, Out, page_of, words
from app.schemas.jobs import ByKind, FilmJobIn, ScrapeJobIn, TextRemovalJobIn
from db.identity import Scope
from db.review import Verb


class ApiKeyIn(In):
    name = words(200, required=True)
    scopes = fields.List(
        fields.String(validate=validate.OneOf([s.value for s in Scope])),
        required=True,
        validate=validate.Length(min=1, max=3),
    )
    expires_at = fields.AwareDateTime(load_default=None, allow_none=True)


class ApiKeyOut(Out):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = fields.DateTime(required=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    revoked_at = fields.DateTime(required=True, allow_none=True)


class NewApiKeyOut(ApiKeyOut):
    """`key` is shown here and never again."""

    key = fields.String(required=True)


class RespondIn(In):
    verb = fields.String(required=True, validate=validate.OneOf([v.value for v in Verb]))
    instructions = words(5_000, least=0, load_default="")
    edit = fields.Dict(
        keys=fields.String(),
        load_default=None,
        allow_none=True,
        metadata={"description": 'At `script`: {"script": text}; at `takes`: {"selections": {shot: take}}.'},
    )


class ApprovalOut(Out):
    id = fields.UUID(required=True)
    job_id = fields.UUID(required=True, allow_none=True)
    gate = fields.String(required=True, allow_none=True)
    asset_id = fields.UUID(required=True, allow_none=True)
    title = fields.String(required=True)
    priority = fields.Integer(required=True)
    state = fields.String(required=True)
    response = fields.String(required=True, allow_none=True)
    instructions = fields.String(required=True)
    edit = fields.Dict(keys=fields.String(), required=True, allow_none=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    responded_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


class ActivityArgs(PageArgs):
    subject_id = fields.UUID(load_default=None)
    action = words(64, load_default=None)


class ActivityOut(Out):
    id = fields.UUID(required=True)
    user_id = fields.UUID(required=True, allow_none=True)
    action = fields.String(required=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    details = fields.Dict(keys=fields.String(), required=True)
    created_at = fields.DateTime(required=True)


class QuoteIn(ByKind):
    """The body of POST /jobs: what would be started."""

    variants = {  # noqa: RUF012 - a constant of the class
        "film": FilmJobIn,
        "text_removal": TextRemovalJobIn,
        "scrape": ScrapeJobIn,
    }


class HealthOut(Out):
    status = fields.String(required=True)


class ServiceOut(Out):
    status = fields.String(required=True, validate=validate.OneOf(["ok", "degraded", "disabled"]))
    detail = fields.String(required=True)
    ms = fields.Float(required=True, allow_none=True)


class ServicesOut(Out):
    status = fields.String(required=True, validate=validate.OneOf(["ok", "degraded"]))
    services = fields.Dict(keys=fields.String(), values=fields.Nested(ServiceOut), required=True)


class AbilityOut(Out):
    slug = fields.String(required=True)
    kinds = fields.List(fields.String(), required=True)
    enabled = fields.Boolean(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    details = fields.Dict(keys=fields.String(), required=True)


ApiKeyPage = page_of(ApiKeyOut, "ApiKeyPage")
ApprovalPage = page_of(ApprovalOut, "ApprovalPage")
ActivityPage = page_of(ActivityOut, "ActivityPage")
