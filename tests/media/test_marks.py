"""A mark is its words and its graphic together; what stands still in a scene is none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest

from bench.burning import burn
from bench.burnt_styles import STYLES
from bench.footage import made_up, still
from media.burnt_text import TextKind
from media.text import find_text
from tests.media.test_text import painted


def look(clip, frames):
    return find_text(
        iter(frames),
        width=clip.width,
        height=clip.height,
        frames_total=len(frames),
        fps=float(clip.rate),
    )


def smooth(*size):
    clip = still(*size)
    planes = tuple(cv2.GaussianBlur(plane, (0, 0), 8) for plane in clip.frames[0])
    return replace(clip, frames=[planes] * len(clip.frames))


@pytest.mark.parametrize(
    ("clip", "name"),
    [
        (made_up(480, 270, 60), "logo"),
        (made_up(480, 270, 60), "logo40"),
        (smooth(480, 270, 60), "logo"),
    ],
    ids=["moving", "translucent", "still"],
)
def test_a_logo_is_one_mark_of_words_and_graphic_in_every_frame(clip, name):
    burnt = burn(clip, STYLES[name])

    found = look(clip, burnt.frames)

    assert [text.kind for text in found.texts] == [TextKind.WATERMARK]
    for number in (0, 30, 59):
        glyphs, mask = burnt.glyphs(number) > 0, painted(found, number)
        assert (mask & glyphs).sum() >= 0.95 * glyphs.sum(), number
        assert mask.sum() < 3 * (burnt.mask(number) > 0).sum()
    if name == "logo40":
        assert not found.texts[0].strokes.any()


def test_scenery_that_stands_still_is_no_mark():
    clip = still(480, 270, 60)
    assert look(clip, clip.frames).texts == ()
