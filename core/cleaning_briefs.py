"""What is asked of burnt-in text: which of it goes, where, in which languages, by which method."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from core.licence_briefs import BriefSchema, StrictBoolean

WHAT = ("all", "subtitles", "watermark")
QUALITIES = ("fast", "balanced", "best")
MOST_REGIONS = 20
LARGEST_SHARE = 0.9
"""Of the frame that may be filled at one moment; what is filled is made from the rest."""
_GRID = 40
_METHOD = validate.Regexp(
    r"^[a-z0-9_]{1,64}$", error="Use `auto`, `local`, or the slug of a vendor that removes text."
)


def _word(limit: int = 100) -> fields.String:
    return fields.String(
        validate=[
            validate.Length(min=1, max=limit),
            validate.ContainsNoneOf("\x00", error="Must not contain NUL characters."),
        ]
    )


def _share(**more: Any) -> fields.Float:
    return fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0, max=1, **more))


def keep_words() -> fields.Field[Any]:
    return fields.List(
        _word(),
        load_default=list,
        validate=validate.Length(max=50),
        metadata={"description": "Text that has one of these words in it stays: a sign, a title."},
    )


class RegionSchema(BriefSchema):
    """A rectangle or a polygon as shares of the frame, and when it counts (seconds; null = always).

    `{"x": 0, "y": 0.8, "width": 1, "height": 0.2}` or `{"corners": [[0.1, 0.1], [0.5, 0], [0.3, 0.4]]}`.
    """

    do = fields.String(
        validate=validate.OneOf(["clean", "keep"]),
        load_default="clean",
        metadata={
            "description": "`clean`: filled, whatever is read there, and nothing is touched outside of such "
            "regions. `keep`: never touched."
        },
    )
    x = _share()
    y = _share()
    width = _share(min_inclusive=False)
    height = _share(min_inclusive=False)
    corners = fields.List(
        fields.List(fields.Float(validate=validate.Range(min=0, max=1)), validate=validate.Length(equal=2)),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=3, max=20),
    )
    start = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0))
    end = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0))

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        sides = {name: data.get(name) for name in ("x", "y", "width", "height")}
        if data.get("corners") is not None:
            if given := [name for name, value in sides.items() if value is not None]:
                raise ValidationError("Give a rectangle or `corners`, not both.", given[0])
            if _area(data["corners"]) <= 0:
                raise ValidationError("The polygon has no area.", "corners")
        elif missing := [name for name, value in sides.items() if value is None]:
            raise ValidationError("A rectangle has `x`, `y`, `width` and `height`.", missing[0])
        elif any(data[at] + data[size] > 1.0001 for at, size in (("x", "width"), ("y", "height"))):
            raise ValidationError(
                "The rectangle leaves the frame: x + width and y + height are at most 1.", "x"
            )
        if data.get("end") is not None and data["end"] <= (data.get("start") or 0.0):
            raise ValidationError("`end` must be after `start`.", "end")


class TextRemovalParams(BriefSchema):
    """Remove burnt-in text from an uploaded clip: found by itself, or where a person marked it."""

    asset_id = fields.UUID(required=True)
    regions = fields.List(
        fields.Nested(RegionSchema),
        load_default=list,
        validate=validate.Length(max=MOST_REGIONS),
        metadata={"description": "Where to clean and where not to; without any, text is looked for."},
    )
    what = fields.String(validate=validate.OneOf(WHAT), load_default="all")
    languages = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", error="Use language tags such as `en` or `zh`."
            )
        ),
        load_default=list,
        validate=validate.Length(max=10),
        metadata={"description": "Only text in these; none = in any language."},
    )
    keep = keep_words()
    quality = fields.String(validate=validate.OneOf(QUALITIES), load_default="balanced")
    method = fields.String(
        validate=_METHOD,
        load_default="auto",
        metadata={
            "description": "`local`: on this machine, free. A vendor's slug (`ghostcut`): bought there. "
            "`auto`: here, and what is not clean then is bought where a vendor has a key, "
            "`accept_unknown_prices` is said if its price is not known, and the budget allows."
        },
    )
    strict = StrictBoolean(
        load_default=False,
        metadata={"description": "Fail when text can still be read at the end, instead of warning of it."},
    )
    accept_unknown_prices = StrictBoolean(
        load_default=False,
        metadata={"description": "Buy also where no price is known, or the one that is has expired."},
    )
    reuse = StrictBoolean(load_default=True, metadata={"description": "Take over steps with equal inputs."})

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        regions = data.get("regions") or []
        for do, most, why in (
            (
                "clean",
                LARGEST_SHARE,
                "what is filled is made from the rest; leave a tenth of it",
            ),
            ("keep", 0.999, "nothing would be cleaned"),
        ):
            marked = [region for region in regions if region["do"] == do]
            if any(_covered(marked, region.get("start") or 0.0) > most for region in marked):
                raise ValidationError(f"The regions to {do} cover the frame: {why}.", "regions")


class FilmTextSchema(BriefSchema):
    """What becomes of text that is burnt into the takes of a film."""

    remove = StrictBoolean(
        load_default=True,
        metadata={
            "description": "Show another take without text, or clean the one there is, on this machine. "
            "False: takes are shown as they come."
        },
    )
    keep = keep_words()


def corners_of(region: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """The corners of a region as it was loaded, clockwise where it is a rectangle."""
    if region.get("corners"):
        return tuple((x, y) for x, y in region["corners"])
    x, y = region["x"], region["y"]
    right, bottom = min(1.0, x + region["width"]), min(1.0, y + region["height"])
    return (x, y), (right, y), (right, bottom), (x, bottom)


def _area(corners: list[list[float]]) -> float:
    turns = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in turns)) / 2


def _covered(regions: list[dict[str, Any]], at: float) -> float:
    """Share of the frame that the regions cover at a moment, by a grid of points."""
    shapes = [
        corners_of(region)
        for region in regions
        if (region.get("start") or 0.0) <= at and (region.get("end") is None or at < region["end"])
    ]
    points = [((c + 0.5) / _GRID, (r + 0.5) / _GRID) for c in range(_GRID) for r in range(_GRID)]
    return sum(any(_inside(shape, *point) for shape in shapes) for point in points) / len(points)


def _inside(corners: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    crossings = 0
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            crossings += 1
    return crossings % 2 == 1
