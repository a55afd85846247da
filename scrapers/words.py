"""Matching words for sources that have no search of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_ENDINGS = ("ings", "ing", "ers", "ies", "es", "ed", "er", "ly", "s")


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


def word_score(words: Sequence[str], title: str, tags: Sequence[str]) -> float:
    """Score how well text answers to words: a share of the words found, a hit in the title counting more."""
    wanted = {stem(w) for phrase in words for w in re.findall(r"\w+", phrase)}
    in_title = {stem(w) for w in re.findall(r"\w+", title)}
    in_tags = {stem(w) for tag in tags for w in re.findall(r"\w+", tag)}
    hits = sum(1.5 if w in in_title else 1.0 for w in wanted if w in in_title | in_tags)
    return hits / len(wanted) if wanted else 0.0
