"""Providers: what each can make, with which models, at what price, and whether it can be asked now."""

from __future__ import annotations

from marshmallow import fields, validate

from app.schemas.base import Out
from app.schemas.house import AbilityOut

HEALTH = ("ok", "failing", "unknown", "disabled")
CIRCUIT = ("closed", "half_open", "open")


class PriceOut(Out):
    """A list price in micro-units for `per` units: `amount`, or `amounts` by resolution or the like.

    `with_audio` and `amounts_with_audio` where a film costs another price with its own sound.
    """

    currency = fields.String(required=True)
    unit = fields.String(required=True)
    per = fields.Integer(required=True)
    amount = fields.Integer(required=True, allow_none=True)
    amounts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    with_audio = fields.Integer(required=True, allow_none=True)
    amounts_with_audio = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    source = fields.String(required=True)
    checked_on = fields.Date(required=True)
    expires_at = fields.Date(required=True)
    expired = fields.Boolean(required=True)


class ModelLimitsOut(Out):
    """What one request may carry; null where no limit is told."""

    prompt = fields.Integer(required=True, allow_none=True)
    image_bytes = fields.Integer(required=True, allow_none=True)


class ModelOut(Out):
    """One model. An empty list leaves the choice open; a null `price` means that none is known."""

    id = fields.String(required=True)
    default = fields.Boolean(required=True)
    capabilities = fields.List(fields.String(), required=True)
    durations = fields.List(fields.Integer(), required=True)
    resolutions = fields.List(fields.String(), required=True)
    sizes = fields.List(fields.String(), required=True)
    ratios = fields.List(fields.String(), required=True)
    audio = fields.Boolean(
        required=True, metadata={"description": "Whether it makes sound, always or when asked."}
    )
    quality = fields.Integer(required=True, metadata={"description": "Our mark from 1 to 5, for `best`."})
    typical_seconds = fields.Integer(required=True, allow_none=True)
    released = fields.Date(required=True, allow_none=True)
    retires_at = fields.Date(required=True, allow_none=True)
    retired = fields.Boolean(required=True)
    replaced_by = fields.String(required=True, allow_none=True)
    limits = fields.Nested(ModelLimitsOut, required=True)
    price = fields.Nested(PriceOut, required=True, allow_none=True)


class AccountLimitsOut(Out):
    """What the vendor takes from one account; 0 where it tells no limit."""

    per_minute = fields.Integer(required=True)
    at_once = fields.Integer(required=True)
    poll_seconds = fields.Float(required=True)


class CircuitOut(Out):
    """`open`: it did not answer `failures` calls in a row and is not called for `seconds`."""

    state = fields.String(required=True, validate=validate.OneOf(CIRCUIT))
    failures = fields.Integer(required=True)
    seconds = fields.Float(required=True)


class ProviderHealthOut(Out):
    """How this workspace's submissions of the last day ended, and what that says."""

    status = fields.String(required=True, validate=validate.OneOf(HEALTH))
    detail = fields.String(required=True)
    succeeded = fields.Integer(required=True)
    failed = fields.Integer(required=True)


class ProviderOut(AbilityOut):
    capabilities = fields.List(
        fields.String(), required=True, metadata={"description": "Of all its models that are not retired."}
    )
    models = fields.List(fields.Nested(ModelOut), required=True)
    limits = fields.Nested(AccountLimitsOut, required=True, allow_none=True)
    circuit = fields.Nested(CircuitOut, required=True)
    health = fields.Nested(ProviderHealthOut, required=True)


class ProvidersOut(Out):
    items = fields.List(fields.Nested(ProviderOut), required=True)
