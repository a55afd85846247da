"""What may be asked of burnt-in text, and which field is at fault where it may not."""

from __future__ import annotations

import json

import pytest
from marshmallow import ValidationError

from core.briefs import load_params
from core.cleaning_briefs import corners_of

ASSET = "018f0000-0000-7000-8000-000000000000"
TRIANGLE = [[0.1, 0.1], [0.5, 0.1], [0.3, 0.4]]
LOW = {"x": 0, "y": 0.8, "width": 1, "height": 0.2}


def asked(**params: object) -> dict:
    return load_params("text_removal", {"asset_id": ASSET, **params})


def refused(**params: object) -> dict:
    with pytest.raises(ValidationError) as caught:
        asked(**params)
    assert isinstance(caught.value.messages, dict)
    return caught.value.messages


def test_nothing_said_means_all_text_found_by_itself_and_the_cheapest_way_that_passes():
    params = asked()
    assert (params["what"], params["method"], params["quality"]) == ("all", "auto", "balanced")
    assert params["regions"] == params["languages"] == params["keep"] == []
    assert (params["strict"], params["accept_unknown_prices"]) == (False, False)


def test_a_stored_brief_loads_again_to_the_same_brief():
    params = asked(regions=[LOW, {"do": "keep", "corners": TRIANGLE, "start": 1, "end": 2}], keep=["EXIT"])
    assert asked(**{name: value for name, value in params.items() if name != "asset_id"}) == params
    assert json.loads(json.dumps(params)) == params


def test_rectangles_and_polygons_are_both_corners():
    rectangle, polygon = asked(regions=[LOW, {"corners": TRIANGLE}])["regions"]
    assert corners_of(rectangle) == ((0, 0.8), (1, 0.8), (1, 1), (0, 1))
    assert corners_of(polygon) == ((0.1, 0.1), (0.5, 0.1), (0.3, 0.4))


@pytest.mark.parametrize(
    ("region", "field"),
    [
        ({"x": 0.1}, "y"),
        ({**LOW, "corners": TRIANGLE}, "x"),
        ({"corners": TRIANGLE[:2]}, "corners"),
        ({"corners": [[0, 0], [0.5, 0.5], [1, 1]]}, "corners"),
        ({"corners": [[0, 0], [1.2, 0], [0, 1]]}, "corners"),
        ({**LOW, "do": "blur"}, "do"),
        ({**LOW, "end": 0}, "end"),
        ({**LOW, "start": 3, "end": 3}, "end"),
        ({**LOW, "colour": "red"}, "colour"),
    ],
)
def test_a_region_that_is_none_names_its_field(region, field):
    assert list(refused(regions=[region])["regions"][0]) == [field]


@pytest.mark.parametrize(
    ("asked_for", "field"),
    [
        ({"what": "logos"}, "what"),
        ({"quality": "perfect"}, "quality"),
        ({"languages": ["English!"]}, "languages"),
        ({"keep": [""]}, "keep"),
        ({"method": "Ghost Cut"}, "method"),
        ({"provider": "local"}, "provider"),
        ({"strict": "yes"}, "strict"),
    ],
)
def test_values_nobody_knows_are_refused_with_their_field(asked_for, field):
    assert list(refused(**asked_for)) == [field]


@pytest.mark.parametrize("do", ["clean", "keep"])
def test_regions_that_cover_the_frame_together_are_refused(do):
    halves = [{"do": do, "x": 0, "y": y, "width": 1, "height": 0.5} for y in (0, 0.5)]
    assert "cover the frame" in refused(regions=halves)["regions"][0]
    later = [{**halves[0], "end": 2}, {**halves[1], "start": 2}]
    assert len(asked(regions=later)["regions"]) == 2
