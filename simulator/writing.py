"""What a simulated language model writes: a film made of the brief's own words, the same every time."""

from __future__ import annotations

import json
import re

from core.directives import CAMERA_MOVES
from core.wording import keywords, sentences

_LINES = (
    "Look at {word}.",
    "There is more to {word} than we see at first.",
    "Every {word} has a story.",
    "Remember {word}.",
)


def write_answer(prompt: str) -> str:
    """Answer the writers' prompt with a script as JSON; it asks for "about N shots" and ends in the brief."""
    brief = prompt.rpartition("The brief:")[2].strip() or prompt.strip()
    asked = re.search(r"in about (\d+) shots", prompt)
    return json.dumps(make_script(brief, int(asked[1]) if asked else 5), ensure_ascii=False)


def make_script(brief: str, shots: int) -> dict[str, object]:
    """Say each sentence of the brief, then a line about each of its words, until there are enough shots."""
    said = [" ".join(sentence.split()) for sentence in sentences(brief)] or ["Nothing was asked."]
    words = keywords(brief) or ("nothing",)
    extra = [_LINES[i % len(_LINES)].format(word=words[i % len(words)]) for i in range(shots)]
    lines = (said + extra)[: max(shots, 1)]
    return {
        "title": " ".join(word.capitalize() for word in words[:3]),
        "scenes": [{"heading": "As asked", "shots": [_shot(line, i) for i, line in enumerate(lines)]}],
    }


def _shot(line: str, number: int) -> dict[str, object]:
    return {
        "narration": line,
        "search_words": list(keywords(line))[:4],
        "visual_prompt": line,
        "camera": CAMERA_MOVES[number % len(CAMERA_MOVES)],
        "title": None,
    }
