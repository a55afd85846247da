"""Health for balancers and people, metrics for Prometheus."""

from __future__ import annotations

from flask import Response, current_app, jsonify

from app import metrics
from app.api import Blueprint, needs, public
from app.house_health import check_house
from app.schemas.house import HealthOut, ServicesOut

blp = Blueprint("health", __name__, url_prefix="/api/v1", description="Whether the house stands.")


@blp.get("/health")
@public
@blp.response(200, HealthOut)
def check_health() -> Response:
    """Say that this process is up."""
    return jsonify({"status": "ok"})


@blp.get("/health/services")
@public
@blp.response(200, ServicesOut)
def check_services() -> Response:
    """Check every service, worker, provider and source."""
    return jsonify(check_house())


@blp.get("/metrics")
@needs("admin")
@blp.response(200, {"type": "string"}, content_type=metrics.CONTENT_TYPE)
def read_metrics() -> Response:
    """Read figures of this process and of all workspaces' jobs, in Prometheus' format."""
    body = metrics.render(current_app.extensions["metrics"])
    return Response(body, content_type=metrics.CONTENT_TYPE)
