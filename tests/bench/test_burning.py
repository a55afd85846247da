"""The burner: the truth it promises is the truth."""

from __future__ import annotations

import numpy as np
import pytest

from bench.burning import SEEN, burn
from bench.burnt_styles import STYLES
from bench.footage import joined, made_up, read, still, upright


@pytest.fixture(scope="module")
def clip():
    return still(320, 180, 20)


def _change(burnt, frame):
    return np.abs(burnt.frames[frame][0].astype(int) - burnt.truth.frames[frame][0])


@pytest.mark.parametrize("name", ["outline", "translucent", "shadow", "cjk", "logo40"])
def test_the_true_mask_is_where_pixels_change(clip, name):
    burnt = burn(clip, STYLES[name])
    frame = burnt.lines[0].first + 1
    inside, change = burnt.mask(frame) > 0, _change(burnt, frame)

    assert change[~inside].max() <= SEEN * 255 + 1
    assert (change[inside] > 0).mean() > 0.9  # a text as grey as its ground changes nothing
    assert inside[burnt.glyphs(frame) > 0].all()


def test_text_is_there_in_the_frames_of_its_lines_and_in_no_other(clip):
    burnt = burn(clip, STYLES["outline"])
    within = {n for line in burnt.lines for n in range(line.first, line.last + 1)}

    assert {n for n in range(20) if burnt.mask(n).any()} == within
    assert {n for n in range(20) if _change(burnt, n).any()} == within


def test_a_frame_without_text_is_the_clips_own(clip):
    burnt = burn(clip, STYLES["outline"])

    assert burnt.frames[0] is clip.frames[0]


def test_karaoke_changes_its_colour_and_a_ticker_its_place(clip):
    sung, moving = burn(clip, STYLES["karaoke"]), burn(clip, STYLES["ticker"])
    line = sung.lines[0]

    assert not np.array_equal(sung.layers[line.first].colours, sung.layers[line.last].colours)
    assert moving.box(2)[0] > moving.box(6)[0]


def test_a_fade_grows_and_a_logo_lets_the_picture_through(clip):
    fading, logo = burn(clip, STYLES["fade"]), burn(clip, STYLES["logo40"])
    line = fading.lines[0]

    assert (
        fading.layers[line.first + 1].alpha.max() < fading.layers[(line.first + line.last) // 2].alpha.max()
    )
    assert 95 <= logo.layers[0].alpha.max() <= 105


def test_a_box_is_no_letter(clip):
    burnt = burn(clip, STYLES["box"])
    frame = burnt.lines[0].first

    assert (burnt.glyphs(frame) > 0).sum() < (burnt.mask(frame) > 0).sum() / 2


def test_a_burnt_clip_is_what_was_promised_but_for_the_encoder(tmp_path):
    burnt = burn(made_up(160, 120, 8), STYLES["whole"])
    encoded = read(burnt.write(tmp_path / "burnt.mp4", crf=4))

    assert len(encoded.frames) == 8
    assert encoded.rate == 25
    for ours, theirs in zip(burnt.frames, encoded.frames, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert np.abs(one.astype(int) - other).mean() < 2


def test_clips_are_turned_upright_and_joined_with_a_cut():
    clip = made_up(160, 90, 10)
    tall, cut = upright(clip), joined(clip, still(320, 180, 10))

    assert (tall.width, tall.height) == (48, 90)
    assert [plane.shape for plane in tall.frames[0]] == [(90, 48), (45, 24), (45, 24)]
    assert len(cut.frames) == 10
    assert np.abs(cut.frames[4][0].astype(int) - cut.frames[5][0]).mean() > 10


@pytest.mark.parametrize("size", [(161, 91), (176, 144)])
def test_odd_sides_are_burnt_too(size):
    burnt = burn(made_up(*size, frames=3), STYLES["whole"])

    assert burnt.frames[0][0].shape == size[::-1]
    assert burnt.mask(0).any()
