"""The brief: what a job of each kind is asked for, validated hard, with every default written out.

`PARAMS[kind]` loads JSON into a plain dict that holds every field, so the stored brief says all a
worker needs and a later change of defaults does not change an old job.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from core.cleaning_briefs import FilmTextSchema, TextRemovalParams
from core.licence_briefs import BriefSchema, LicencePolicySchema, StrictBoolean

MAX_TEXT = 20_000
MAX_SCRIPT = 200_000
SIZES = (240, 360, 480, 720, 1080)
FPS = (24, 25, 30, 50, 60)
ASPECTS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:5": (4, 5)}
CAPTION_STYLES = ("karaoke", "plain", "boxed", "none")
SCRIPT_FORMATS = ("auto", "plain", "markdown", "fountain")
GATES = ("script", "takes", "cut")
FILM_PHASES = ("write", "source", "shoot", "finish", "deliver")
SHOT_FAILURE = ("card", "halt")
ROUTINGS = ("fixed", "cheapest", "fastest", "best")
_SLUG = validate.Regexp(r"^[a-z0-9_]{1,64}$", error="Use the slug of a provider or source.")


_PROVIDER = validate.Regexp(
    r"^[a-z0-9_]{1,64}(:[^\s\x00]{1,100})?$", error="Use a provider's slug, or `<slug>:<model>`."
)


def _text(limit: int, **more: Any) -> fields.String:
    return fields.String(
        validate=[
            validate.Length(min=1, max=limit),
            validate.ContainsNoneOf("\x00", error="Must not contain NUL characters."),
        ],
        **more,
    )


def _accept_unknown_prices() -> fields.Field[Any]:
    return StrictBoolean(
        load_default=False,
        metadata={"description": "Buy also where no price is known, or the one that is has expired."},
    )


def _reuse() -> fields.Field[Any]:
    return StrictBoolean(load_default=True, metadata={"description": "Take over steps with equal inputs."})


class MusicSchema(BriefSchema):
    """None, an audio asset, one piece of a source, or what sources have for some words.

    `{"from": "none"}`, `{"from": "asset", "id": "<audio asset>"}`, `{"from": "<source>", "id": …}`,
    `{"from": "search", "words": […], "mood": …}`, `{"from": "<source>", "words": […]}`.
    """

    source = fields.String(
        data_key="from",
        required=True,
        metadata={"description": "`none`, `asset`, `search` (every source of sound), or a source's slug."},
    )
    id = _text(500, load_default=None, allow_none=True)
    words = fields.List(
        _text(100),
        validate=validate.Length(min=1, max=10),
        metadata={"description": "Find music by these words; the film is silent where nothing is found."},
    )
    mood = _text(100, metadata={"description": "One more thing to look for: `calm`."})

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        source, words = data.get("source"), data.get("words") or data.get("mood")
        if words and (data.get("id") or source in ("none", "asset")):
            raise ValidationError("Say which piece by `id`, or look for one by `words`, not both.", "words")
        if source == "search" and not words:
            raise ValidationError("Say what to look for: `words`, or a `mood`.", "words")
        if source != "none" and not words and not data.get("id"):
            raise ValidationError(
                "Say which piece: `id` is needed unless `from` is `none`, or `words` to look for one.", "id"
            )


_LICENCES = LicencePolicySchema()
_TEXT = FilmTextSchema()


class FilmParams(BriefSchema):
    """A film: `text` (what it is about) or `script` (the words), and how it should look and sound."""

    title = _text(300, load_default=None, allow_none=True)
    text = _text(MAX_TEXT, load_default=None, allow_none=True)
    script = _text(MAX_SCRIPT, load_default=None, allow_none=True)
    script_format = fields.String(validate=validate.OneOf(SCRIPT_FORMATS), load_default="auto")
    format = fields.String(validate=validate.OneOf(list(ASPECTS)), load_default="16:9")
    size = fields.Integer(
        strict=True,
        validate=validate.OneOf(SIZES),
        load_default=720,
        metadata={"description": "Short side in pixels."},
    )
    fps = fields.Integer(strict=True, validate=validate.OneOf(FPS), load_default=30)
    language = fields.String(
        validate=validate.Regexp(
            r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", error="Use a language tag such as `en` or `pt-br`."
        ),
        load_default="en",
    )
    narrator = fields.String(validate=_SLUG, load_default="espeak")
    voice = _text(100, load_default=None, allow_none=True)
    music = fields.Nested(MusicSchema, load_default=lambda: {"source": "none", "id": None})
    captions = fields.String(validate=validate.OneOf(CAPTION_STYLES), load_default="karaoke")
    target_duration = fields.Float(
        validate=validate.Range(min=1, max=600),
        load_default=None,
        allow_none=True,
        metadata={"description": "Seconds wanted; the writer aims for it. Null: as long as the words take."},
    )
    writer = fields.String(
        validate=_SLUG,
        load_default="auto",
        metadata={"description": "Who writes from `text`: a writer's slug, or `auto` for the best enabled."},
    )
    providers = fields.List(
        fields.String(validate=_PROVIDER),
        load_default=lambda: ["local"],
        validate=validate.Length(min=1, max=20),
        metadata={
            "description": "Who may make takes: slugs, or `<slug>:<model>` for one model of a provider."
        },
    )
    routing = fields.String(
        validate=validate.OneOf(ROUTINGS),
        load_default="fixed",
        metadata={
            "description": "Who of `providers` is asked: the first (`fixed`), the `cheapest`, the `fastest` "
            "or the `best`. One that cannot or fails is followed by the next."
        },
    )
    accept_unknown_prices = _accept_unknown_prices()
    audio = StrictBoolean(
        load_default=False,
        metadata={"description": "The film has its takes' own sound; a shot's `audio` may say otherwise."},
    )
    sources = fields.List(
        fields.String(validate=_SLUG),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=20),
        metadata={"description": "Stock sources to search; null = every enabled one, [] = none."},
    )
    licences = fields.Nested(LicencePolicySchema, load_default=lambda: _LICENCES.load({}))
    fresh_for_films = fields.Integer(
        strict=True,
        validate=validate.Range(min=0, max=50),
        load_default=5,
        metadata={
            "description": "Show and play nothing that the last so many films of the project do, "
            "while there is anything else."
        },
    )
    burnt_text = fields.Nested(FilmTextSchema, load_default=lambda: _TEXT.load({}))
    moderation = fields.String(
        validate=_SLUG,
        load_default="none",
        metadata={"description": "Who judges the master before delivery: `none`, or a moderator's slug."},
    )
    on_shot_failure = fields.String(
        validate=validate.OneOf(SHOT_FAILURE),
        load_default="card",
        metadata={"description": "A shot without a usable take: show a `card`, or `halt` the job."},
    )
    seed = fields.Integer(strict=True, validate=validate.Range(min=0, max=2**31 - 1), load_default=0)
    reuse = _reuse()

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        text, script = data.get("text"), data.get("script")
        if (text is None) == (script is None):
            raise ValidationError(
                "Give either `text` (a brief) or `script`, not both and not neither.", "text"
            )
        if not (text or script or "").strip():
            raise ValidationError("There are no words in it.", "text" if text is not None else "script")


class ScrapeParams(BriefSchema):
    """Search stock sources and keep the best finds as assets."""

    words = fields.List(_text(100), required=True, validate=validate.Length(min=1, max=10))
    kind = fields.String(validate=validate.OneOf(["image", "clip", "audio"]), load_default="image")
    orientation = fields.String(
        validate=validate.OneOf(["landscape", "portrait", "square"]), load_default=None, allow_none=True
    )
    sources = fields.List(
        fields.String(validate=_SLUG), load_default=None, allow_none=True, validate=validate.Length(max=20)
    )
    keep = fields.Integer(strict=True, validate=validate.Range(min=1, max=50), load_default=5)
    licences = fields.Nested(LicencePolicySchema, load_default=lambda: _LICENCES.load({}))
    reuse = _reuse()


PARAMS: dict[str, type[BriefSchema]] = {
    "film": FilmParams,
    "text_removal": TextRemovalParams,
    "scrape": ScrapeParams,
}


def load_params(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Validate the params of one job kind.

    Returns JSON-ready values in the shape of the request, every default filled in.
    Raises marshmallow's `ValidationError`, whose messages are per field.
    """
    return dump_params(kind, _schema(kind).load(data))


def dump_params(kind: str, loaded: dict[str, Any]) -> dict[str, Any]:
    """Bring params that the kind's schema has loaded back into the JSON-ready shape of the request."""
    dumped: dict[str, Any] = _schema(kind).dump(loaded)
    return dumped


@cache
def _schema(kind: str) -> BriefSchema:
    """Making a schema costs more than using it, and it may be used by all threads at once."""
    return PARAMS[kind]()


def frame_size(aspect: str, short_side: int) -> tuple[int, int]:
    """Width and height in pixels, both even, of a format whose shorter side is `short_side`."""
    across, down = ASPECTS[aspect]
    unit = short_side / min(across, down)
    return round(across * unit / 2) * 2, round(down * unit / 2) * 2
