"""A script as text and as shots: people edit the text, the pipeline reads the shots.

`parse_script` is pure and deterministic; `format_script` writes the Markdown dialect that parses back to
the same value. In every dialect a paragraph is a shot, and `[name: value]` lines inside the paragraph
(see `core.directives`) say what it shows, how long and how the camera moves. A paragraph with directives
is never split: its author has said what the shot is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.directives import (
    DIRECTIVE,
    ShotDraft,
    check_camera,
    check_reference,
    check_seconds,
    check_text,
)
from core.errors import Invalid
from core.fountain import looks_like_fountain, read_fountain
from core.markdown import escape_line, escape_value, looks_like_markdown, read_markdown
from core.wording import clean, join_lines, keywords, split_long

Dialect = Literal["auto", "plain", "markdown", "fountain"]
DIALECTS: tuple[Dialect, ...] = ("auto", "plain", "markdown", "fountain")
MAX_SHOTS = 200
MAX_CHARACTERS = 200_000
MAX_NARRATION_CHARACTERS = 2000
MAX_HEADING_CHARACTERS = 300

Draft = tuple[str | None, list[tuple[str, list[ShotDraft]]]]


@dataclass(frozen=True)
class ShotPlan:
    """What one shot says and shows. `duration` is asked seconds, None = as long as the narration.

    `search_words` and `visual_prompt` left as None are drawn from the words. Raises Invalid when a value
    could not be written down and read again, and when there is nothing to say or to show.
    """

    narration: str = ""
    search_words: tuple[str, ...] = None  # type: ignore[assignment]  # None never outlives __post_init__
    visual_prompt: str = None  # type: ignore[assignment]
    duration: float | None = None
    image: str | None = None
    clip: str | None = None
    camera: str | None = None
    title: str | None = None
    reference: str | None = None
    """A picture that a vendor begins with; it is not shown itself."""
    audio: bool | None = None
    """Whether the film has the take's own sound; None = as the brief says."""

    def __post_init__(self) -> None:
        said = self.narration or self.title or ""
        if self.visual_prompt is None:
            object.__setattr__(self, "visual_prompt", said)
        if self.search_words is None:
            object.__setattr__(self, "search_words", keywords(self.visual_prompt or said))
        self._check()

    def _check(self) -> None:
        pictures = [picture for picture in (self.image, self.clip, self.reference) if picture]
        texts = (self.narration, self.visual_prompt, self.title or "", *pictures)
        if any(text != clean(text) for text in (*texts, *self.search_words)):
            raise Invalid("A shot's texts are single lines without control characters.", field="script")
        if any(not word or re.search("[,،、，]", word) for word in self.search_words):  # noqa: RUF001
            raise Invalid("A search word is not empty and has no comma.", field="script")
        if len(self.narration) > MAX_NARRATION_CHARACTERS:
            raise Invalid(
                f"A shot's narration has at most {MAX_NARRATION_CHARACTERS} characters.", field="script"
            )
        for text in (self.visual_prompt, self.title or "", ", ".join(self.search_words)):
            check_text(text)
        for picture in pictures:
            check_reference(picture)
        if self.image and self.clip:
            raise Invalid("A shot shows an image or a clip, not both.", field="script")
        if self.duration is not None:
            check_seconds(self.duration)
        if self.camera is not None:
            check_camera(self.camera)
        if not _says_or_shows(self):
            raise Invalid("A shot needs something to say or to show.", field="script")


def _says_or_shows(shot: ShotPlan) -> bool:
    return any((shot.narration, shot.visual_prompt, shot.search_words, shot.image, shot.clip, shot.title))


@dataclass(frozen=True)
class Scene:
    number: int
    heading: str
    shots: tuple[ShotPlan, ...]

    def __post_init__(self) -> None:
        _check_heading(self.heading, "A scene's heading")
        if not self.shots:
            raise Invalid("A scene has at least one shot.", field="script")


