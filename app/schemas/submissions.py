"""Submissions: paid requests to vendors, as people see and resolve them."""

from __future__ import annotations

from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import In, Out, page_of, words
from app.schemas.routing import RoutingOut
from db.submissions import SubmissionState

OUTCOMES = ("accepted", "not_accepted", "abandoned")


class SubmissionOut(Out):
    """`next_poll_at` is when something happens to it next; null: nothing, or a person must say."""

    id = fields.UUID(required=True)
    job_id = fields.UUID(required=True)
    shot_id = fields.UUID(required=True, allow_none=True)
    provider = fields.String(required=True)
    model = fields.String(required=True)
    state = fields.Enum(SubmissionState, by_value=True, required=True)
    vendor_id = fields.String(required=True, allow_none=True)
    client_token = fields.String(required=True)
    sends = fields.Integer(required=True)
    polls = fields.Integer(required=True)
    routing = fields.Nested(RoutingOut, required=True)
    quote = fields.Integer(required=True)
    actual_cost = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True)
    take_id = fields.UUID(required=True, allow_none=True)
    error_code = fields.String(required=True, allow_none=True)
    error_message = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    submitted_at = fields.DateTime(required=True, allow_none=True)
    next_poll_at = fields.DateTime(required=True, allow_none=True)
    deadline_at = fields.DateTime(required=True, allow_none=True)
    given_up_at = fields.DateTime(required=True, allow_none=True)
    finished_at = fields.DateTime(required=True, allow_none=True)


class SubmissionListArgs(PageArgs):
    state = fields.String(load_default=None, validate=validate.OneOf([s.value for s in SubmissionState]))
    job_id = fields.UUID(load_default=None)
    provider = fields.String(load_default=None, validate=validate.Length(max=64))


class ResolveIn(In):
    """What a person found in the vendor's own list."""

    outcome = fields.String(
        required=True,
        validate=validate.OneOf(OUTCOMES),
        metadata={
            "description": "`accepted`: the vendor has it, as `vendor_id`. `not_accepted`: it is sent again. "
            "`abandoned`: another provider makes the take; what is held is released."
        },
    )
    vendor_id = words(300, load_default=None, allow_none=True)
    cost = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=10**12),
        metadata={
            "description": "Micro-units that the vendor's list shows for an `accepted` call which answers at "
            "once (a script, a narration, moderation); unset: what was quoted."
        },
    )


SubmissionPage = page_of(SubmissionOut, "SubmissionPage")
