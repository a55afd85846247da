"""What the API is measured against: Flask and SQLAlchemy as their quick starts show them, and one table.

It reads a job's row from the body, inserts it and answers with the row, or selects it by its id. No key, no
validation, no event, no message. Gunicorn serves it with the settings of the Procfile.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.settings import get_settings
from db.work import Job, JobKind, JobState


def create_app() -> Flask:
    engine = create_engine(get_settings().database_url or "", pool_size=10, max_overflow=20)
    app = Flask("bare")

    @app.post("/workspaces/<uuid:workspace_id>/jobs")
    def insert_job(workspace_id: UUID) -> ResponseReturnValue:
        body = request.get_json()
        with Session(engine) as session:
            job = Job(
                workspace_id=workspace_id,
                kind=JobKind(body["kind"]),
                params=body["params"],
                state=JobState.QUEUED,
            )
            session.add(job)
            session.flush()
            row = _columns(job)  # after the commit they would be read once more
            session.commit()
            return jsonify(row), 201

    @app.get("/jobs/<uuid:job_id>")
    def select_job(job_id: UUID) -> ResponseReturnValue:
        with Session(engine) as session:
            job = session.get(Job, job_id)
            if job is None:
                abort(404)
            return jsonify(_columns(job))

    return app


def _columns(job: Job) -> dict[str, Any]:
    return {column.key: getattr(job, column.key) for column in Job.__table__.columns}
