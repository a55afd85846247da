"""The named inputs behind a hash: what nobody asks for is not among them, so that what was made stays equal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core.hashing import digest
from services import inputs
from services.timeline import Placed

FILM: Any = SimpleNamespace(id="f", name="Up", width=426, height=240, fps=24)


def shot(position: int, audio: bool | None) -> Any:
    said = {"visual_prompt": "A fox", "narration": "A fox.", "title": None, "camera": None, "heading": "A"}
    return SimpleNamespace(id=position, position=position, frames=72, audio=audio, **said)


def asked(audio: bool | None, brief: dict[str, Any]) -> inputs.Inputs:
    return inputs.for_take(
        FILM, shot(0, audio), {"seed": 1, **brief}, retake=0, picture=None, shown=True
    )  # fmt: skip


@pytest.mark.parametrize(
    ("audio", "brief", "sound"),
    [
        (None, {}, False),  # a job from before there was such a field
        (None, {"audio": False}, False),
        (None, {"audio": True}, True),
        (True, {"audio": False}, True),
        (False, {"audio": True}, False),
    ],
)
def test_a_request_for_silence_is_the_request_it_always_was(audio, brief, sound):
    made = asked(audio, brief)
    assert ("audio" in made["request"]) is sound
    assert (digest(made) == digest(asked(None, {}))) is not sound


def test_takes_are_an_input_of_the_sound_only_where_one_is_heard():
    placed = [Placed(shot(n, audio), 72 * n, 72, 24) for n, audio in enumerate((None, True, True))]
    files = {0: "aa", 1: "bb"}  # the third shot has no take
    assert inputs.for_takes_sound(placed, files, {"audio": False}) == [["bb", 3.0, 3.0]]
    assert inputs.for_takes_sound(placed, files, {"audio": True}) == [["aa", 0.0, 3.0], ["bb", 3.0, 3.0]]
    assert inputs.for_takes_sound(placed[:1], files, {}) == []
    silent = inputs.for_sound(FILM, placed, {0: "cc"}, None, "", [])
    assert set(silent) == {"voices", "music", "seconds"}
    heard = inputs.for_sound(FILM, placed, {0: "cc"}, None, "", [["bb", 3.0, 3.0]])
    assert heard == {**silent, "takes": [["bb", 3.0, 3.0]]}
