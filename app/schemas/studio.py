"""Projects, films, scripts, shots and takes."""

from __future__ import annotations

from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import AssetOut, In, Out, currency, micros, page_of, words
from core.briefs import ASPECTS, CAPTION_STYLES, MAX_SCRIPT, SCRIPT_FORMATS
from core.licence_briefs import StrictBoolean
from db.assets import ProjectStage, Validation

STAGES = [stage.value for stage in ProjectStage]
CAMERAS = ("push in", "pull out", "pan left", "pan right", "tilt up", "tilt down", "still")


class ProjectIn(In):
    name = words(300, required=True)
    description = words(20_000, least=0, load_default="")
    stage = fields.Enum(ProjectStage, by_value=True, load_default=ProjectStage.DEVELOPMENT)
    budget = micros(load_default=None, allow_none=True, metadata={"description": "Cap in micro-units."})
    currency = currency(load_default="USD")
    defaults = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Brief fields its films start from."},
    )


class ProjectPatchIn(In):
    name = words(300)
    description = words(20_000, least=0)
    stage = fields.Enum(ProjectStage, by_value=True)
    budget = micros(allow_none=True)
    currency = currency()
    defaults = fields.Dict(keys=fields.String())


class ProjectOut(AssetOut):
    stage = fields.Enum(ProjectStage, by_value=True, required=True)
    budget = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True)
    defaults = fields.Dict(keys=fields.String(), required=True)


class ProjectListArgs(PageArgs):
    stage = fields.String(load_default=None, validate=validate.OneOf(STAGES))


class FilmPatchIn(In):
    """What is said of a film, and how it looks and sounds once its job is remade."""

    name = words(300)
    description = words(20_000, least=0)
    format = fields.String(validate=validate.OneOf(list(ASPECTS)))
    voice = words(100, allow_none=True)
    caption_style = fields.String(validate=validate.OneOf(CAPTION_STYLES))
    project_id = fields.UUID(allow_none=True)
    seo = fields.Dict(
        keys=fields.String(), metadata={"description": "Title, description, tags for publishing."}
    )


class FilmOut(AssetOut):
    project_id = fields.UUID(required=True, allow_none=True)
    script_id = fields.UUID(required=True, allow_none=True)
    master_rendition_id = fields.UUID(required=True, allow_none=True)
    format = fields.String(required=True)
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    fps = fields.Integer(required=True)
    language = fields.String(required=True)
    target_duration = fields.Float(required=True, allow_none=True)
    voice = fields.String(required=True, allow_none=True)
    music = fields.Dict(keys=fields.String(), required=True)
    caption_style = fields.String(required=True)
    seo = fields.Dict(keys=fields.String(), required=True)


class ByProjectArgs(PageArgs):
    project_id = fields.UUID(load_default=None)


class CreditsOut(Out):
    items = fields.List(fields.Dict(keys=fields.String()), required=True)


class ScriptIn(In):
    name = words(300, required=True)
    text = words(MAX_SCRIPT, required=True)
    format = fields.String(load_default="auto", validate=validate.OneOf(SCRIPT_FORMATS))
    project_id = fields.UUID(load_default=None, allow_none=True)


class ScriptPatchIn(In):
    name = words(300)
    description = words(20_000, least=0)


class VersionIn(In):
    text = words(MAX_SCRIPT, required=True)
    format = fields.String(load_default="auto", validate=validate.OneOf(SCRIPT_FORMATS))


class VersionOut(Out):
    id = fields.UUID(required=True)
    script_id = fields.UUID(required=True)
    number = fields.Integer(required=True)
    text = fields.String(required=True)
    format = fields.String(required=True)
    scenes = fields.List(fields.Dict(keys=fields.String()), required=True)
    author = fields.String(required=True)
    origin = fields.String(required=True)
    approved_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


class VersionItemOut(Out):
    """A version as lists show it: without its text."""

    id = fields.UUID(required=True)
    number = fields.Integer(required=True)
    format = fields.String(required=True)
    author = fields.String(required=True)
    origin = fields.String(required=True)
    approved_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


class ScriptItemOut(AssetOut):
    project_id = fields.UUID(required=True, allow_none=True)
    current_version_id = fields.UUID(required=True, allow_none=True)


class ScriptOut(ScriptItemOut):
    version = fields.Nested(VersionOut, required=True, allow_none=True)


