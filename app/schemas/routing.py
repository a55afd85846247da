"""Routing: who was asked for a take, and why nobody else."""

from __future__ import annotations

from marshmallow import fields

from app.schemas.base import Out


class ConsideredOut(Out):
    """One provider of the brief. What a policy compares is null where it is not known."""

    provider = fields.String(required=True)
    model = fields.String(required=True)
    code = fields.String(
        required=True,
        metadata={"description": "`taken`, `spare` (it could have), or why it was passed over."},
    )
    message = fields.String(required=True)
    field = fields.String(required=True, allow_none=True)
    amount = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True, allow_none=True)
    known = fields.Boolean(required=True, allow_none=True)
    seconds = fields.Integer(required=True, allow_none=True)
    quality = fields.Integer(required=True, allow_none=True)


class RoutingOut(Out):
    policy = fields.String(required=True, metadata={"description": "The brief's `routing`."})
    considered = fields.List(
        fields.Nested(ConsideredOut), required=True, metadata={"description": "In the brief's order."}
    )
