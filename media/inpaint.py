"""Fill what burnt-in text hides, on the planes as decoded; nothing outside of the masks is touched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import Literal

from core.errors import Retryable
from media.burnt_text import BurntText, Found, Planes
from media.sites import Scene, cut_out, dig_segments, fill, lay_sites, look_before_and_after

Quality = Literal["fast", "balanced", "best"]
_WINDOW_BYTES = 360_000_000
"""Frames held at once, so that what a line hides can be seen before it came and after it went."""
_WINDOW_FRAMES = (24, 280)
_THREADS = 2


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
    quality: Quality = "balanced",  # noqa: ARG001
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
                ready = _fill_window(window, list(held), start, end, pool, check)
            for number, frame in enumerate(ready, window.first - first + 1):
                check()
                yield frame
                if on_progress is not None:
                    on_progress(number)
            if end < window.end:
                return
        yield from source
    finally:
        pool.shutdown(cancel_futures=True)


def _fill_window(
    window: _Window,
    held: list[Planes],
    start: int,
    end: int,
    pool: Executor,
    check: Callable[[], None],
) -> Iterator[Planes]:
    luma = held[0][0]
    scenes = []
    for site in lay_sites(window.texts, luma.shape[0], luma.shape[1]):
        scene = cut_out(site, held, start)
        for _ in dig_segments(scene, pool, {}):
            check()
        look_before_and_after(scene)
        scenes.append(scene)
    jobs: deque[Future[Planes]] = deque()
    for number in range(window.first, end):
        jobs.append(pool.submit(_fill_frame, scenes, number, held[number - start]))
        if len(jobs) > 2 * _THREADS:
            yield jobs.popleft().result()
    while jobs:
        yield jobs.popleft().result()


def _fill_frame(scenes: list[Scene], number: int, frame: Planes) -> Planes:
    out: Planes | None = None
    for scene in scenes:
        for n, segment in enumerate(scene.segments):
            if segment.first <= number < segment.end and len(segment.hole.inside):
                if out is None:
                    out = (frame[0].copy(), frame[1].copy(), frame[2].copy())
                fill(scene, n, number, out)
    return out or frame


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
