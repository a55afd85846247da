"""What of a clip is encoded anew, which packets are copied, and when each is shown and decoded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from media.ingest import DAMAGED, DISCARDED, FRESH, MISSING, Facts, shown_at

_LEAST_PART = 48


@dataclass(frozen=True, eq=False)
class Timeline:
    """Times of the frames as shown, durations, times of decoding, and how far these allow reordering."""

    times: NDArray[np.int64]
    durations: NDArray[np.int64]
    decoding: NDArray[np.int64]
    reorder: int


def can_splice(facts: Facts, frames: int) -> bool:
    """Whether every packet is one frame of known time, so that copied and new ones can stand side by side."""
    if not facts.copies or len(facts.packets) != frames or facts.interlaced:
        return False
    times, flags = shown_at(facts.packets), facts.packets[:, 3]
    if (times == MISSING).any() or (flags & (DISCARDED | DAMAGED)).any() or not flags[0] & FRESH:
        return False
    return len(np.unique(times)) == len(times)


def timeline(facts: Facts, times: NDArray[np.int64] | None = None, reorder: int = 0) -> Timeline:
    """Order a clip's packets as shown.

    `times` are those that decoding gave: where they are others, frames are in an order that `reorder` allows.
    """
    packets = facts.packets
    own = shown_at(packets)
    decoding = packets[:, 1]
    order = np.argsort(own, kind="stable")
    told = facts.format == "avi" and times is not None and len(times) == len(own)
    if times is not None and not told and not np.array_equal(times, own[order]):
        step = max(1, round(1 / (facts.fps * facts.time_base)))
        decoding = _held_back(times, step, reorder)
        return Timeline(times, np.append(np.diff(times), step), decoding, reorder)
    times = own[order]
    durations = packets[:, 2] if facts.by_packet else packets[order, 2]
    gap = int(np.median(np.diff(times))) if len(times) > 1 else 1
    numbers = np.arange(len(times))
    if facts.format in {"matroska", "webm"} or not _sound(decoding, own):  # Matroska has none of its own
        rank = np.empty_like(order)
        rank[order] = numbers
        late = int((numbers - rank).max())
        decoding = _held_back(times, gap, late)
    ahead = numbers - np.searchsorted(times, decoding)
    before = decoding < times[0]
    ahead[before] += np.round((times[0] - decoding[before]) / max(1, gap)).astype(np.int64)
    return Timeline(times, durations, decoding, int(max(0, min(2, ahead.min()))))


def _held_back(times: NDArray[np.int64], gap: int, by: int) -> NDArray[np.int64]:
    """Times of decoding that let frames be out of order by so many."""
    before = times[0] - gap * np.arange(by, 0, -1)
    return np.concatenate([before, times])[: len(times)]


def _sound(decoding: NDArray[np.int64], shown: NDArray[np.int64]) -> bool:
    if (decoding == MISSING).any() or (shown == MISSING).any():
        return False
    return bool((np.diff(decoding) > 0).all() and (decoding <= shown).all())


def plan(facts: Facts, wanted: Sequence[tuple[int, int]], cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Widen runs of frames to what can be encoded apart: up to the next packet decoding can start at.

    They begin wherever all frames before are complete without any that follow.
    """
    own, flags = shown_at(facts.packets), facts.packets[:, 3]
    count = len(own)
    before = np.maximum.accumulate(own)
    after = np.minimum.accumulate(own[::-1])[::-1]
    closed = [0, *(np.flatnonzero(before[:-1] < after[1:]) + 1)]
    fresh = [int(n) for n in closed if flags[n] & FRESH] + [count]
    spans: list[tuple[int, int]] = []
    for first, end in sorted(wanted):
        start = int(closed[bisect_left(closed, first + 1) - 1])
        stop = fresh[bisect_left(fresh, end)]
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return [part for span in spans for part in at_cuts(*span, cuts)]


def at_cuts(first: int, end: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Divide a run where shots begin, none of the parts very short."""
    marks = [first]
    for cut in sorted(cuts):
        if cut - marks[-1] >= _LEAST_PART and end - cut >= _LEAST_PART:
            marks.append(cut)
    return list(pairwise([*marks, end]))
