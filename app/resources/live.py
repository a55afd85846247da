"""WebSockets: what happens to a job or in a project, as it happens.

A browser sends its key as the name of a protocol: `new WebSocket(address, ["callsheet", "key.cs_…"])`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from flask import Flask, Response, current_app, json, request
from simple_websocket import ConnectionClosed, Server
from simple_websocket import ConnectionError as HandshakeError
from werkzeug.exceptions import BadRequest, HTTPException
from wsproto.utilities import RemoteProtocolError

from app.api import Blueprint
from app.auth import identity
from app.schemas.jobs import AfterArgs
from app.streams import News, Pause, Places, watch_job, watch_project
from db.session import reading
from services.films import find_project
from services.jobs import get_job

blp = Blueprint("live", __name__, url_prefix="/api/v1", description="Events and progress over WebSockets.")
PROTOCOL = "callsheet"
COME_BACK = 1013
"""RFC 6455's registry, `Try Again Later`: the time is over, nothing is wrong; go on after the last id."""
_BROKEN = 1011
_LONGEST_MESSAGE = 4096
log = structlog.get_logger(__name__)
_DOC = {
    "responses": {
        101: {"description": "Messages of JSON: `event`, `data`, and an `id` to go on after; then `end`."}
    }
}


def install(app: Flask) -> None:
    """Give the views the addresses that an opened WebSocket looks for: a router keeps those apart."""
    app.add_url_rule("/api/v1/jobs/<uuid:job_id>/ws", "live.follow_job", websocket=True)
    for address in ("/api/v1/ws/<uuid:project_id>", "/ws/<uuid:project_id>"):
        app.add_url_rule(address, "live.follow_project", websocket=True)
    app.add_url_rule("/ws/<uuid:project_id>", "live.follow_project")


class UpgradeRequired(HTTPException):
    code = 426

    def get_headers(self, *_: Any, **__: Any) -> list[tuple[str, str]]:
        return [("Upgrade", "websocket")]


class _Spoken(Response):
    """The answer of a request whose connection was a WebSocket: there is nothing left to answer."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise StopIteration  # gunicorn's sign for a connection that the application has closed


@blp.get("/jobs/<uuid:job_id>/ws")
@blp.arguments(AfterArgs, location="query")
@blp.doc(**_DOC)
def follow_job(args: dict[str, Any], job_id: UUID) -> Response:
    """Follow a job over a WebSocket: its events after `after_id`, and its progress, until it has ended."""
    workspace_id = identity().workspace_id
    with reading() as session:
        get_job(session, workspace_id, job_id)
    return _speak(lambda app, pause: watch_job(app, workspace_id, job_id, args["after_id"] or 0, pause))


@blp.get("/ws/<uuid:project_id>")
@blp.arguments(AfterArgs, location="query")
@blp.doc(**_DOC)
def follow_project(args: dict[str, Any], project_id: UUID) -> Response:
    """Follow a project over a WebSocket (kept address: /ws/{project_id}); without `after_id` from now on."""
    workspace_id = identity().workspace_id
    with reading() as session:
        find_project(session, workspace_id, project_id)
    return _speak(lambda app, pause: watch_project(app, workspace_id, project_id, args["after_id"], pause))


def _speak(watch: Callable[[Flask, Pause], Iterator[News | None]]) -> Response:
    """Make the connection a WebSocket and tell the news; what the client says is not listened to."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise UpgradeRequired("Open this address as a WebSocket.")
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's way
    places: Places = app.extensions["places"]
    with places.held(identity().workspace_id):
        try:
            line = Server.accept(
                request.environ,
                subprotocols=[PROTOCOL],
                ping_interval=app.config["STREAM_HEARTBEAT_SECONDS"],
                max_message_size=_LONGEST_MESSAGE,
            )
        except (HandshakeError, RemoteProtocolError) as error:
            raise BadRequest("This is no WebSocket handshake.") from error
        _tell(line, lambda pause: watch(app, pause))
    return _Spoken(status=101)


def _tell(line: Server, watch: Callable[[Pause], Iterator[News | None]]) -> None:
    def pause(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            line.receive(timeout=left)

    try:
        for news in watch(pause):
            if news is not None and news.event == "pause":
                line.close(COME_BACK, "Come back with after_id.")
                return
            if news is not None:
                line.send(json.dumps(_message(news)))
        line.close()
    except (ConnectionClosed, OSError):
        return  # they have gone
    except Exception:  # an answer of HTTP's would be noise on this line
        log.exception("a WebSocket broke off")
        with suppress(ConnectionClosed, OSError):
            line.close(_BROKEN, "Something went wrong here.")


def _message(news: News) -> dict[str, Any]:
    number = {} if news.id is None else {"id": news.id}
    return {"event": news.event, **number, "data": news.data}
