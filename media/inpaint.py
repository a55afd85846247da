"""Fill what burnt-in text hides, on the planes as decoded; nothing outside of the masks is touched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import Literal

import numpy as np

from core.errors import Retryable
from media.burnt_text import BurntText, Found, Planes
from media.filling import Weighed, fill, weigh
from media.kriging import Floats
from media.scenes import Scene, open_scene
from media.sites import lay_sites

Quality = Literal["fast", "balanced", "best"]
_WINDOW_BYTES = 360_000_000
"""Frames held at once, so that what a line hides can be seen before it came and after it went."""
_WINDOW_FRAMES = (24, 280)
_THREADS = 2
_EVENED = 3


@dataclass(frozen=True)
class _Window:
    """Frames [first, end) to give together, and those [low, high) that are looked at for them."""

    first: int
    end: int
    low: int
    high: int
    texts: tuple[BurntText, ...] = ()


def fill_text(
    frames: Iterable[Planes],
    found: Found,
    *,
    quality: Quality = "balanced",
    first: int = 0,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Planes]:
    """Give every frame with the pixels of its texts' masks filled; frame `first` of the clip comes first.

    Frames without text are given as they came, the others as copies. `on_progress` hears the number of
    frames given; once `should_stop` says so, Retryable is raised within two seconds.
    """

    def check() -> None:
        if should_stop is not None and should_stop():
            raise Retryable("Stopped on request.", code="stopped")

    source = iter(frames)
    head = next(source, None)
    if head is None:
        return
    source = chain([head], source)
    held: deque[Planes] = deque()
    start = first  # number of the first frame held
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for window in _windows(found, first, head):
            check()
            held.extend(islice(source, window.high - start - len(held)))
            while held and start < window.low:
                held.popleft()
                start += 1
            end = min(window.end, start + len(held))
            ready: Iterator[Planes] = (held[number - start] for number in range(window.first, end))
            if window.texts:
                ready = _fill_window(window, list(held), start, end, pool, check, moving=quality != "fast")
            for number, frame in enumerate(ready, window.first - first + 1):
                check()
                yield frame
                if on_progress is not None:
                    on_progress(number)
            if end < window.end:
                return
        yield from source
    finally:
        # what runs is a second's work at most, and nobody waits for it
        pool.shutdown(wait=False, cancel_futures=True)


def _fill_window(
    window: _Window,
    held: list[Planes],
    start: int,
    end: int,
    pool: Executor,
    check: Callable[[], None],
    *,
    moving: bool,
) -> Iterator[Planes]:
    luma = held[0][0]
    scenes: list[Scene] = []
    for site in lay_sites(window.texts, luma.shape[0], luma.shape[1]):
        for scene in open_scene(site, held, start, pool, moving=moving):
            check()
            if scenes[-1:] != [scene]:
                scenes.append(scene)
    weighed: list[dict[int, Future[Weighed | None]]] = [{} for _ in scenes]
    for number in range(window.first, end):
        out = frame = held[number - start]
        for scene, ready in zip(scenes, weighed, strict=True):
            for near in range(max(number - _EVENED, window.first), min(number + _EVENED + _THREADS, end)):
                if near not in ready:
                    ready[near] = pool.submit(weigh, scene, near)
            ready.pop(number - _EVENED - 1, None)
            mine = ready[number].result()
            if mine is None:
                continue
            if out is frame:
                out = (frame[0].copy(), frame[1].copy(), frame[2].copy())
            fill(scene, number, mine, _evened(scene, number, ready), out)
        yield out


def _evened(scene: Scene, number: int, ready: dict[int, Future[Weighed | None]]) -> Floats:
    """Moments of a frame averaged with those nearby under the same mask: weights that jump would flicker."""
    cover = scene.of_frame[number - scene.low].cover
    means: list[tuple[int, Floats]] = []
    for near in range(number - _EVENED, number + _EVENED + 1):
        if near in ready and scene.of_frame[near - scene.low].cover is cover:
            other = ready[near].result()
            if other is not None:
                means.append((_EVENED + 1 - abs(near - number), other.moments))
    weights, moments = zip(*means, strict=True)
    return np.average(moments, axis=0, weights=weights).astype(np.float32)


def _windows(found: Found, first: int, head: Planes) -> Iterator[_Window]:
    """Lay windows over the frames from `first` on, none over a cut.

    Around texts a window is as long as they are and what may be looked at around them, where memory lets it;
    longer ones are cut into pieces that look into each other. Frames far from any text go alone.
    """
    size = sum(plane.nbytes for plane in head)
    room = min(max(_WINDOW_BYTES // size, _WINDOW_FRAMES[0]), _WINDOW_FRAMES[1])
    reach = room // 4
    marks = [0, *sorted({cut for cut in found.cuts if 0 < cut < found.frames}), found.frames]
    for shot in pairwise(marks):
        at = max(shot[0], first)
        texts = tuple(sorted(_texts_of(found, shot), key=lambda text: text.first))
        spans: list[list[int]] = []
        for text in texts:
            low, high = max(at, text.first - reach), min(shot[1], text.last + 1 + reach)
            if high <= low:
                continue
            if spans and low <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], high)
            else:
                spans.append([low, high])
        for low, high in spans:
            yield from (_Window(n, n + 1, n, n + 1) for n in range(at, low))
            at = low
            while at < high:
                end = high if high - at <= room - reach else min(high, at + room - 2 * reach)
                near = (max(low, at - reach), min(high, end + reach))
                seen = tuple(text for text in texts if text.first < near[1] and text.last >= near[0])
                yield _Window(at, end, *near, seen)
                at = end
        yield from (_Window(n, n + 1, n, n + 1) for n in range(at, shot[1]))


def _texts_of(found: Found, shot: tuple[int, int]) -> Iterator[BurntText]:
    """Texts seen in a shot, each cut down to it."""
    for text in found.texts:
        first, last = max(text.first, shot[0]), min(text.last, shot[1] - 1)
        if first <= last:
            path = None if text.path is None else text.path[first - text.first : last - text.first + 1]
            yield replace(text, first=first, last=last, path=path)
