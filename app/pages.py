"""The two pages for people: a front page with links, and the API's reference."""

from __future__ import annotations

from pathlib import Path

import flask_swagger_ui
from flask import Flask, Response, send_from_directory
from werkzeug.exceptions import NotFound

from app.api import public

STATIC = Path(__file__).parent / "static"
SWAGGER = Path(flask_swagger_ui.__file__).parent / "dist"
SWAGGER_FILES = {
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
}
OWN_FILES = {"docs.js", "docs.css", "front.css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)  # Swagger UI sets style attributes; scripts are files only


def install(app: Flask) -> None:
    @app.get("/")
    @public
    def show_front_page() -> Response:
        return _page("front.html")

    @app.get("/docs")
    @public
    def show_docs() -> Response:
        return _page("docs.html")

    @app.get("/docs/assets/<name>")
    @public
    def send_asset(name: str) -> Response:
        if name in SWAGGER_FILES:
            return send_from_directory(SWAGGER, name, max_age=3600)
        if name in OWN_FILES:
            return send_from_directory(STATIC, name, max_age=3600)
        raise NotFound("There is no such file.")


def _page(name: str) -> Response:
    response = send_from_directory(STATIC, name, mimetype="text/html", max_age=0)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
