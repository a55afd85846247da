"""The pipeline's own share, reckoned from made-up attempts."""

from __future__ import annotations

import pytest

from bench.film import Worked, overhead_of


def test_a_step_that_is_all_craft_is_no_overhead():
    assert overhead_of(0, 10, [Worked("compose", True, 0, 10, 10.0)]) == (0, pytest.approx(0))


def test_time_in_which_no_media_step_runs_is_all_overhead():
    gaps, overhead = overhead_of(
        0, 10, [Worked("compose", True, 4, 10, 6.0), Worked("rank", False, 0, 4, 0.0)]
    )

    assert gaps == pytest.approx(4)
    assert overhead == pytest.approx(4)


def test_steps_side_by_side_count_by_their_mean():
    worked = [Worked("render_segment", True, 0, 10, 10.0), Worked("render_segment", True, 0, 10, 5.0)]

    assert overhead_of(0, 10, worked) == (0, pytest.approx(2.5))


def test_no_craft_means_that_all_is_overhead():
    assert overhead_of(0, 8, [])[1] == pytest.approx(8)
