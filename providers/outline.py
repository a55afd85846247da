"""Turn the user's own words into a script, by rules: no model, nothing invented.

Vendor: none. Auth: none. Limits: those of a script. Billing: free.
The words are never changed; only where one shot ends and the next begins is chosen, so that shots last
about `SECONDS_PER_SHOT` when read aloud. A brief that orders a film instead of telling it cannot be filmed
this way, and is refused with advice.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import ClassVar, Literal

from core.errors import Invalid
from core.scripts import MAX_SHOTS, Script, ShotPlan, parse_script
from core.settings import Settings
from core.wording import WORDS_PER_SECOND, clauses, sentences, speaking_seconds, word_count
from providers.base import FREE, Context, Quote, ScriptDraft, ScriptRequest

SECONDS_PER_SHOT = 5.0
# A brief of one sentence that fills less than this share of the film is an order, not a narration.
_MIN_SHARE = 0.25
_FAR_OFF = 0.3


class Outline:
    slug: ClassVar[str] = "outline"
    kind: ClassVar[Literal["script"]] = "script"
    model = ""

    def __init__(self, context: Context) -> None:
        self._context = context

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:  # noqa: ARG003 - it needs none
        return None

    def quote(self, request: ScriptRequest) -> Quote:  # noqa: ARG002 - free for every request
        return FREE

    def write(self, request: ScriptRequest) -> ScriptDraft:
        """Write a script of the brief's words; raise Invalid when they are too few to be a film."""
        try:
            script = parse_script(request.brief)
        except Invalid as exc:
            raise Invalid(exc.message, code=exc.code, field="brief") from None
        seconds = speaking_seconds(script.narration)
        _check_enough(script, request, seconds)
        wanted = request.shots or max(
            1,
            round(seconds / SECONDS_PER_SHOT),
            # Few words for a long film: a shot for every sentence.
            min(len(sentences(script.narration)), round(request.target_duration / SECONDS_PER_SHOT)),
        )
        fitted = _fit(script, min(wanted, MAX_SHOTS))
        return ScriptDraft(fitted, "rules", notes=_notes(seconds, request.target_duration))


def _check_enough(script: Script, request: ScriptRequest, seconds: float) -> None:
    if len(script.shots) > 1 or _is_directed(script.shots[0][1]):
        return
    narration = script.narration
    if len(sentences(narration)) < 2 and seconds < _MIN_SHARE * request.target_duration:
        raise Invalid(
            f"Without a model the brief itself is read aloud, and its {word_count(narration):.0f} words last "
            f"about {seconds:.0f} of the {request.target_duration:g} seconds asked. Write what the narrator "
            f"shall say (about {request.target_duration * WORDS_PER_SECOND:.0f} words), send a script, "
            "or set OLLAMA_URL or OPENAI_COMPATIBLE_URL so that a model writes it.",
            code="brief_too_short",
            field="brief",
        )


def _fit(script: Script, wanted: int) -> Script:
    """Split the longest pieces and join the shortest neighbours until there are `wanted` shots.

    Shots with directives stay as they are; shots never join across scenes.
    """
    scenes = [[_pieces(shot) for shot in scene.shots] for scene in script.scenes]
    free = sum(1 for scene in scenes for pieces in scene for piece in pieces if isinstance(piece, str))
    fixed = sum(1 for scene in scenes for pieces in scene for piece in pieces if isinstance(piece, ShotPlan))
    goal = max(1, wanted - fixed)
    rows = [[piece for pieces in scene for piece in pieces] for scene in scenes]
    if free < goal:
        _split(rows, goal - free)
    elif free > goal:
        _join(rows, free - goal, script.narration)
    return Script(
        script.title,
        tuple(
            replace(scene, shots=tuple(p if isinstance(p, ShotPlan) else ShotPlan(p) for p in row))
            for scene, row in zip(script.scenes, rows, strict=True)
        ),
    )


def _pieces(shot: ShotPlan) -> list[str | ShotPlan]:
    return [shot] if _is_directed(shot) else list(sentences(shot.narration))


def _is_directed(shot: ShotPlan) -> bool:
    return shot != ShotPlan(shot.narration) if shot.narration else True


def _split(rows: list[list[str | ShotPlan]], missing: int) -> None:
    """Split at clauses, longest piece first, as long as both halves stay worth a shot."""
    whole: set[str] = set()
    while missing > 0:
        longest = max(
            (
                (_weight(piece), -r, -i)
                for r, row in enumerate(rows)
                for i, piece in enumerate(row)
                if isinstance(piece, str) and piece not in whole
            ),
            default=None,
        )
        if longest is None:
            return
        row, i = rows[-longest[1]], -longest[2]
        piece = row[i]
        assert isinstance(piece, str)
        parts = clauses(piece)
        if len(parts) < 2:
            whole.add(piece)
            continue
        first, rest = _halve(piece, parts)
        row[i : i + 1] = [first, rest]
        missing -= 1


def _halve(piece: str, parts: list[str]) -> tuple[str, str]:
    """Cut between the two clauses nearest to the middle."""
    cuts, at = [], 0
    for part in parts[:-1]:
        at = piece.index(part, at) + len(part)
        cuts.append(at)
    cut = min(cuts, key=lambda c: abs(_weight(piece[:c]) - _weight(piece[c:])))
    return piece[:cut].strip(), piece[cut:].strip()


def _join(rows: list[list[str | ShotPlan]], surplus: int, narration: str) -> None:
    """Join the neighbours whose sum is shortest."""
    while surplus > 0:
        best: tuple[float, int, int] | None = None
        for r, row in enumerate(rows):
            for i in range(len(row) - 1):
                left, right = row[i], row[i + 1]
                if isinstance(left, str) and isinstance(right, str):
                    cost = (_weight(left) + _weight(right), r, i)
                    best = cost if best is None or cost < best else best
        if best is None:
            return
        row, i = rows[best[1]], best[2]
        joined = f"{row[i]} {row[i + 1]}"
        row[i : i + 2] = [joined if joined in narration else f"{row[i]}{row[i + 1]}"]
        surplus -= 1


@lru_cache(maxsize=8192)
def _weight(piece: str) -> float:
    """Words of a piece, remembered: splitting and joining ask for the same ones again and again."""
    return word_count(piece)


def _notes(seconds: float, target: float) -> tuple[str, ...]:
    if abs(seconds - target) <= _FAR_OFF * target:
        return ()
    words = round(abs(target - seconds) * WORDS_PER_SECOND)
    what = f"Add about {words} words" if seconds < target else f"Take out about {words} words"
    return (f"Read aloud, the words last about {seconds:.0f} s of the {target:g} s asked. {what} to fit.",)


ADAPTER = Outline
