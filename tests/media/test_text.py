"""Burnt-in text is found where it is, when it is, in every style; what is not burnt in is left alone."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from bench.burning import burn
from bench.burnt_styles import STYLES
from bench.footage import made_up, read
from media.burnt_text import Area, Ask, TextKind
from media.strokes import segment
from media.text import find_text


@pytest.fixture(scope="module")
def clip():
    return made_up(480, 270, 60)


def look(clip, frames=None, ask=Ask()):  # noqa: B008
    frames = clip.frames if frames is None else frames
    return find_text(
        iter(frames),
        width=clip.width,
        height=clip.height,
        frames_total=len(frames),
        fps=float(clip.rate),
        ask=ask,
    )


def painted(found, frame):
    """The mask of a whole frame."""
    canvas = np.zeros((found.height, found.width), bool)
    for text in found.texts:
        if text.first <= frame <= text.last:
            x, y = text.corner(frame)
            high, wide = text.mask.shape
            top, left, bottom, right = (
                max(0, y),
                max(0, x),
                min(found.height, y + high),
                min(found.width, x + wide),
            )
            if bottom > top and right > left:
                canvas[top:bottom, left:right] |= text.mask[top - y : bottom - y, left - x : right - x] > 0
    return canvas


@pytest.mark.parametrize(
    "name", ["outline", "yellow", "box", "translucent", "shadow", "karaoke", "fade", "two_lines", "cjk"]
)
def test_every_pixel_of_the_letters_is_masked_in_every_frame_and_in_no_other(clip, name):
    burnt = burn(clip, STYLES[name])

    found = look(clip, burnt.frames)

    area = true = 0
    for number in range(len(burnt.frames)):
        glyphs, mask = burnt.glyphs(number) > 0, painted(found, number)
        if glyphs.any():
            assert (mask & glyphs).sum() >= 0.95 * glyphs.sum(), number
            area, true = area + mask.sum(), true + (burnt.mask(number) > 0).sum()
        elif name != "fade":
            assert not mask.any(), number
    assert area < 2.2 * true


def test_footage_without_text_has_none(clip):
    assert look(clip).texts == ()


@pytest.mark.parametrize("name", ["bbbpan_220f", "bigbuckbunny", "onebyone_200f"])
def test_real_footage_without_text_has_none(shared_dir, name):
    footage = read(shared_dir / "media" / f"{name}.mp4", most=90)
    assert look(footage).texts == ()


def test_a_person_says_what_is_kept(clip):
    frames = burn(clip, STYLES["outline"]).frames
    words = [text.words for text in look(clip, frames).texts]

    kept = look(clip, frames, Ask(keep_words=("TÍDE",))).texts
    upper = look(clip, frames, Ask(keep=(Area(((0, 0.5), (1, 0.5), (1, 1), (0, 1))),)))

    assert len(words) == 3
    assert [text.words for text in kept] == words[1:]
    assert upper.texts == ()
    assert look(clip, frames, Ask(what="watermark")).texts == ()


def test_a_named_area_is_masked_whatever_stands_in_it_in_its_time_and_nothing_else(clip):
    frames = burn(clip, STYLES["outline"]).frames
    area = Area(((0.1, 0.1), (0.4, 0.1), (0.4, 0.3), (0.1, 0.3)), start=0.4, end=1.0)

    found = look(clip, frames, Ask(clean=(area,)))

    (text,) = found.texts
    assert (text.first, text.last) == (10, 24)
    assert painted(found, 12)[30:78, 50:190].all()
    assert not painted(found, 12)[100:].any()


def test_it_stops_when_it_is_told_to_and_says_how_far_it_is(clip):
    done = []
    find_text(
        iter(clip.frames), width=480, height=270, frames_total=60, fps=25,
        on_progress=done.append, should_stop=lambda: len(done) >= 5,
    )  # fmt: skip
    assert done == [1, 2, 3, 4, 5]


def test_a_language_that_cannot_be_read_is_told(clip):
    notes = look(clip, clip.frames[:2], Ask(languages=("en", "ru"))).notes
    assert len(notes) == 1
    assert "ru" in notes[0]


def test_events_of_one_place_do_not_overlap(clip):
    texts = look(clip, burn(clip, STYLES["outline"]).frames).texts

    assert all(before.last < after.first for before, after in pairwise(texts))
    assert {text.kind for text in texts} == {TextKind.SUBTITLE}


def test_an_outline_on_a_plain_background_is_masked_though_nothing_shows_what_it_hides():
    plain = np.full((80, 300), 200, np.uint8)
    drawn = cv2.putText(plain.copy(), "Subtitle", (20, 52), cv2.FONT_HERSHEY_DUPLEX, 1.3, 0, 10, cv2.LINE_AA)
    drawn = cv2.putText(drawn, "Subtitle", (20, 52), cv2.FONT_HERSHEY_DUPLEX, 1.3, 255, 4, cv2.LINE_AA)
    grey = np.full_like(plain, 128)
    shown = np.stack([np.dstack([cv2.GaussianBlur(drawn, (3, 3), 0), grey, grey])] * 5)
    found = segment(shown, (14, 14, 240, 66))
    assert found is not None
    changed = np.abs(drawn.astype(int) - plain) > 24
    assert (found.mask > 0)[changed].mean() > 0.98
