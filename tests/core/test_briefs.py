from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from core.briefs import ASPECTS, FILM_PHASES, PARAMS, SIZES, frame_size, load_params
from core.licences import POLICIES, LicenceClass


def refusals(kind: str, data: dict[str, object]) -> dict[str, object]:
    with pytest.raises(ValidationError) as caught:
        load_params(kind, data)
    assert isinstance(caught.value.messages, dict)
    return caught.value.messages


def test_a_brief_is_stored_with_every_default_written_out() -> None:
    params = load_params("film", {"text": "The moon. The sea."})
    assert set(params) == set(PARAMS["film"]().fields)
    assert params["music"] == {"from": "none", "id": None}
    assert params["licences"]["allow"] == ["free", "attribution", "commercial"]
    assert json.loads(json.dumps(params)) == params


def test_a_stored_brief_loads_again_to_the_same_brief() -> None:
    params = load_params("film", {"script": "One. Two.", "music": {"from": "samples", "id": "ambient-calm"}})
    assert load_params("film", params) == params


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "text"),
        ({"text": "a", "script": "b"}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "x" * 20_001}, "text"),
        ({"script": "x" * 200_001}, "script"),
        ({"text": "nul \x00"}, "text"),
        ({"text": "a", "format": "21:9"}, "format"),
        ({"text": "a", "size": 4320}, "size"),
        ({"text": "a", "size": "720"}, "size"),
        ({"text": "a", "fps": 0}, "fps"),
        ({"text": "a", "target_duration": 0}, "target_duration"),
        ({"text": "a", "target_duration": 601}, "target_duration"),
        ({"text": "a", "language": "English!"}, "language"),
        ({"text": "a", "captions": "neon"}, "captions"),
        ({"text": "a", "providers": []}, "providers"),
        ({"text": "a", "music": {"from": "samples"}}, "music"),
        ({"text": "a", "licences": {"allow": ["gpl"]}}, "licences"),
        ({"text": "a", "reuse": "yes"}, "reuse"),
        ({"text": "a", "audio": "yes"}, "audio"),
        ({"text": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_film_brief_names_its_field(data: dict[str, object], field: str) -> None:
    assert list(refusals("film", data)) == [field]


@pytest.mark.parametrize(
    ("region", "field"),
    [
        ({"x": 0.9, "y": 0, "width": 0.2, "height": 0.1}, "x"),
        ({"x": 0, "y": 0, "width": 0, "height": 0.1}, "width"),
        ({"x": 0, "y": 0, "width": 1, "height": 1, "start": 2, "end": 1}, "end"),
        ({"x": -1, "y": 0, "width": 1, "height": 1}, "x"),
    ],
)
def test_a_region_outside_the_frame_or_time_is_refused(region: dict[str, object], field: str) -> None:
    asset = "018f0000-0000-7000-8000-000000000000"
    messages = refusals("text_removal", {"asset_id": asset, "regions": [region]})
    assert list(messages["regions"][0]) == [field]  # type: ignore[index]


def test_a_scrape_wants_words_and_keeps_at_most_fifty() -> None:
    assert "words" in refusals("scrape", {"words": []})
    assert "keep" in refusals("scrape", {"words": ["sea"], "keep": 51})
    assert load_params("scrape", {"words": ["sea"]})["keep"] == 5


@given(st.sampled_from(sorted(ASPECTS)), st.sampled_from(SIZES))
def test_frames_are_even_and_their_short_side_is_the_size(aspect: str, size: int) -> None:
    width, height = frame_size(aspect, size)
    across, down = ASPECTS[aspect]
    assert width % 2 == height % 2 == 0
    assert min(width, height) == size
    assert width / height == pytest.approx(across / down, rel=0.01)


def test_allowed_licence_classes_are_the_licences_own() -> None:
    for kind in LicenceClass:
        assert load_params("film", {"text": "a", "licences": {"allow": [kind.value]}})
    assert len(FILM_PHASES) == len(set(FILM_PHASES))


ALLOWED = {
    "commercial": ["free", "attribution", "commercial"],
    "non-commercial": ["free", "attribution", "commercial", "noncommercial"],
    "public-domain-only": ["free"],
}


def licences(kind="film", **asked):
    brief = {"text": "a"} if kind == "film" else {"words": ["a"]}
    return load_params(kind, {**brief, "licences": asked})["licences"]


@pytest.mark.parametrize("kind", ["film", "scrape"])
def test_a_licence_policy_is_named_and_written_out(kind) -> None:
    for name, allow in ALLOWED.items():
        assert licences(kind, policy=name) == {
            "policy": name,
            "allow": allow,
            "share_alike": name != "public-domain-only",
            "commercial": name != "non-commercial",
        }
    assert licences(kind) == licences(kind, policy="commercial") == licences(kind, policy=None)


def test_the_fields_of_a_policy_may_be_narrowed() -> None:
    assert licences(policy="non-commercial", share_alike=False)["share_alike"] is False
    assert licences(policy="commercial", allow=["free"])["allow"] == ["free"]
    assert licences(share_alike=False) == {**licences(), "share_alike": False}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"policy": "commercial", "commercial": False}, "commercial"),
        ({"policy": "non-commercial", "commercial": True}, "commercial"),
        ({"policy": "commercial", "allow": ["free", "noncommercial"]}, "allow"),
        ({"policy": "public-domain-only", "allow": ["free", "attribution"]}, "allow"),
        ({"policy": "public-domain-only", "share_alike": True}, "share_alike"),
        ({"policy": "non-commercial", "allow": ["custom"]}, "allow"),
        ({"policy": "educational"}, "policy"),
    ],
)
def test_a_policy_and_a_field_that_contradict_it_are_refused_by_the_fields_name(asked, field) -> None:
    with pytest.raises(ValidationError) as caught:
        licences(**asked)
    assert list(caught.value.messages["licences"]) == [field]


def test_without_a_policy_the_fields_say_it_all() -> None:
    asked = {"allow": ["free", "custom"], "commercial": False}
    assert licences(**asked) == {**asked, "policy": None, "share_alike": True}
    # what is stored loads again, to the same
    for one in (asked, {}, {"policy": "non-commercial"}, {"allow": ["noncommercial"]}):
        assert licences(**licences(**one)) == licences(**one)


def test_what_a_brief_allows_is_what_the_policy_takes() -> None:
    for name, policy in POLICIES.items():
        stored = licences(policy=name)
        assert {LicenceClass(one) for one in stored["allow"]} == policy.allow
        assert (stored["share_alike"], stored["commercial"]) == (policy.allow_share_alike, policy.commercial)
