from __future__ import annotations

from marshmallow import Schema, fields


class ProblemOut(Schema):
    """RFC 9457. `code` is stable and for machines; `errors` has messages by field path."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    code = fields.String(required=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    request_id = fields.String(required=True)
