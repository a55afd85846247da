"""Read `[name: value]` lines, by which a script says more about a shot than its words do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from core.errors import Invalid
from core.wording import clean

CAMERA_MOVES = ("push in", "pull out", "pan left", "pan right", "tilt up", "tilt down", "still")
MIN_SECONDS, MAX_SECONDS = 0.5, 60.0
MAX_VALUE_CHARACTERS = 2000
_YES_OR_NO = {"yes": True, "no": False}

DIRECTIVE = re.compile(r"\s*\[\s*([^\W\d_][^\W_]*)\s*:(.*)\]\s*", re.DOTALL)
_REFERENCE = re.compile(r"https?://[^\s/]+\S*|[a-z][a-z0-9_-]*:(?!//)\S(.*\S)?")


@dataclass
class ShotDraft:
    """One shot while it is being read: `line` is where it starts, `values` what its directives say."""

    line: int
    text: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    visual: list[str] = field(default_factory=list)

    def put(self, name: str, value: str, line: int) -> None:
        """Add a directive; raise Invalid naming the line for an unknown name, a bad or a second value."""
        key = name.lower()
        if key not in _READERS:
            raise Invalid(
                f"Line {line}: there is no directive [{name}: …]. Use one of: {', '.join(_READERS)}.",
                field="script",
            )
        if key in self.values:
            raise Invalid(
                f"Line {line}: this shot already has [{key}: …]. A blank line starts the next shot.",
                field="script",
            )
        try:
            self.values[key] = _READERS[key](clean(value))
        except Invalid as exc:
            raise Invalid(f"Line {line}: [{key}: …] {exc.message}", field="script") from None

    def merge(self, later: ShotDraft) -> None:
        """Take over directives of `later`; raise Invalid when both say the same."""
        for key, value in later.values.items():
            if key in self.values:
                raise Invalid(
                    f"Line {later.line}: this shot already has [{key}: …]. Put notes inside their own shots.",
                    field="script",
                )
            self.values[key] = value


def resembles_directive(name: str) -> bool:
    """Tell a directive, or a slip in one, from a writer's free note."""
    return bool(difflib.get_close_matches(name.lower(), _READERS, n=1, cutoff=0.75))


def check_reference(value: str) -> str:
    """Return a reference to a picture or clip; raise Invalid naming the forms that are understood."""
    if not _REFERENCE.fullmatch(value):
        raise Invalid(
            f"does not understand {value[:80]!r}: use samples:<name>, folder:<file>, asset:<id>, "
            "<source>:<id> or an http(s) address.",
            field="script",
        )
    if value.startswith("asset:"):
        try:
            UUID(value.removeprefix("asset:"))
        except ValueError:
            raise Invalid(
                f"needs an asset's id after 'asset:', not {value[6:86]!r}.", field="script"
            ) from None
    return value


def check_seconds(value: float) -> float:
    # Written this way round so that NaN fails too.
    if not MIN_SECONDS <= value <= MAX_SECONDS:
        raise Invalid(
            f"must be between {MIN_SECONDS} and {MAX_SECONDS:.0f} seconds, not {value:g}.", field="script"
        )
    return value


def check_camera(value: str) -> str:
    if value not in CAMERA_MOVES:
        raise Invalid(f"must be one of: {', '.join(CAMERA_MOVES)}; not {value[:80]!r}.", field="script")
    return value


def check_text(value: str) -> str:
    if len(value) > MAX_VALUE_CHARACTERS:
        raise Invalid(f"is longer than {MAX_VALUE_CHARACTERS} characters.", field="script")
    return value


def _seconds(value: str) -> float:
    try:
        seconds = float(value.removesuffix("s").strip())
    except ValueError:
        raise Invalid(f"needs a number of seconds, not {value[:80]!r}.", field="script") from None
    return check_seconds(seconds)


def _yes_or_no(value: str) -> bool:
    if value.lower() not in _YES_OR_NO:
        raise Invalid(f"is yes or no, not {value[:80]!r}.", field="script")
    return _YES_OR_NO[value.lower()]


def _words(value: str) -> tuple[str, ...]:
    """Words between commas; an empty value says that nothing shall be searched."""
    check_text(value)
    return tuple(word for part in re.split("[,،、，]", value) if (word := part.strip()))  # noqa: RUF001


def _shown(value: str) -> str:
    if not value:
        raise Invalid("needs a text.", field="script")
    return check_text(value)


_READERS: dict[str, Callable[[str], Any]] = {
    "image": check_reference,
    "clip": check_reference,
    "reference": check_reference,
    "search": _words,
    "duration": _seconds,
    "camera": lambda value: check_camera(value.lower()),
    "prompt": check_text,
    "title": _shown,
    "audio": _yes_or_no,
}
