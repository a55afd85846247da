"""Sources: what each has and takes, and whether it answers."""

from __future__ import annotations

from marshmallow import fields, validate

from app.schemas.base import Out, page_of
from app.schemas.house import AbilityOut
from app.schemas.providers import HEALTH, CircuitOut


class SourceLimitsOut(Out):
    """What it takes from this installation; 0 where there is no limit."""

    per_minute = fields.Integer(required=True)
    per_day = fields.Integer(
        required=True, metadata={"description": "`<SLUG>_CALLS_PER_DAY`, else what its fact sheet says."}
    )
    downloads_at_once = fields.Integer(required=True)
    cache_seconds = fields.Float(
        required=True, metadata={"description": "How long an answer serves the same question again."}
    )


class RecalledOut(Out):
    """Questions that kept answers served, and those that had to be asked."""

    hits = fields.Integer(required=True)
    misses = fields.Integer(required=True)


class SourceErrorOut(Out):
    id = fields.UUID(required=True)
    source = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)
    job_id = fields.UUID(required=True, allow_none=True)
    step = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


class SourceHealthOut(Out):
    """How it answers this workspace; `failures` are in a row."""

    status = fields.String(required=True, validate=validate.OneOf(HEALTH))
    detail = fields.String(required=True)
    failures = fields.Integer(required=True)
    answered_at = fields.DateTime(required=True, allow_none=True)
    last_error = fields.Nested(SourceErrorOut, required=True, allow_none=True)


class SourceOut(AbilityOut):
    """`reason` says why it is off and what would switch it on."""

    needs_key = fields.Boolean(required=True)
    terms = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it is off until an operator who has read its terms switches it on."},
    )
    limits = fields.Nested(SourceLimitsOut, required=True, allow_none=True)
    used_today = fields.Integer(required=True, metadata={"description": "Calls of this day (UTC)."})
    circuit = fields.Nested(CircuitOut, required=True)
    resting_seconds = fields.Float(
        required=True, metadata={"description": "For how long it still asked to be left alone."}
    )
    recalled = fields.Nested(RecalledOut, required=True)
    health = fields.Nested(SourceHealthOut, required=True)


class SourcesOut(Out):
    items = fields.List(fields.Nested(SourceOut), required=True)


SourceErrorPage = page_of(SourceErrorOut, "SourceErrorPage")
