"""How well what is said of an item answers to the words it is searched by."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.stop_words import STOP_WORDS

TITLE, TAGS, DESCRIPTION = 1.0, 0.8, 0.5
"""What a hit counts, by where it is: a title is chosen, tags are collected, a description rambles."""
PHRASE = 0.15
"""Share of the mark for words that stand together here as they do in the question."""
_ENDINGS = ("ings", "ing", "ers", "ies", "es", "ed", "er", "ly", "s")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Said:
    """What a source says of one item."""

    title: str
    tags: Sequence[str] = ()
    description: str = ""


def stem(word: str) -> str:
    """Cut common English endings, so that `rockets`, `launching` and `galaxies` find their like."""
    word = word.lower()
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


def fewer(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the words, half of them, one: where all words must match, a long question finds nothing."""
    for count in dict.fromkeys((len(words), (len(words) + 1) // 2, 1)):
        if 1 <= count <= len(words):
            yield words[:count]


def relevance(words: Sequence[str], items: Sequence[Said]) -> list[float]:
    """Mark every item 0..1: the share of the words it has, those that tell the items apart counting more."""
    phrases = [_stems(phrase) for phrase in words]
    wanted = {word: None for phrase in phrases for word in phrase}
    spoken = (word.lower() for phrase in words for word in _WORD.findall(phrase))
    told = {stem(word): None for word in spoken if word not in STOP_WORDS} or wanted
    pairs = {pair for phrase in phrases for pair in pairwise(phrase)}
    fields = [_Fields(item) for item in items]
    hits = [{word: item.hit(word) for word in told} for item in fields]
    worth = {
        word: 1 + math.log((len(items) + 1) / (sum(1 for hit in hits if hit[word]) + 1)) for word in told
    }
    whole = sum(worth.values())
    marks = []
    for item, hit in zip(fields, hits, strict=True):
        mark = sum(worth[word] * hit[word] for word in told) / whole if whole else 0.0
        if pairs:
            mark = (1 - PHRASE) * mark + PHRASE * sum(pair in item.pairs for pair in pairs) / len(pairs)
        marks.append(mark)
    return marks


def word_score(words: Sequence[str], title: str, tags: Sequence[str], description: str = "") -> float:
    """Mark one item by itself; 0 where none of the words is in it."""
    return relevance(words, [Said(title, tags, description)])[0]


class _Fields:
    """The words of an item, by where they stand."""

    def __init__(self, said: Said) -> None:
        title, tags = _stems(said.title), [_stems(tag) for tag in said.tags]
        self._ranks = (
            (TITLE, set(title), said.title.lower()),
            (TAGS, {word for tag in tags for word in tag}, " ".join(said.tags).lower()),
            (DESCRIPTION, set(_stems(said.description)), said.description.lower()),
        )
        self.pairs = {pair for line in (title, *tags) for pair in pairwise(line)}

    def hit(self, word: str) -> float:
        """What a word counts here; in scripts without spaces it may stand anywhere."""
        anywhere = bool(_UNSPACED.search(word))
        for worth, found, text in self._ranks:
            if word in found or (anywhere and word in text):
                return worth
        return 0.0


def _stems(text: str) -> list[str]:
    return [stem(word) for word in _WORD.findall(text)]
