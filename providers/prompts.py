"""What we say to language models, and how we read what they say: the one place for both.

Changing a text here changes what every film is made of: raise `VERSION`, for a step's input hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.directives import CAMERA_MOVES
from core.errors import Invalid, Permanent
from core.scripts import MAX_HEADING_CHARACTERS, MAX_NARRATION_CHARACTERS, MAX_SHOTS, Scene, Script, ShotPlan
from core.wording import WORDS_PER_SECOND, clean, split_long
from providers.base import ScriptDraft, ScriptRequest

VERSION = 1

Message = dict[str, str]

_SHOT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["narration", "search_words", "visual_prompt", "camera", "title"],
    "properties": {
        "narration": {"type": "string"},
        "search_words": {"type": "array", "items": {"type": "string"}},
        "visual_prompt": {"type": "string"},
        "camera": {"anyOf": [{"type": "string", "enum": list(CAMERA_MOVES)}, {"type": "null"}]},
        "title": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}
# Every property required and no others allowed: what strict structured output asks for.
SCRIPT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "scenes"],
    "properties": {
        "title": {"type": "string"},
        "scenes": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["heading", "shots"],
                "properties": {"heading": {"type": "string"}, "shots": {"type": "array", "items": _SHOT}},
            },
        },
    },
}

_SYSTEM = f"""\
You write scripts for short narrated films. Answer with one JSON object and nothing else.
A script has a title and scenes; a scene has a heading and shots, in the order they are seen.
For each shot give:
- narration: what the narrator says, as plain spoken sentences. No stage directions, no markup, no emoji.
- search_words: 2 to 5 concrete nouns, in English, that find a fitting picture in a photo library.
- visual_prompt: one sentence describing what is seen: subject, place, light, framing. No text in the picture.
- camera: one of {", ".join(CAMERA_MOVES)}, or null.
- title: short words shown on a card instead of a picture, or null. Use it rarely.
State facts only when you are sure of them. Do not invent names, numbers, quotations or events.
Neighbouring shots show different things."""


def messages_for(request: ScriptRequest) -> list[Message]:
    """Return the system message with the schema in words, and the brief."""
    words = max(1, round(request.target_duration * WORDS_PER_SECOND))
    shots = request.shots or max(1, min(MAX_SHOTS, round(request.target_duration / 5)))
    wishes = [
        f"Language of the narration: {request.language}.",
        f"Length: {request.target_duration:g} seconds, that is about {words} words in about {shots} shots.",
    ]
    if request.tone:
        wishes.append(f"Tone: {request.tone}.")
    if request.instructions:
        wishes.append(f"A reviewer read an earlier draft and asks: {request.instructions}")
    system = f"{_SYSTEM}\nThe JSON object follows this schema:\n{json.dumps(SCRIPT_SCHEMA)}"
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": "\n".join([*wishes, "The brief:", request.brief])},
    ]


def repair_messages(messages: list[Message], answer: str, problem: str) -> list[Message]:
    """Continue the talk with what was wrong."""
    wish = f"That answer cannot be used: {problem} Send the whole corrected JSON object and nothing else."
    return [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": wish}]


@dataclass(frozen=True)
class Reply:
    """One answer of a model: its text, what it cost in tokens, and the vendor's JSON as it came."""

    content: str
    raw: Any
    usage: dict[str, int] = field(default_factory=dict)


def write_script(request: ScriptRequest, model: str, ask: Callable[[list[Message]], Reply]) -> ScriptDraft:
    """Ask for a script, once more if the answer is none; raise Permanent after the second.

    This is the only repair: `ask` itself raises what transport and vendor say.
    """
    messages = messages_for(request)
    replies = [ask(messages)]
    try:
        script = read_script(replies[0].content)
    except Invalid as problem:
        replies.append(ask(repair_messages(messages, replies[0].content, problem.message)))
        try:
            script = read_script(replies[1].content)
        except Invalid as again:
            raise Permanent(
                f"{model} answered twice with something that is no script: {again.message} "
                "Try another model, or write the script yourself.",
                code="bad_answer",
            ) from None
    usage: dict[str, int] = {}
    for reply in replies:
        for name, count in reply.usage.items():
            usage[name] = usage.get(name, 0) + count
    return ScriptDraft(script, model, [reply.raw for reply in replies], usage)


def read_script(content: str) -> Script:
    """Read a model's answer; raise Invalid saying what is wrong, in words the model can act on."""
    value = _find_object(content)
    scenes: list[Scene] = []
    for i, scene in enumerate(_items(value, "scenes", "the script")):
        place = f"scenes[{i}]"
        found = (
            _read_shots(shot, f"{place}.shots[{j}]") for j, shot in enumerate(_items(scene, "shots", place))
        )
        shots = tuple(shot for shots in found for shot in shots)
        number = len(scenes) + 1
        heading = clean(_text(scene, "heading", place)[:MAX_HEADING_CHARACTERS]) or f"Scene {number}"
        scenes.append(Scene(number, heading, shots))
    return Script(clean(_text(value, "title", "the script")[:MAX_HEADING_CHARACTERS]) or None, tuple(scenes))


def _read_shots(shot: Any, place: str) -> list[ShotPlan]:
    """One shot, or several when its narration is longer than a shot should be."""
    narration = clean(_text(shot, "narration", place))
    if len(narration) > MAX_NARRATION_CHARACTERS:
        raise _wrong(f"{place}.narration is too long for one shot.")
    words = shot.get("search_words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _wrong(f"{place}.search_words must be a list of strings.")
    search = tuple(dict.fromkeys(w for word in words for w in map(clean, word.split(",")) if w)) or None
    camera = clean(_text(shot, "camera", place)).lower()
    try:
        return [
            ShotPlan(
                piece,
                search_words=search,  # type: ignore[arg-type]  # None: drawn from the words
                visual_prompt=clean(_text(shot, "visual_prompt", place)) or None,  # type: ignore[arg-type]
                # A slip in a detail is no reason to buy another answer.
                camera=camera if camera in CAMERA_MOVES else None,
                title=clean(_text(shot, "title", place)) or None,
            )
            for piece in split_long(narration)
        ]
    except Invalid as exc:
        raise _wrong(f"{place}: {exc.message}") from None


def _find_object(content: str) -> dict[str, Any]:
    """Read the JSON object in an answer that may be wrapped in words or in a code fence."""
    start = content.find("{")
    if start < 0:
        raise _wrong("it has no JSON object.")
    try:
        value, _ = json.JSONDecoder().raw_decode(content, start)
    except (ValueError, RecursionError) as exc:
        raise _wrong(f"it is not valid JSON ({str(exc)[:100]}).") from None
    if not isinstance(value, dict):
        raise _wrong("it is not a JSON object.")
    return value


def _items(value: Any, name: str, place: str) -> list[Any]:
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list) or not items:
        raise _wrong(f"{place} needs a non-empty list {name!r}.")
    return items


def _text(value: Any, name: str, place: str) -> str:
    """Text of an optional property; null counts as empty."""
    if not isinstance(value, dict):
        raise _wrong(f"{place} must be an object.")
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise _wrong(f"{place}.{name} must be a string.")
    return text or ""


def _wrong(problem: str) -> Invalid:
    return Invalid(problem, field="script")
