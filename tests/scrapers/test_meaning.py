"""Nearness in meaning, where the optional package is installed; words alone decide where it is not."""

from __future__ import annotations

import importlib.util

import pytest

from scrapers import meaning, scoring
from scrapers.scoring import score_all
from tests.scrapers.test_scoring import WISH, one

installed = pytest.mark.skipif(
    importlib.util.find_spec("wordllama") is None,
    reason="wordllama is not installed (pip install 'callsheet[embeddings]')",
)


@installed
def test_texts_that_say_the_same_in_other_words_are_nearer():
    near, far = meaning.nearness(["fox", "in the snow"], ["Red animal in winter", "A bowl of fruit"])
    assert near > 0.5 > far
    assert meaning.nearness(["fox"], []) is None


@installed
def test_the_same_text_has_the_same_mark_each_time_and_among_others():
    alone = meaning.nearness(["rocket"], ["Space shuttle"])
    assert alone == meaning.nearness(["rocket"], ["Space shuttle"])
    assert alone[0] == pytest.approx(meaning.nearness(["rocket"], ["A very long text", "Space shuttle"])[1])


@installed
def test_meaning_finds_what_no_word_finds_and_says_that_it_was_asked():
    found = [(0, one("Winter wildlife with a vixen")), (0, one("Bowl of fruit"))]
    near, far = score_all(found, WISH)
    assert near.parts["relevance"]["mark"] > far.parts["relevance"]["mark"]
    assert near.version == scoring.WITH_MEANING


def test_without_the_package_words_decide(monkeypatch):
    monkeypatch.setattr(meaning.importlib, "import_module", _missing)
    meaning._model.cache_clear()
    try:
        assert meaning.nearness(["fox"], ["Fox"]) is None
        (score,) = score_all([(0, one("Red fox"))], WISH)
        assert score.parts["relevance"]["mark"] == 1.0
        assert score.version == scoring.SCORE_VERSION
    finally:
        meaning._model.cache_clear()


def _missing(name):
    raise ImportError(name)