@dataclass(frozen=True)
class Script:
    title: str | None
    scenes: tuple[Scene, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.title is not None:
            _check_heading(self.title, "A script's title")
        if [scene.number for scene in self.scenes] != list(range(1, len(self.scenes) + 1)):
            raise Invalid("Scenes are numbered 1, 2, 3 … without a gap.", field="script")
        _check_count(len(self.shots))

    @property
    def shots(self) -> tuple[tuple[Scene, ShotPlan], ...]:
        """Every shot with its scene, in the order of the film."""
        return tuple((scene, shot) for scene in self.scenes for shot in scene.shots)

    @property
    def narration(self) -> str:
        return " ".join(shot.narration for _, shot in self.shots if shot.narration)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Script:
        """Read what `to_json` wrote; raise Invalid for anything else."""
        try:
            scenes = tuple(
                Scene(
                    number=scene["number"],
                    heading=scene["heading"],
                    shots=tuple(
                        ShotPlan(**{**shot, "search_words": tuple(shot["search_words"])})
                        for shot in scene["shots"]
                    ),
                )
                for scene in value["scenes"]
            )
            return cls(title=value["title"], scenes=scenes)
        except (KeyError, TypeError, AttributeError) as exc:
            raise Invalid(f"This is not a stored script: {exc}.", field="script") from None


def parse_script(text: str, fmt: Dialect = "auto") -> Script:
    """Read a script; raise Invalid (field `script`) naming the line at fault or the limit.

    `auto` takes Fountain for a text with a title page or with INT./EXT. headings, Markdown for one with
    `#` headings, else plain paragraphs.
    """
    if fmt not in DIALECTS:
        raise Invalid(
            f"There is no script format {fmt!r}. Use one of: {', '.join(DIALECTS)}.", field="script"
        )
    if len(text) > MAX_CHARACTERS:
        raise Invalid(
            f"The script has {len(text)} characters; the limit is {MAX_CHARACTERS}. Split it up.",
            field="script",
        )
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    title, parts = _read(lines, fmt)
    _check_count(sum(len(drafts) for _, drafts in parts))
    scenes: list[Scene] = []
    for heading, drafts in parts:
        shots = tuple(shot for draft in drafts for shot in _finish(draft))
        if shots:
            number = len(scenes) + 1
            scenes.append(Scene(number, _shorten(heading) or f"Scene {number}", shots))
    return Script(_shorten(title or "") or None, tuple(scenes))


def format_script(script: Script) -> str:
    """Write `script` as Markdown that `parse_script` reads back to the same value."""
    blocks = [f"# {escape_line(script.title)}"] if script.title else []
    for scene in script.scenes:
        blocks.append(f"## {escape_line(scene.heading)}")
        blocks += ["\n".join(_shot_lines(shot)) for shot in scene.shots]
    return "\n\n".join(blocks) + "\n"


def _read(lines: list[str], fmt: Dialect) -> Draft:
    if fmt == "fountain" or (fmt == "auto" and not looks_like_markdown(lines) and looks_like_fountain(lines)):
        return read_fountain(lines)
    if fmt == "markdown" or (fmt == "auto" and looks_like_markdown(lines)):
        return read_markdown(lines)
    return None, [("", list(_read_plain(lines)))]


def _read_plain(lines: list[str]) -> Iterator[ShotDraft]:
    draft = ShotDraft(1)
    for number, line in enumerate([*lines, ""], start=1):
        if not clean(line):
            if draft.text or draft.values:
                yield draft
            draft = ShotDraft(number + 1)
        elif match := DIRECTIVE.fullmatch(line):
            draft.put(match[1], match[2], number)
        else:
            draft.text.append(line)


def _finish(draft: ShotDraft) -> list[ShotPlan]:
    narration = join_lines(draft.text)
    if not narration and not draft.values and not draft.visual:
        return []
    values = dict(draft.values)
    values["search_words"] = values.pop("search", None)
    values["visual_prompt"] = values.pop("prompt", join_lines(draft.visual) or None)
    pieces = [narration] if draft.values or draft.visual else split_long(narration)
    try:
        return [ShotPlan(piece, **values) for piece in pieces]
    except Invalid as exc:
        raise Invalid(f"Line {draft.line}: {exc.message}", field="script") from None


def _shot_lines(shot: ShotPlan) -> Iterator[str]:
    """Directives that say more than the words do, then the words."""
    said = shot.narration or shot.title or ""
    drawn = keywords(shot.visual_prompt or said)
    values: dict[str, str | None] = {
        "title": shot.title,
        "image": shot.image,
        "clip": shot.clip,
        "reference": shot.reference,
        "search": ", ".join(shot.search_words) if shot.search_words != drawn else None,
        "prompt": shot.visual_prompt if shot.visual_prompt != said else None,
        "duration": _number(shot.duration) if shot.duration is not None else None,
        "camera": shot.camera,
        "audio": {True: "yes", False: "no", None: None}[shot.audio],
    }
    if all(value is None for value in values.values()) and split_long(shot.narration) != [shot.narration]:
        # Any directive keeps a long paragraph in one piece.
        values["search"] = ", ".join(shot.search_words)
    for name, value in values.items():
        if value is not None:
            yield f"[{name}: {escape_value(value)}]"
    if shot.narration:
        yield escape_line(shot.narration)


def _number(seconds: float) -> str:
    return str(int(seconds)) if seconds == int(seconds) else repr(seconds)


def _check_count(shots: int) -> None:
    if not shots:
        raise Invalid("The script is empty: write at least one sentence.", field="script")
    if shots > MAX_SHOTS:
        raise Invalid(
            f"The script has {shots} shots; a film has at most {MAX_SHOTS}. Split it into several films.",
            field="script",
        )


def _check_heading(text: str, what: str) -> None:
    if not text or text != clean(text) or len(text) > MAX_HEADING_CHARACTERS:
        raise Invalid(f"{what} is a single line of 1 to {MAX_HEADING_CHARACTERS} characters.", field="script")


def _shorten(heading: str) -> str:
    return clean(clean(heading)[:MAX_HEADING_CHARACTERS])
