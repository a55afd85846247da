"""Candidates: what sources offered, its score, and what became of it."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import Out, page_of
from db.candidates import Candidate, CandidateState


class CandidateArgs(PageArgs):
    sort = fields.String(
        load_default="best",
        validate=validate.OneOf(["best"]),
        metadata={"description": "In the order of the ranking; what is not ranked comes last."},
    )


class CandidateLicenceOut(Out):
    id = fields.String(required=True, metadata={"description": "An SPDX id or a LicenseRef."})
    name = fields.String(required=True)
    licence_class = fields.String(required=True, data_key="class")
    url = fields.String(required=True, allow_none=True)


class ScorePartOut(Out):
    mark = fields.Float(required=True, metadata={"description": "0 to 1."})
    weight = fields.Float(required=True)


class CandidateOut(Out):
    id = fields.UUID(required=True)
    shot_id = fields.UUID(required=True, allow_none=True)
    source = fields.String(required=True)
    foreign_id = fields.String(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    creator = fields.String(required=True, allow_none=True)
    landing_url = fields.String(required=True, allow_none=True)
    preview_url = fields.String(required=True, allow_none=True)
    licence = fields.Nested(CandidateLicenceOut, required=True)
    width = fields.Integer(required=True, allow_none=True)
    height = fields.Integer(required=True, allow_none=True)
    duration = fields.Float(required=True, allow_none=True)
    size = fields.Integer(required=True, allow_none=True, metadata={"description": "Bytes."})
    score = fields.Float(required=True, metadata={"description": "0 to 1: the marks by their weights."})
    score_version = fields.Integer(required=True)
    parts = fields.Dict(keys=fields.String(), values=fields.Nested(ScorePartOut), required=True)
    position = fields.Integer(required=True, allow_none=True)
    state = fields.String(required=True, validate=validate.OneOf([state.value for state in CandidateState]))
    chosen = fields.Boolean(required=True)
    reason = fields.String(required=True)
    asset_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "What it was kept as, once it is fetched."}
    )
    created_at = fields.DateTime(required=True)


CandidatePage = page_of(CandidateOut, "CandidatePage")

_OWN = (
    *("id", "shot_id", "source", "foreign_id", "kind", "score", "score_version", "parts", "position"),
    *("state", "reason", "asset_id", "created_at"),
)
_SAID = ("title", "creator", "landing_url", "width", "height", "duration", "size")


def show_candidate(row: Candidate) -> dict[str, Any]:
    """A candidate as the API shows it: the row, and what its source said that is for people."""
    said = row.facts
    preview = str(said.get("preview_url") or "")
    return {
        **{name: getattr(row, name) for name in _OWN},
        **{name: said.get(name) for name in _SAID},
        "preview_url": preview if preview.startswith(("http://", "https://")) else None,
        "licence": said["licence"],
        "chosen": row.state is CandidateState.CHOSEN,
    }