class DiffArgs(In):
    first = fields.Integer(data_key="from", required=True, validate=validate.Range(min=1, max=2**31 - 1))
    second = fields.Integer(data_key="to", required=True, validate=validate.Range(min=1, max=2**31 - 1))


class DiffOut(Out):
    first = fields.Integer(data_key="from", required=True)
    second = fields.Integer(data_key="to", required=True)
    equal = fields.Boolean(required=True)
    diff = fields.List(fields.String(), required=True, metadata={"description": "Lines of a unified diff."})


class ScriptFileIn(In):
    """The form fields beside the `file`."""

    script_id = fields.UUID(load_default=None, metadata={"description": "Null: the project's own script."})


class _ShotFields(In):
    description = words(20_000, least=0)
    heading = words(300, least=0)
    narration = words(5_000, least=0)
    visual_prompt = words(5_000, least=0)
    search_words = fields.List(words(100), validate=validate.Length(max=20))
    camera = fields.String(allow_none=True, validate=validate.OneOf(CAMERAS))
    title = words(300, allow_none=True)
    asked_duration = fields.Float(allow_none=True, validate=validate.Range(min=0.5, max=60))
    image = words(2_000, allow_none=True)
    clip = words(2_000, allow_none=True)
    reference = words(
        2_000, allow_none=True, metadata={"description": "A picture that a vendor's take begins with."}
    )
    audio = StrictBoolean(
        allow_none=True,
        metadata={"description": "The film has the take's own sound; null = as the brief says."},
    )


class ShotIn(_ShotFields):
    film_id = fields.UUID(required=True)
    name = words(300, load_default="Shot")
    scene = fields.Integer(strict=True, load_default=1, validate=validate.Range(min=1, max=1000))
    position = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=1000),
        metadata={"description": "Place in the cut from 0; null = at the end."},
    )


class ShotPatchIn(_ShotFields):
    name = words(300)
    scene = fields.Integer(strict=True, validate=validate.Range(min=1, max=1000))


class ShotOut(AssetOut):
    film_id = fields.UUID(required=True)
    position = fields.Integer(required=True)
    scene = fields.Integer(required=True)
    heading = fields.String(required=True)
    narration = fields.String(required=True)
    visual_prompt = fields.String(required=True)
    search_words = fields.List(fields.String(), required=True)
    camera = fields.String(required=True, allow_none=True)
    title = fields.String(required=True, allow_none=True)
    asked_duration = fields.Float(required=True, allow_none=True)
    image = fields.String(required=True, allow_none=True)
    clip = fields.String(required=True, allow_none=True)
    reference = fields.String(required=True, allow_none=True)
    audio = fields.Boolean(required=True, allow_none=True)
    duration = fields.Float(required=True, allow_none=True)
    frames = fields.Integer(required=True, allow_none=True)
    selected_take_id = fields.UUID(required=True, allow_none=True)


class ShotsArgs(In):
    film_id = fields.UUID(required=True)


class ShotsOut(Out):
    items = fields.List(fields.Nested(ShotOut), required=True)


class ReorderIn(In):
    film_id = fields.UUID(required=True)
    shot_ids = fields.List(fields.UUID(), required=True, validate=validate.Length(min=1, max=200))


class SelectTakeIn(In):
    take_id = fields.UUID(required=True)


class TakeIn(In):
    asset_id = fields.UUID(required=True, metadata={"description": "A clip of this workspace."})


class TakePatchIn(In):
    name = words(300)
    description = words(20_000, least=0)
    validation = fields.String(validate=validate.OneOf([v.value for v in Validation]))


class TakeOut(AssetOut):
    shot_id = fields.UUID(required=True)
    number = fields.Integer(required=True)
    origin = fields.String(required=True)
    provider = fields.String(required=True, allow_none=True)
    model = fields.String(required=True, allow_none=True)
    seed = fields.Integer(required=True, allow_none=True)
    cost = fields.Integer(required=True)
    currency = fields.String(required=True)
    source_asset_id = fields.UUID(required=True, allow_none=True)
    instructions = fields.String(required=True)
    quality = fields.Dict(keys=fields.String(), required=True)
    validation = fields.String(required=True)


ProjectPage = page_of(ProjectOut, "ProjectPage")
FilmPage = page_of(FilmOut, "FilmPage")
ScriptPage = page_of(ScriptItemOut, "ScriptPage")
VersionPage = page_of(VersionItemOut, "VersionPage")
TakePage = page_of(TakeOut, "TakePage")
