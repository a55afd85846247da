"""Lines that stand one above the other come and go together, and the next ones follow without a gap."""

from __future__ import annotations

import numpy as np

from media.burnt_text import BurntText, TextKind
from media.together import together


def line(first, last, y, x=40):
    mask = np.full((20, 120), 255, np.uint8)
    return BurntText(first, last, x, y, mask, mask, TextKind.SUBTITLE)


def times(texts, **how):
    return [(text.first, text.last) for text in together(texts, **{"cuts": [], "count": 100, **how})]


def test_two_lines_begin_and_end_on_one_frame():
    assert times([line(10, 30, 100), line(12, 29, 125)]) == [(10, 30), (10, 30)]


def test_lines_that_reach_for_the_same_frames_meet_without_a_gap():
    now, then = [line(4, 22, 100), line(4, 22, 125)], [line(21, 39, 100), line(21, 39, 125)]
    assert times([*now, *then]) == [(4, 21), (4, 21), (22, 39), (22, 39)]
    assert times([line(4, 22, 100), line(22, 39, 100)]) == [(4, 21), (22, 39)]


def test_a_line_that_ends_a_frame_before_its_shot_does_ends_with_it():
    assert times([line(10, 48, 100)], cuts=[50]) == [(10, 49)]


def test_lines_that_fade_into_each_other_keep_their_frames():
    assert times([line(0, 23, 100), line(18, 41, 100)]) == [(0, 23), (18, 41)]


def test_lines_far_apart_have_nothing_to_do_with_each_other():
    assert times([line(10, 30, 100), line(12, 29, 300)]) == [(10, 30), (12, 29)]
