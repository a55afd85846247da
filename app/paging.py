"""Lists: `?limit=&cursor=&sort=` in, `next_cursor` and a Link header out.

A cursor is opaque, signed, and good only for the list and the filters it came from.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, current_app, jsonify, request
from itsdangerous import BadData, URLSafeSerializer
from marshmallow import Schema, fields, validate

from app.schemas.base import In, shared
from core.errors import Invalid
from core.hashing import digest
from core.secrets import secret_key
from services.paging import Page, Window

_WINDOW_FIELDS = ("limit", "cursor", "sort")


class PageArgs(In):
    """What every list takes; a resource adds its filters."""

    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
    cursor = fields.String(load_default=None, validate=validate.Length(max=1000))
    sort = fields.String(
        load_default="-created",
        validate=validate.OneOf(["created", "-created"]),
        metadata={"description": "`-created`: newest first."},
    )


def window_of(args: dict[str, Any]) -> tuple[Window, dict[str, Any]]:
    """Split a list's arguments into the window and the filters that are set."""
    filters = {k: v for k, v in args.items() if k not in _WINDOW_FIELDS and v is not None}
    after = None
    if args["cursor"] is not None:
        try:
            key, what = _signer().loads(args["cursor"])
            after = UUID(key)
        except (BadData, ValueError, TypeError) as error:
            raise Invalid("Use the `next_cursor` of a page, unchanged.", field="cursor") from error
        if what != _list_id(args["sort"], filters):
            raise Invalid("This cursor belongs to another list, filter or order.", field="cursor")
    return Window(args["limit"], after, descending=args["sort"].startswith("-")), filters


def page_reply(schema: type[Schema], page: Page[Any], args: dict[str, Any], items: Any = None) -> Response:
    """Answer one page; `items` replaces the rows where a view made something of them."""
    rows = page.items if items is None else items
    body: dict[str, Any] = {"items": shared(schema).dump(rows, many=True), "next_cursor": None}
    link = None
    if page.next_after is not None:
        filters = {k: v for k, v in args.items() if k not in _WINDOW_FIELDS and v is not None}
        cursor = _signer().dumps([str(page.next_after), _list_id(args["sort"], filters)])
        body["next_cursor"] = cursor
        query = urlencode(
            [*((k, v) for k, v in request.args.items(multi=True) if k != "cursor"), ("cursor", cursor)]
        )
        link = f'<{request.path}?{query}>; rel="next"'
    response = jsonify(body)
    if link:
        response.headers["Link"] = link
    return response


def _list_id(sort: str, filters: dict[str, Any]) -> str:
    return digest([request.path.rstrip("/"), sort, filters])[:16]


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(secret_key(current_app.config["SETTINGS"]), salt="cursor")
