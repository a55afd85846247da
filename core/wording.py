# ruff: noqa: RUF001 - the punctuation of many scripts is meant
"""Read natural text by rules: sentences, speaking time, search words. Pure and deterministic.

Works for any script: spaces divide words where the language has them, characters count where it has not.
"""

from __future__ import annotations

import math
import re
import unicodedata
from itertools import pairwise

from core.stop_words import STOP_WORDS

LONG_PARAGRAPH_WORDS = 45
WORDS_PER_SECOND = 2.4
# Chinese and Japanese are read at about 4.5 characters a second; in words, so that one sum serves mixed text.
CHARACTERS_PER_WORD = 4.5 / WORDS_PER_SECOND
MAX_SEARCH_WORDS = 5

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK_CHARACTER = re.compile(f"[{_CJK}\U00020000-\U0002ffff]")
_CJK_TEXT = re.compile(f"[{_CJK}\u3000-\u303f\uff00-\uffef\U00020000-\U0002ffff]")
_DROPPED = re.compile("[\ufeff\ufdd0-\ufdef\ufffe\uffff]")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|[؟۔।]+[\"'”’»)]*")
_CLAUSE_END = re.compile(r"[,;:،؛](?=\s)|\s[–—-](?=\s)|[，、；：]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|no|vs|etc|e\.g|i\.e|approx|ca|bzw|z\.b|d\.h|nr|sra?|mme)\.$",
    re.IGNORECASE,
)
_EMOJI_FILLER = {
    "symbol",
    "sign",
    "with",
    "face",
    "emoji",
    "modifier",
    "fitzpatrick",
    "type",
    "black",
    "white",
}
_EMOJI_FILLER |= {
    "heavy",
    "variation",
    "selector",
    "regional",
    "indicator",
    "letter",
    "and",
    "of",
    "component",
}

_SENTENCE_MARKS = frozenset(".!?")
_CJK_FUNCTION = re.compile(
    "[的了是在和与與也都就而及着著过過把被让讓这這那我你他她它们們地得吗嗎呢吧啊不很个個\u3040-\u309f]+"
)


def clean(text: str) -> str:
    """Return `text` on one line: blanks collapsed, control characters and noncharacters gone."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in _DROPPED.sub("", text))
    return " ".join(kept.split())


def join_lines(lines: list[str]) -> str:
    """Join wrapped lines: by a blank, or by nothing between two characters of a script without blanks."""
    joined = ""
    for line in (clean(line) for line in lines):
        if not line:
            continue
        gap = "" if joined and _CJK_TEXT.match(joined[-1]) and _CJK_TEXT.match(line) else " "
        joined = joined + gap + line if joined else line
    return joined


def is_unspaced(character: str) -> bool:
    """Tell a character of a script written without blanks between words (Chinese, Japanese)."""
    return bool(_CJK_CHARACTER.match(character))


def word_count(text: str) -> float:
    """Count words; a run of Chinese or Japanese counts by its characters."""
    characters = len(_CJK_CHARACTER.findall(text))
    spaced = _CJK_CHARACTER.sub(" ", text)
    words = sum(any(c.isalnum() for c in word) for word in spaced.split())
    return words + characters / CHARACTERS_PER_WORD


def speaking_seconds(text: str) -> float:
    """Guess how long `text` takes when read aloud; the spoken file decides in the end."""
    return round(word_count(text) / WORDS_PER_SECOND, 2)


def sentences(text: str) -> list[str]:
    """Split at sentence ends, losing only the blanks between; known abbreviations hold."""
    return [text[start:end] for start, end in _cut(text, _SENTENCE_END)]


def clauses(text: str) -> list[str]:
    """Split at commas, dashes and the like; a piece of fewer than three words stays with its neighbour."""
    spans: list[tuple[int, int]] = []
    short = False
    for start, end in _cut(text, _CLAUSE_END):
        is_short = word_count(text[start:end]) < 3
        if spans and (short or is_short):
            spans[-1] = (spans[-1][0], end)
            short = False
        else:
            spans.append((start, end))
            short = is_short
    return [text[start:end] for start, end in spans]


def split_long(paragraph: str, limit: float = LONG_PARAGRAPH_WORDS) -> list[str]:
    """Split a paragraph of more than `limit` words at sentence ends into pieces of about equal length.

    A single sentence beyond the limit stays whole. Splitting a piece again gives the piece.
    """
    total = word_count(paragraph)
    if total <= limit:
        return [paragraph]
    goal = total / math.ceil(total / limit)
    spans: list[tuple[int, int]] = []
    weight = 0.0
    for start, end in _cut(paragraph, _SENTENCE_END):
        words = word_count(paragraph[start:end])
        # Stop where the piece comes closest to the goal, never beyond the limit.
        if spans and weight + words <= limit and weight + words / 2 <= goal:
            spans[-1] = (spans[-1][0], end)
            weight += words
        else:
            spans.append((start, end))
            weight = words
    return [paragraph[start:end] for start, end in spans]


def keywords(text: str, limit: int = MAX_SEARCH_WORDS) -> tuple[str, ...]:
    """Pick the words most likely to find a picture, in the order of the text; emoji give their names."""
    scores: dict[str, float] = {}
    spelling: dict[str, str] = {}
    starts_sentence = True
    for token in _tokens(text):
        if token in _SENTENCE_MARKS:
            starts_sentence = True
            continue
        key = token.casefold()
        if key not in STOP_WORDS and _has_meaning(token):
            name = token[0].isupper() and not starts_sentence
            scores[key] = scores.get(key, 0) + 3 + (3 if name else 0) + min(len(token), 10) / 3
            # An adverb tells how, not what.
            scores[key] -= 3 if key.endswith("ly") and len(key) > 5 else 0
            spelling.setdefault(key, token if name else key)
        starts_sentence = False
    # sorted() is stable: among equals the earlier word wins.
    best = set(sorted(scores, key=lambda key: -scores[key])[:limit])
    return tuple(spelling[key] for key in scores if key in best)


def _cut(text: str, ends: re.Pattern[str]) -> list[tuple[int, int]]:
    """Spans (start, end) of the pieces without the blanks around them."""
    cuts = [0]
    for match in ends.finditer(text):
        # An abbreviation is at most a dozen characters before its full stop.
        before = text[max(cuts[-1], match.end() - 12) : match.end()]
        if match.group() != "." or not _ABBREVIATION.search(before):
            cuts.append(match.end())
    spans = []
    for start, end in pairwise([*cuts, len(text)]):
        piece = text[start:end]
        if piece.strip():
            spans.append((start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())))
    return spans


def _tokens(text: str) -> list[str]:
    """Words, sentence marks, emoji names in order; unspaced scripts by runs between function characters."""
    tokens: list[str] = []
    word = ""
    for c in text + " ":
        category = unicodedata.category(c)
        if category[0] in "LMN" or (c in "-'’" and word):
            word += c
            continue
        if word:
            tokens += _runs(word.rstrip("-'’"))
            word = ""
        if c in _SENTENCE_MARKS:
            tokens.append(c)
        elif category == "So":
            tokens += [w for w in unicodedata.name(c, "").lower().split() if w not in _EMOJI_FILLER]
    return tokens


def _runs(word: str) -> list[str]:
    if not _CJK_CHARACTER.search(word):
        return [word]
    return [run[:6] for run in _CJK_FUNCTION.split(word) if len(run) > 1]


def _has_meaning(token: str) -> bool:
    if _CJK_CHARACTER.search(token):
        return True
    return len(token) > 2 and any(c.isalpha() for c in token)
