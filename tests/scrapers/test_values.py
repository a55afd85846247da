from __future__ import annotations

import pytest
from hypothesis import given

from scrapers import values
from tests.scrapers.makers import ODD


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("337.18", 337.18), ("05:37", 337), ("1:02:03", 3723), ("00:00", None), ("0", None), (12, 12), (True, None), ("5 min", None),
     ("nan", None), ("inf", None), (None, None), (-1, None), ("1:2:3:4", None), (" 10.5 ", 10.5)],
)  # fmt: skip
def test_a_length_is_read_in_seconds_or_as_a_clock(said, seconds):
    assert values.seconds(said) == seconds


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("8327168", 8327168),
        (3.0, 3),
        ("0", None),
        (0.5, None),
        (True, None),
        ([], None),
        (10**400, None),
        ("x", None),
    ],
)
def test_a_number_may_be_text_and_is_above_zero(said, found):
    assert values.number(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [("//x.example/a", "https://x.example/a"), ("http://x.example", "http://x.example"), ("ftp://x.example", None),
     ("http://[", None), ("a.jpg", None), (5, None), ("javascript:alert(1)", None)],
)  # fmt: skip
def test_an_address_is_whole_and_http(said, found):
    assert values.web(said) == found


def test_texts_may_be_one_or_many_and_are_fit_for_the_database():
    assert values.texts(["a ", "", None, 5, "b\0"]) == ["a", "b"]
    assert values.texts("a") == ["a"]
    assert values.text("\ud800x") == "?x"


@given(ODD)
def test_nothing_makes_reading_fail(value):
    for read in (
        values.text,
        values.texts,
        values.ident,
        values.decimal,
        values.number,
        values.seconds,
        values.true,
    ):
        read(value)
    assert values.fields(value) is value or values.fields(value) == {}
    assert all(isinstance(row, dict) for row in values.rows(value))
    assert values.web(value) is None or values.web(value).startswith("http")
