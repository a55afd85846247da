"""The metrics: the truth is perfect, less is less, and what others do is somewhere between."""

from __future__ import annotations

import numpy as np
import pytest

from bench.baselines import delogoed, inpainted, put_back
from bench.burning import burn
from bench.burnt_styles import STYLES
from bench.footage import made_up
from bench.judging import (
    BEST_PSNR,
    characters_left,
    found_mask,
    frames_marked,
    judge,
    judge_found,
    picture_of,
    psnr_outside,
    view_of,
)
from media.burnt_text import BurntText, Found, TextKind


@pytest.fixture(scope="module")
def burnt():
    return burn(made_up(320, 180, 16), STYLES["outline"])


def _pictures(frames, boxes):
    return [box and picture_of(planes, box) for planes, box in zip(frames, boxes, strict=True)]


def _score(burnt, frames):
    boxes = view_of(burnt)
    return judge(burnt, _pictures(frames, boxes), boxes)


def _found(burnt, texts):
    clip = burnt.truth
    return Found(clip.width, clip.height, len(clip.frames), 25.0, tuple(texts))


def _true_texts(burnt):
    for line in burnt.lines:
        mask = burnt.mask(line.first)
        yield BurntText(line.first, line.last, 0, 0, mask, mask, TextKind.SUBTITLE)


def test_the_truth_is_perfect(burnt):
    score = _score(burnt, burnt.truth.frames)

    assert (score.psnr, score.flicker) == (BEST_PSNR, 0)
    assert score.ssim == pytest.approx(1)
    assert psnr_outside(burnt, burnt.frames, burnt.truth.frames) == BEST_PSNR


def test_inpainting_and_delogo_are_better_than_the_text_and_worse_than_the_truth(burnt):
    boxes = view_of(burnt)
    nothing = _score(burnt, burnt.frames)
    telea = judge(burnt, inpainted(burnt, burnt.truth.with_frames(burnt.frames), boxes), boxes)
    delogo = _score(burnt, delogoed(burnt, burnt.truth.with_frames(burnt.frames)).frames)

    for score in (telea, delogo):
        assert nothing.psnr < score.psnr < 60
        assert nothing.ssim < score.ssim < 1
        assert score.flicker > 0


def test_delogo_touches_the_lines_frames_and_no_other(burnt):
    done = delogoed(burnt, burnt.truth.with_frames(burnt.frames)).frames

    for number, (before, after) in enumerate(zip(burnt.frames, done, strict=True)):
        assert np.array_equal(before[0], after[0]) == (burnt.box(number) is None)


def test_a_picture_that_trembles_is_told_from_one_that_is_evenly_wrong(burnt):
    def shifted(by):
        return [
            (np.clip(y.astype(int) + by(n), 0, 255).astype(np.uint8), u, v)
            for n, (y, u, v) in enumerate(burnt.truth.frames)
        ]

    even, trembling = _score(burnt, shifted(lambda _: 8)), _score(burnt, shifted(lambda n: 8 * (-1) ** n))

    assert even.psnr == pytest.approx(trembling.psnr, abs=0.5)
    assert even.flicker < 1
    assert trembling.flicker > 10


def test_a_filled_picture_goes_back_where_it_came_from(burnt):
    box = view_of(burnt)[burnt.lines[0].first]
    planes = burnt.frames[burnt.lines[0].first]
    again = put_back(planes, picture_of(planes, box), box)

    for before, after in zip(planes, again, strict=True):
        assert np.abs(before.astype(int) - after).mean() < 2
    assert np.array_equal(planes[0][: box[1]], again[0][: box[1]])


def test_true_masks_are_a_perfect_finding_and_half_of_them_is_half(burnt):
    whole = judge_found(burnt, _found(burnt, _true_texts(burnt)))
    first = judge_found(burnt, _found(burnt, list(_true_texts(burnt))[:1]))

    assert (whole.recall, whole.precision, whole.coverage_min) == (1, 1, 1)
    assert 0.2 < first.recall < 0.8
    assert first.coverage_min == 0
    assert first.worst_frame == burnt.lines[1].first


def test_a_moving_mask_is_where_its_path_says_even_beyond_the_edge():
    mask = np.full((4, 6), 255, np.uint8)
    path = np.array([[-3, 0], [17, 8]], np.int32)
    found = Found(20, 10, 3, 25.0, (BurntText(1, 2, 0, 0, mask, mask, TextKind.TICKER, path=path),))

    assert not found_mask(found, 0).any()
    assert found_mask(found, 1).sum() == 255 * 3 * 4
    assert found_mask(found, 2).sum() == 255 * 3 * 2
    assert frames_marked(found) == pytest.approx(2 / 3)


def test_the_reader_reads_what_was_burnt_in_and_nothing_in_the_truth(burnt):
    left, there = characters_left(burnt, burnt.frames, looks=1)

    assert left > there / 2
    assert characters_left(burnt, burnt.truth.frames, looks=1) == (0, there)
