"""Who asks: API keys in `X-API-Key` or `Authorization: Bearer`, scopes by method."""

from __future__ import annotations

import hmac

from flask import Flask, current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from app.links import holder_of_link
from db.identity import Scope
from db.session import single
from services.accounts import Identity, authenticate

_SAFE = {"GET", "HEAD", "OPTIONS"}
_KEY_PROTOCOL = "key."
"""Browsers can send no header when they open a WebSocket, only names of protocols."""
_OPEN_ENDPOINTS = {"api-docs.openapi_json"}


def install(app: Flask) -> None:
    app.before_request(_identify)


def identity() -> Identity:
    """The caller of this request; set for every view that is not public."""
    caller: Identity = g.identity
    return caller


def _identify() -> None:
    scope = _needed_scope()
    if scope is None or (request.endpoint == "health.read_metrics" and _is_collector()):
        return
    key = _sent_key()
    if key is None and _takes_links() and (holder := holder_of_link()) is not None:
        g.identity = holder
        return
    if key is None:
        raise _unauthorized("Send an API key: X-API-Key: cs_… or Authorization: Bearer cs_….")
    with single() as connection:
        caller = authenticate(connection, key)
    if caller is None:
        raise _unauthorized("This API key is unknown, expired or revoked.")
    if not caller.may(scope):
        raise Forbidden(f"This key lacks the scope `{scope}`.")
    g.identity = caller


def _needed_scope() -> Scope | None:
    """The scope of the matched view; None for public views, preflights and addresses that do not exist."""
    if request.endpoint is None or request.method == "OPTIONS" or request.endpoint in _OPEN_ENDPOINTS:
        return None
    marked = getattr(current_app.view_functions[request.endpoint], "_scope", "by method")
    if marked is None:
        return None
    if marked != "by method":
        return Scope(marked)
    return Scope.READ if request.method in _SAFE else Scope.WRITE


def _takes_links() -> bool:
    return hasattr(current_app.view_functions[request.endpoint or ""], "_by_link")


def _is_collector() -> bool:
    """Whether the metrics' own token was sent, which opens nothing else; an empty one opens nothing."""
    token = current_app.config["SETTINGS"].metrics_token
    given = request.authorization
    if token is None or not token.get_secret_value() or given is None or given.type != "bearer":
        return False
    return hmac.compare_digest(token.get_secret_value().encode(), (given.token or "").encode())


def _sent_key() -> str | None:
    key = request.headers.get("X-API-Key")
    if key:
        return key.strip()
    given = request.authorization
    if given is not None and given.type == "bearer" and given.token:
        return given.token.strip()
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    keys = [name.strip()[len(_KEY_PROTOCOL) :] for name in offered if name.strip().startswith(_KEY_PROTOCOL)]
    return keys[0] if keys else None


def _unauthorized(detail: str) -> Unauthorized:
    return Unauthorized(detail, www_authenticate=WWWAuthenticate("bearer", {"realm": "callsheet"}))
