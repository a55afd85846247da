"""Text that moves by itself is followed; text of the scene, which moves with it, is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.burning import burn, lay
from bench.burnt_styles import STYLES
from bench.footage import made_up
from media.burnt_text import TextKind
from tests.media.test_marks import look
from tests.media.test_text import painted


@pytest.fixture(scope="module")
def clip():
    return made_up(480, 270, 60)


def test_a_ticker_is_masked_from_its_first_frame_to_its_last(clip):
    burnt = burn(clip, STYLES["ticker"])

    found = look(clip, burnt.frames)

    assert [text.kind for text in found.texts] == [TextKind.TICKER]
    for number in range(60):
        glyphs, mask = burnt.glyphs(number) > 0, painted(found, number)
        assert (mask & glyphs).sum() >= 0.95 * glyphs.sum(), number
        assert mask.any() == glyphs.any(), number


def test_lines_that_roll_are_masked_while_they_do(clip):
    layer = burn(clip, replace(STYLES["outline"], spans=((0, 1),), words=STYLES["outline"].words[:1])).layers[
        0
    ]
    rolled = [replace(layer, y=240 - 4 * number) for number in range(60)]
    frames = [
        lay(planes, one) if one.y >= 0 else planes for planes, one in zip(clip.frames, rolled, strict=True)
    ]

    found = look(clip, frames)

    assert [text.kind for text in found.texts] == [TextKind.TICKER]
    for number in range(12, 48):
        at = rolled[number]
        mask = painted(found, number)[at.y : at.y + layer.alpha.shape[0], at.x : at.x + layer.alpha.shape[1]]
        opaque = layer.alpha > 128
        assert (mask & opaque).sum() >= 0.95 * opaque.sum(), number


def test_words_of_the_scene_go_with_the_camera_and_are_no_burnt_in_text(clip):
    layer = burn(clip, replace(STYLES["outline"], spans=((0, 1),), words=STYLES["outline"].words[2:])).layers[
        0
    ]
    signs = [replace(layer, x=(layer.x + 60 - round(1.5 * number)) // 2 * 2, y=100) for number in range(60)]
    # The made-up camera moves by 1.5 pixels a frame to the right.
    frames = [lay(planes, sign) for planes, sign in zip(clip.frames, signs, strict=True)]

    assert not [text for text in look(clip, frames).texts if text.kind is TextKind.TICKER]
