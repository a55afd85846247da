"""Links that let whoever holds one send the bytes of one upload, and do nothing else.

A browser gets one from a server that has a key, and sends its file here directly.
"""

from __future__ import annotations

from uuid import UUID

from flask import current_app, request
from itsdangerous import BadData, URLSafeSerializer

from core.secrets import secret_key
from core.settings import Settings
from db.assets import Upload
from db.identity import Scope
from services.accounts import Identity


def upload_link(upload: Upload) -> str:
    """The address to send this upload's bytes to without a key; it lives until the upload is complete."""
    settings: Settings = current_app.config["SETTINGS"]
    base = (settings.public_url or f"http://{settings.api_host}:{settings.api_port}").rstrip("/")
    sender = str(upload.created_by) if upload.created_by else None
    token = _signer().dumps([str(upload.id), str(upload.workspace_id), sender])
    return f"{base}/api/v1/uploads/{upload.id}/content?token={token}"


def holder_of_link() -> Identity | None:
    """Who calls with a link to the upload that this request names; None without one, or with another's."""
    try:
        upload, workspace, sender = _signer().loads(request.args.get("token", ""))
    except (BadData, ValueError):
        return None
    if upload != str((request.view_args or {}).get("upload_id")):
        return None
    user = UUID(sender) if sender else UUID(int=0)
    return Identity(UUID(workspace), user, frozenset({Scope.READ, Scope.WRITE}), UUID(int=0), "link")


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(secret_key(current_app.config["SETTINGS"]), salt="upload")
