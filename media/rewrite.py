"""Write a clip again with everything kept, only the frames that must change encoded anew.

Where it is known from which packets decoding starts afresh (H.264 in MP4, MOV and Matroska; VP8, VP9; codecs
whose frames are all whole), spans without change are copied packet by packet and the rest stands between,
encoded with parameter sets of its own. The result is decoded and compared with the clip; when a frame, a time
or a byte of another stream is not as it was, the whole picture is encoded anew, and that is proven too.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from core.errors import Permanent, Retryable
from media.burnt_text import Planes
from media.children import Stop
from media.codecs import encoding, fits_beside
from media.ffmpeg import replacing
from media.frames import Decoder, Encoder, Shown, Span
from media.ingest import FRESH, MISSING, Facts, shown_at
from media.joining import PartFile, UnprovenError, join, prove
from media.spans import at_cuts, can_splice, plan, timeline

PRESET = "veryfast"
REACH = 70
"""Frames of the same shot before and after a part that its filling may look at."""

Change = Callable[[Iterator[Planes], int], Iterator[Planes]]
"""Gives a changed frame for each frame of a run; the number is that of the first."""


class Parts(Protocol):
    """Keeps encoded parts, so that a later try goes on where an earlier one ended."""

    def get(self, key: str) -> AbstractContextManager[Path | None]: ...
    def put(self, key: str, part: Path) -> None: ...


@dataclass(frozen=True)
class Rewritten:
    """How many frames were encoded anew and how many copied, bit by bit."""

    frames: int
    encoded: int
    copied: int
    notes: tuple[str, ...] = ()


def rewrite(
    clip: Path,
    out: Path,
    facts: Facts,
    wanted: Sequence[tuple[int, int]],
    change: Change,
    *,
    frames: int,
    cuts: Sequence[int] = (),
    parts: Parts | None = None,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Stop = None,
) -> Rewritten:
    """Write `clip` to `out` with `change` applied to the `wanted` runs of frames (first, end).

    `frames` is how many decoding gave when they were looked at, `cuts` where shots begin; `on_progress` is
    told the share that is done.

    Permanent `corrupt_media` when frames are gone, Retryable `stopped`.
    """
    trouble: list[str] = []
    for splice in (True, False):
        if splice and not (can_splice(facts, frames) and fits_beside(facts)):
            continue
        work = _Work(
            clip, facts, frames, cuts,
            splice=splice, parts=None if trouble else parts, on_progress=on_progress, should_stop=should_stop,
        )  # fmt: skip
        work.notes += trouble
        try:
            with replacing(out) as scratch:
                return work.run(scratch, wanted, change)
        except UnprovenError as e:
            if not splice:
                raise Permanent(f"The clip cannot be written again: {e}.", code="unproven") from e
            trouble.append(f"Unchanged parts could not be copied ({e}), so all was encoded anew.")
    raise AssertionError("the second way returns or raises")


_Frame = tuple[int, Planes, int]
"""A frame with its number and its time."""


@dataclass(frozen=True)
class _Run:
    """Frames [start, stop) that are decoded and changed in one go, for the parts with these numbers."""

    start: int
    stop: int
    parts: list[int]
    span: Span


class _Work:
    """One way of writing a clip again."""

    def __init__(
        self,
        clip: Path,
        facts: Facts,
        frames: int,
        cuts: Sequence[int],
        *,
        splice: bool,
        parts: Parts | None,
        on_progress: Callable[[float], None] | None,
        should_stop: Stop,
    ) -> None:
        self.clip, self.facts, self.frames, self.splice, self.parts = clip, facts, frames, splice, parts
        self.cuts, self.on_progress, self.should_stop = sorted(cuts), on_progress, should_stop
        self.notes: list[str] = []
        self.mended, self.last = 0, MISSING

    def run(self, scratch: Path, wanted: Sequence[tuple[int, int]], change: Change) -> Rewritten:
        line = timeline(self.facts)
        ranges = plan(self.facts, wanted, self.cuts) if self.splice else at_cuts(0, self.frames, self.cuts)
        about = encoding(self.facts, splice=self.splice, reorder=line.reorder, preset=PRESET)
        with TemporaryDirectory(prefix=".parts-", dir=scratch.parent) as folder:
            files = [Path(folder) / f"{n}.part" for n in range(len(ranges))]
            way = self.encode(about, ranges, files, change)
            parts = [PartFile(file) for file in files]
            heads = [part.head for part in parts]
            if not self.splice:
                times = np.array([t for head in heads for t in head["times"]], np.int64)
                line = timeline(self.facts, times, line.reorder)
            elif any(
                not np.array_equal(line.times[first:end], head["times"])
                for (first, end), head in zip(ranges, heads, strict=True)
            ):
                raise UnprovenError("frames are not where the packets say")
            self.notes += join(
                self.clip, scratch, self.facts, line, way, parts,
                splice=self.splice, should_stop=self.should_stop,
            )  # fmt: skip
            around = ranges if self.splice else None
            prove(self.clip, scratch, self.facts, line, around, should_stop=self.should_stop)
        encoded = sum(end - first for first, end in ranges)
        return Rewritten(self.frames, encoded, self.frames - encoded, tuple(self.notes))

    def encode(
        self,
        about: dict[str, Any],
        ranges: list[tuple[int, int]],
        files: list[Path],
        change: Change,
    ) -> dict[str, Any]:
        kept = [self.kept(n, *part, file) for (n, part), file in zip(enumerate(ranges), files, strict=True)]
        runs = self.runs(ranges, kept)
        total, done = sum(end - first for first, end in ranges), 0
        with (
            Decoder(self.clip, self.facts, [run.span for run in runs] or [Span()]) as decoder,
            Encoder(self.facts, about, should_stop=self.should_stop) as encoder,
        ):
            for run in runs:
                frames = self.changed(decoder.span(), run, change)
                for number in run.parts:
                    first, end = ranges[number]
                    if kept[number]:
                        done += end - first
                        continue
                    part = self.told(self.between(frames, first, end), done, total)
                    count = encoder.part(part, files[number], first)
                    if count != end - first:
                        raise Permanent(
                            f"{count} of {end - first} frames are there.", code="corrupt_media", field="clip"
                        )
                    done += count
                    if self.parts is not None:
                        self.parts.put(str(number), files[number])
                if not self.splice:
                    for _ in frames:
                        raise Permanent(
                            "More frames are there than were.", code="corrupt_media", field="clip"
                        )
            if not self.splice and decoder.refused:
                self.notes.append(f"{decoder.refused} damaged packets of pictures were left out.")
        if self.mended:
            self.notes.append(f"{self.mended} frames had no usable time and follow the one before.")
        return dict(about["ways"][encoder.way])

    def kept(self, number: int, first: int, end: int, file: Path) -> bool:
        """Take over the part that an earlier try encoded, if it is this one."""
        if self.parts is None:
            return False
        with self.parts.get(str(number)) as part:
            if part is None:
                return False
            head = PartFile(part).head
            if (head["first"], len(head["times"])) != (first, end - first):
                return False
            shutil.copyfile(part, file)
        return True

    def runs(self, ranges: list[tuple[int, int]], kept: list[bool]) -> list[_Run]:
        """What to decode: of the shot around each part as much as helps to fill it, and nothing twice."""
        if not self.splice:
            return [_Run(0, self.frames, list(range(len(ranges))), Span())]
        own, flags = shown_at(self.facts.packets), self.facts.packets[:, 3]
        times, fresh = np.sort(own), np.flatnonzero(flags & FRESH)
        runs: list[_Run] = []
        for number, (first, end) in enumerate(ranges):
            if kept[number]:
                continue
            start = max(0, first - REACH, *(c for c in self.cuts if c <= first))
            stop = min(self.frames, end + REACH, *(c for c in self.cuts if c >= end))
            if runs and start < runs[-1].stop:
                run = runs.pop()
                start, stop, parts = run.start, max(stop, run.stop), [*run.parts, number]
            else:
                parts = [number]
            packet = fresh[np.searchsorted(fresh, start, side="right") - 1]
            last = int(times[stop]) if stop < self.frames else None
            runs.append(_Run(start, stop, parts, Span(int(own[packet]), int(times[start]), last)))
        return runs

    def changed(self, source: Iterator[Shown], run: _Run, change: Change) -> Iterator[_Frame]:
        """Give the frames of a run, changed, with their numbers and times."""
        times: deque[int] = deque()

        def frames() -> Iterator[Planes]:
            for shown in source:
                times.append(self.time_of(shown))
                yield shown.planes

        for number, planes in enumerate(change(frames(), run.start), run.start):
            yield number, planes, times.popleft()

    @staticmethod
    def between(frames: Iterator[_Frame], first: int, end: int) -> Iterator[tuple[Planes, int]]:
        """Take the frames of one part out of a run, and leave what follows."""
        for number, planes, time in frames:
            if number >= first:
                yield planes, time
            if number + 1 == end:
                return

    def time_of(self, shown: Shown) -> int:
        """Times only ever go on: a frame without one, or with an earlier one, comes right after the last."""
        time = shown.time
        if self.splice:
            return MISSING if time is None else time
        if time is None or time <= self.last:
            step = max(1, round(1 / (self.facts.fps * self.facts.time_base)))
            time = 0 if self.last == MISSING else self.last + step
            self.mended += 1
        self.last = time
        return time

    def told(
        self, frames: Iterator[tuple[Planes, int]], done: int, total: int
    ) -> Iterator[tuple[Planes, int]]:
        for number, frame in enumerate(frames, done + 1):
            if self.should_stop is not None and self.should_stop():
                raise Retryable("Stopped on request.", code="stopped")
            yield frame
            if self.on_progress is not None:
                self.on_progress(number / total)
