"""The REST API: thin doors over services. Gunicorn serves `app:create_app()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from core.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Build the Flask application; Flask and the models are imported only here."""
    from app.factory import build
    from core.settings import get_settings

    return build(settings or get_settings())
