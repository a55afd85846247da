"""A clip and what to clean of it: as a form, or as JSON about an upload."""

from __future__ import annotations

from typing import Any

from flask_smorest.fields import Upload as UploadField
from marshmallow import fields

from app.schemas.assets import RightsIn
from app.schemas.base import words
from app.schemas.jobs import JobFields
from core.cleaning_briefs import TextRemovalParams

MOST_WORDS = 100_000


class CleaningParams(TextRemovalParams):
    """What to remove from a clip, whichever that is."""

    class Meta(TextRemovalParams.Meta):
        exclude = ("asset_id",)


_PARAMS = CleaningParams()


class CleaningIn(JobFields):
    """What POST /jobs takes for `text_removal`, but for the clip."""

    params = fields.Nested(CleaningParams, load_default=lambda: _PARAMS.load({}))


class ProcessUploadIn(CleaningIn):
    upload_id = fields.UUID(required=True, metadata={"description": "An upload that is complete."})


def _spelling(field: fields.Field[Any]) -> str:
    """How a form has a field: as it is (`text`), with commas (`words`), or as `json`."""
    if isinstance(field, fields.List) and isinstance(field.inner, fields.String):
        return "words"
    return "text" if isinstance(field, fields.String | fields.UUID) else "json"


def _in_form(name: str, field: fields.Field[Any]) -> fields.String:
    how = {"text": "", "words": "With commas between, or a JSON list. ", "json": "As JSON. "}[SPELLING[name]]
    return words(
        MOST_WORDS,
        load_default=None,
        metadata={"description": f"{how}{field.metadata.get('description', '')}".strip() or name},
    )


_FIELDS = {**JobFields().fields, **_PARAMS.fields, "params": fields.Dict()}
SPELLING = {name: _spelling(field) for name, field in _FIELDS.items()}
ProcessIn = RightsIn.from_dict(
    {"file": UploadField(required=True), **{name: _in_form(name, field) for name, field in _FIELDS.items()}},
    name="ProcessIn",
)
"""A clip and what to clean of it, as multipart; params together in `params`, or each by itself."""
