"""Frames of a clip exactly as decoded, and back into packets, through child processes that run beside us."""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from core.errors import Permanent
from media.burnt_text import Planes
from media.children import Child, Stop
from media.ffmpeg import CONTAINERS
from media.ingest import FRESH, MISSING, Facts, shown_at
from media.spans import can_splice

_HEAD = struct.Struct("<qi")
_AHEAD_BYTES = 24 << 20
_SHARES = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1), "410": (4, 4)}


class Shown(NamedTuple):
    """A frame with its time in ticks of the stream (None: it has none), and whether it was mended."""

    planes: Planes
    time: int | None
    damaged: bool


@dataclass(frozen=True)
class Span:
    """Frames with first <= time < end; decoding starts at the packet shown at `start` (None: go on)."""

    start: int | None = None
    first: int | None = None
    end: int | None = None


def shapes(facts: Facts) -> list[tuple[int, int]]:
    """Rows and columns of the three planes."""
    digits = facts.planes.removeprefix("yuv").removeprefix("j")[:3]
    across, down = _SHARES[digits]
    small = (-(-facts.height // down), -(-facts.width // across))
    return [(facts.height, facts.width), small, small]


def frame_bytes(facts: Facts) -> int:
    return sum(h * w for h, w in shapes(facts)) * (2 if facts.deep else 1)


class Decoder:
    """Decodes spans of a clip in a child, some frames ahead of who takes them."""

    def __init__(
        self, clip: Path, facts: Facts, spans: Sequence[Span] = (Span(),), *, threads: int = 2
    ) -> None:
        self._facts, self._shapes = facts, shapes(facts)
        self._type = np.dtype("<u2" if facts.deep else "u1")
        self._child = Child("decode_process", "clip")
        self._ahead: queue.Queue[Shown | BaseException | None] = queue.Queue(
            max(2, min(16, _AHEAD_BYTES // frame_bytes(facts)))
        )
        self.refused = 0
        """Packets that could not be decoded; known after the last span."""
        self._child.tell(
            {
                "path": str(clip.resolve()), "containers": CONTAINERS, "stream": facts.stream,
                "pix_fmt": facts.planes, "size": [facts.width, facts.height], "threads": threads,
                "spans": [[s.start, s.first, s.end] for s in spans],
            }
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, args=(len(spans),), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        while self._thread.is_alive():  # it may wait for room
            with suppress(queue.Empty):
                self._ahead.get(timeout=0.05)
        self._child.__exit__(kind, error, trace)

    def span(self) -> Iterator[Shown]:
        """Give the frames of the next span."""
        while (got := self._ahead.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got

    def _read(self, spans: int) -> None:
        head = memoryview(bytearray(_HEAD.size))
        try:
            for left in range(spans - 1, -1, -1):
                while True:
                    self._child.fill(head)
                    time, flag = _HEAD.unpack(head)
                    if flag < 0:
                        break
                    planes = tuple(np.empty(shape, self._type) for shape in self._shapes)
                    for plane in planes:
                        self._child.fill(plane.data.cast("B"))
                    self._ahead.put(Shown(planes, None if time == MISSING else time, bool(flag)))  # type: ignore[arg-type]
                if not left:
                    self.refused = self._child.answer()["refused"]
                self._ahead.put(None)
        except Exception as e:  # noqa: BLE001 - raised again where the frames are taken
            self._ahead.put(e)


def read_frames(clip: Path, facts: Facts) -> Iterator[Planes]:
    """Give all frames of a clip, as decoded."""
    with Decoder(clip, facts) as decoder:
        for shown in decoder.span():
            yield shown.planes


def pick_frames(clip: Path, facts: Facts, numbers: Iterable[int]) -> Iterator[tuple[int, Planes]]:
    """Give single frames by their numbers, from the first to the last; decodes no more than it has to."""
    wanted = sorted(set(numbers))
    own, flags = shown_at(facts.packets), facts.packets[:, 3]
    starts = np.flatnonzero(flags & FRESH)
    runs: list[list[int]] = []
    spans: list[Span] = []
    if can_splice(facts, facts.frames):
        times = np.sort(own)
        for start, group in groupby(
            wanted, key=lambda n: int(starts[np.searchsorted(starts, n, "right") - 1])
        ):
            run = list(group)
            if run[-1] < len(times):
                end = int(times[run[-1] + 1]) if run[-1] + 1 < len(times) else None
                spans.append(Span(int(own[start]), int(times[run[0]]), end))
                runs.append(run)
    elif wanted:
        spans, runs = [Span()], [wanted]
    with Decoder(clip, facts, spans) as decoder:
        for span, run in zip(spans, runs, strict=True):
            first, left = run[0] if span.start is not None else 0, set(run)
            for number, shown in enumerate(decoder.span(), first):
                if number in left:
                    yield number, shown.planes
                if span.start is None and number >= run[-1]:
                    return


class Encoder:
    """Encodes parts of a clip in a child, each by an encoder of its own, behind who gives the frames."""

    def __init__(self, facts: Facts, about: dict[str, Any], *, should_stop: Stop = None) -> None:
        self._child = Child("encode_process", "clip")
        self._should_stop = should_stop
        self._child.tell(about)
        way = self._child.answer(timeout=60)["way"]
        if way is None:
            self._child.kill()
            raise Permanent(
                f"There is no encoder for {facts.codec} pictures of {facts.pix_fmt}.",
                code="unsupported_format",
            )
        self.way: int = way
        self._room = max(2, min(8, _AHEAD_BYTES // frame_bytes(facts)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def part(self, frames: Iterator[tuple[Planes, int]], out: Path, first: int = 0) -> int:
        """Encode one part, whose first frame has a number, into a file; gives how many frames it has."""
        self._child.tell({"out": str(out.resolve()), "first": first})
        behind: queue.Queue[tuple[Planes, int] | None] = queue.Queue(self._room)
        thread = threading.Thread(target=self._write, args=(behind,), daemon=True)
        thread.start()

        def hand(frame: tuple[Planes, int] | None) -> bool:
            while thread.is_alive():
                with suppress(queue.Full):
                    behind.put(frame, timeout=0.2)
                    return True
            return False  # the child is gone, and says why

        try:
            for frame in frames:
                if not hand(frame):
                    break
            hand(None)
            answer = self._child.answer(should_stop=self._should_stop)
        except BaseException:
            self._child.kill()  # which ends the thread too, unless it waits for a frame
            with suppress(queue.Full):
                behind.put_nowait(None)
            raise
        if "error" in answer:
            raise Permanent(f"The clip cannot be encoded: {answer['error']}.", code="ffmpeg_failed")
        return int(answer["frames"])

    def _write(self, behind: queue.Queue[tuple[Planes, int] | None]) -> None:
        with suppress(OSError, ValueError):
            while (frame := behind.get()) is not None:
                planes, time = frame
                self._child.write(memoryview(_HEAD.pack(time, 0)))
                for plane in planes:
                    self._child.write(np.ascontiguousarray(plane).data.cast("B"))
            self._child.write(memoryview(_HEAD.pack(0, -1)))
