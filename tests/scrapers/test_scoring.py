"""How good a candidate is for a shot, mark by mark."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.licences import parse_licence
from scrapers.base import Candidate
from scrapers.scoring import WEIGHTS, Wish, is_small, score_all
from scrapers.words import Said, relevance

CC0 = parse_licence(url="https://creativecommons.org/publicdomain/zero/1.0/")
WISH = Wish(("red fox",), 1280, 720, 5.0)


def one(title="Red fox", **more):
    said = {
        "source": "s", "foreign_id": title, "kind": "image", "title": title, "landing_url": None,
        "media_url": "https://site.test/1", "creator": None, "creator_url": None, "licence": CC0,
        "raw_licence": "CC0", "width": 1920, "height": 1080, **more,
    }  # fmt: skip
    return Candidate(**said)


def marks(candidate, wish=WISH, order=0):
    (score,) = score_all([(order, candidate)], wish)
    return {name: part["mark"] for name, part in score.parts.items()}


text = st.text(max_size=40)


@settings(deadline=None)  # a model is loaded in the first example, where one is installed
@given(
    st.lists(
        st.builds(
            one,
            title=text,
            tags=st.lists(text, max_size=3).map(tuple),
            description=text,
            kind=st.sampled_from(["image", "clip"]),
            width=st.none() | st.integers(0, 10**6),
            height=st.none() | st.integers(0, 10**6),
            duration=st.none() | st.floats(0, 1e6),
            fps=st.none() | st.floats(0, 240),
            popularity=st.none() | st.integers(-5, 10**12),
            is_preview=st.booleans(),
            size=st.none() | st.integers(0, 10**12),
        ),
        max_size=4,
    ),
    st.lists(text, max_size=3).map(tuple),
    st.sampled_from([(1280, 720), (720, 1280), (0, 0)]),
)
def test_every_mark_is_between_nothing_and_full_whatever_a_source_says(found, words, frame):
    for score in score_all(list(enumerate(found)), Wish(words, *frame, 5.0)):
        assert set(score.parts) == set(WEIGHTS)
        assert all(0 <= part["mark"] <= 1 for part in score.parts.values())
        assert 0 <= score.total <= 1
    assert sum(WEIGHTS.values()) == pytest.approx(1)


def test_a_title_counts_more_than_tags_and_those_more_than_a_description():
    told = [Said("red fox"), Said("", ["red", "fox"]), Said("", [], "a red animal, a fox"), Said("a car")]
    found = relevance(["fox", "red"], told)
    assert found == sorted(found, reverse=True)
    assert found[0] == 1.0
    assert found[-1] == 0.0


def test_words_that_all_finds_have_tell_less_than_the_one_that_few_have():
    told = [Said("sky night"), Said("sky day"), Said("sky"), Said("night"), Said("sky blue")]
    night_sky, sky, night = (relevance(["night sky"], told)[n] for n in (0, 1, 3))
    assert night_sky > night > sky


def test_words_that_stand_together_count_and_stop_words_do_not():
    together, apart = relevance(
        ["northern lights"], [Said("Northern lights"), Said("Lights of a northern town")]
    )
    assert together > apart
    assert relevance(["the sound of rain"], [Said("rain"), Said("the sound of")])[0] > 0.4
    assert relevance(["the sound of rain"], [Said("of the")]) == [0.0]
    assert relevance(["where"], [Said("Where")]) == [1.0], "words that are all stop words are all there is"


def test_scripts_without_spaces_are_found_inside_a_line():
    assert (
        relevance(["夜空"], [Said("美しい夜空の写真"), Said("朝")])[0] > relevance(["夜空"], [Said("朝")])[0]
    )


@pytest.mark.parametrize(
    ("better", "worse", "mark"),
    [
        ({"width": 1280, "height": 720}, {"width": 640, "height": 360}, "quality"),
        ({}, {"is_preview": True}, "quality"),
        ({}, {"width": 1080, "height": 1920}, "fit"),
        ({"kind": "clip", "duration": 6.0}, {"kind": "clip", "duration": 2.0}, "fit"),
        ({"kind": "clip", "duration": 6.0}, {}, "fit"),
        ({"kind": "clip", "duration": 20.0}, {"kind": "clip", "duration": 3600.0}, "fit"),
        ({}, {"licence": parse_licence("https://creativecommons.org/licenses/by/4.0/")}, "licence"),
        ({}, {"restrictions": ("personality",)}, "licence"),
    ],
)
def test_what_is_better_has_the_better_mark_and_score(better, worse, mark):
    assert marks(one(**better))[mark] > marks(one(**worse))[mark]
    first, second = (score_all([(0, one(**said))], WISH)[0].total for said in (better, worse))
    assert first > second


def test_licences_cost_nothing_then_a_credit_then_a_vendors_terms_then_the_whole_films_terms():
    urls = ("publicdomain/zero/1.0", "licenses/by/4.0", "licenses/by-sa/4.0")
    free, credit, share_alike = (
        marks(one(licence=parse_licence(f"https://creativecommons.org/{url}/")))["licence"] for url in urls
    )
    vendor = marks(one(licence=parse_licence("https://www.pexels.com/license/")))["licence"]
    assert free > credit > vendor > share_alike


def test_popularity_counts_within_a_source_and_by_its_logarithm():
    found = [one("a", popularity=1000), one("b", popularity=30), one("c"), one("d", source="t", popularity=3)]
    most, some, unknown, elsewhere = (
        score.parts["popularity"]["mark"] for score in score_all([(0, item) for item in found], WISH)
    )
    assert most == elsewhere == 1.0
    assert 0.45 < some < 0.55
    assert unknown == 0.5


@pytest.mark.parametrize(
    ("size", "frame", "small"),
    [
        ((640, 480), (1280, 720), False),
        ((640, 470), (1280, 720), False),  # 480 less a codec's rounding
        ((640, 469), (1280, 720), True),
        ((426, 240), (426, 240), False),  # a film that is small itself
        ((None, None), (1280, 720), False),
        ((200, 100), (0, 0), False),  # music
    ],
)
def test_a_picture_needs_480_pixels_where_its_film_has_as_many(size, frame, small):
    assert is_small(one(width=size[0], height=size[1]), Wish(("x",), *frame)) is small


def test_music_that_lasts_as_long_as_the_film_fits_best_and_a_loop_better_than_a_short_piece():
    wish = Wish(("piano",), seconds=60.0)
    piece = one("Piano", kind="audio", width=None, height=None, duration=70.0)
    short = dataclasses.replace(piece, duration=20.0)
    loop = dataclasses.replace(short, tags=("loop",))
    assert marks(piece, wish)["fit"] == 1.0
    assert marks(piece, wish)["fit"] > marks(loop, wish)["fit"] > marks(short, wish)["fit"]
