"""What all schemas share: `In` refuses unknown fields, `Out` is what people get."""

from __future__ import annotations

from functools import cache
from typing import Any

from marshmallow import RAISE, Schema, fields, validate


class In(Schema):
    class Meta:
        unknown = RAISE


class Out(Schema):
    pass


@cache
def shared(schema: type[Schema]) -> Schema:
    """The one instance of a schema that all requests load and dump with.

    Making one copies every field, which costs several times what using it does; it keeps nothing of what it
    loads, so threads may share it.
    """
    return schema()


class AssetOut(Out):
    """What every asset shows; `revision` is its ETag."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    status = fields.String(required=True)
    revision = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The schema of one page of a list."""
    page: type[Schema] = Out.from_dict(
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
        name=name,
    )
    return page


def words(limit: int, *, least: int = 1, **more: Any) -> fields.String:
    return fields.String(validate=validate.Length(min=least, max=limit), **more)


def micros(**more: Any) -> fields.Integer:
    """Money in: integer millionths of the currency, at most a million units."""
    return fields.Integer(strict=True, validate=validate.Range(min=0, max=10**12), **more)


def currency(**more: Any) -> fields.String:
    return fields.String(
        validate=validate.Regexp(r"^[A-Z]{3}\Z", error="Use an ISO 4217 code such as USD."), **more
    )
