"""How good a candidate is for a shot or as music, before anybody has its file: marks, weights, a sum.

Whether it may be used is the licence policy's question, and whether it is shown already the ranking's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.licences import Licence, LicenceClass
from core.pictures import LEAST_SIDE
from scrapers.base import Candidate
from scrapers.meaning import nearness
from scrapers.words import Said, relevance, stem

SCORE_VERSION, WITH_MEANING = 1, 2
"""Of scores by words, and by meaning too. New numbers with any change of marks or weights."""
MEANING = 0.3
"""Share of the relevance that is nearness in meaning, where it can be told."""
WEIGHTS = {
    "relevance": 0.45,
    "order": 0.15,
    "quality": 0.15,
    "fit": 0.12,
    "licence": 0.08,
    "popularity": 0.05,
}
STILL = 0.85
"""A still against a clip that fits as well: a clip moves by itself, a still is only panned over."""
LOOP = 0.8
"""Music that is made to be repeated, where it is shorter than its film."""
_UNKNOWN = 0.5
_COSTS = {
    LicenceClass.FREE: 1.0,
    LicenceClass.ATTRIBUTION: 0.8,
    LicenceClass.COMMERCIAL: 0.7,
    LicenceClass.NONCOMMERCIAL: 0.3,
    LicenceClass.CUSTOM: 0.1,
}
_SHARE_ALIKE = 0.4
RESTRICTED = 0.6
"""What is left of a licence's mark where more is said of its use: a person or a trademark is in it."""
_LONG = 120.0  # seconds of a clip of which a shot uses a few: they are all downloaded


@dataclass(frozen=True)
class Wish:
    """What is looked for: by which words, in which frame (none: it is music), for how many seconds."""

    words: tuple[str, ...]
    width: int = 0
    height: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Score:
    total: float
    parts: dict[str, dict[str, float]]
    """`{name: {"mark": 0..1, "weight": …}}`."""
    version: int = SCORE_VERSION


def score_all(found: Sequence[tuple[int, Candidate]], wish: Wish) -> list[Score]:
    """Score what was found for one wish, each with its place in its source's own order.

    They are scored together: a word that all have tells nothing, and popularity counts within a source.
    """
    told = [Said(one.title, one.tags, one.description) for _, one in found]
    most: dict[str, int] = {}
    for _, one in found:
        most[one.source] = max(most.get(one.source, 0), one.popularity or 0)
    relevant_marks = relevance(wish.words, told)
    near = nearness(wish.words, [" ".join((said.title, *said.tags)) for said in told])
    version = SCORE_VERSION if near is None else WITH_MEANING
    if near is not None:
        pairs = zip(relevant_marks, near, strict=True)
        relevant_marks = [max(mark, (1 - MEANING) * mark + MEANING * nearby) for mark, nearby in pairs]
    scores = []
    for (order, one), relevant in zip(found, relevant_marks, strict=True):
        marks = {
            "relevance": relevant,
            "order": 1 / (1 + order / 4),
            "quality": _quality(one, wish),
            "fit": _fit(one, wish),
            "licence": _licence(one.licence) * (RESTRICTED if one.restrictions else 1.0),
            "popularity": _popularity(one, most[one.source]),
        }
        parts = {name: {"mark": round(mark, 4), "weight": WEIGHTS[name]} for name, mark in marks.items()}
        scores.append(
            Score(round(sum(WEIGHTS[name] * mark for name, mark in marks.items()), 4), parts, version)
        )
    return scores


def is_small(candidate: Candidate, wish: Wish) -> bool:
    """Whether a picture claims less than the least that any film takes; who claims nothing is not judged."""
    if not candidate.width or not candidate.height or not wish.width:
        return False
    return min(candidate.width, candidate.height) < min(LEAST_SIDE, wish.width, wish.height)


def _quality(one: Candidate, wish: Wish) -> float:
    """Of what its source claims, in pixels: never by a label such as HD."""
    if not wish.width:
        kilobits = one.size * 8 / one.duration / 1000 if one.size and one.duration else None
        mark = _UNKNOWN if kilobits is None else _ramp(kilobits, 48, 192)
    elif not one.width or not one.height:
        mark = _UNKNOWN
    else:
        mark = _ramp(min(one.width, one.height) / min(wish.width, wish.height), 0.4, 1.0)
    if one.kind == "clip" and one.fps and wish.width:
        mark *= _ramp(one.fps, 0, 15)
    return mark * (0.7 if one.is_preview else 1.0)


def _fit(one: Candidate, wish: Wish) -> float:
    """How much of a picture its frame leaves, and whether what moves or sounds is long enough."""
    need = wish.seconds or 1.0
    lasts = _UNKNOWN if one.duration is None else min(one.duration / need, 1.0)
    if not wish.width:
        loops = any(stem(word) == "loop" for word in (*one.tags, *one.title.split()))
        return max(lasts, LOOP) if loops else lasts
    whole = _UNKNOWN
    if one.width and one.height:
        turned = (one.width / one.height) / (wish.width / wish.height)
        whole = min(turned, 1 / turned)
    if one.kind != "clip":
        return whole * STILL
    if one.duration is not None and one.duration > max(_LONG, need * 10):
        lasts = 0.7
    return (whole + lasts) / 2


def _licence(licence: Licence) -> float:
    """What using it costs: nothing, a credit, a vendor's terms, or terms for the whole film."""
    cost = _COSTS[licence.licence_class]
    return min(cost, _SHARE_ALIKE) if licence.share_alike else cost


def _popularity(one: Candidate, most: int) -> float:
    if one.popularity is None or most <= 0:
        return _UNKNOWN
    return math.log1p(max(one.popularity, 0)) / math.log1p(most)


def _ramp(value: float, nothing: float, full: float) -> float:
    return max(0.0, min((value - nothing) / (full - nothing), 1.0))


def explain(score: Score) -> dict[str, Any]:
    return {"score": score.total, "parts": score.parts, "score_version": score.version}
