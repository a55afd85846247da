"""Decode a clip and what was made of it with PyAV, in a process of its own, and compare them.

Run as a script: a JSON question on stdin, a JSON answer on stdout. Frames outside of `parts` (first, end)
must be the same bit by bit, and all must be shown at the same times.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

_MEMORY_BYTES = 6 << 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = json.loads(sys.stdin.readline())
    import av
    import numpy as np

    av.logging.set_level(None)
    try:
        answer = compare(av, np, ask)
    except (av.error.FFmpegError, OSError, ValueError) as e:
        answer = {"error": getattr(e, "strerror", None) or type(e).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")


def compare(av: Any, np: Any, ask: dict[str, Any]) -> dict[str, Any]:
    made = Reader(av, ask, ask["out"], [])
    answer: dict[str, Any] = {"frames": 0, "times": True, "alike": 0, "different": 0}
    times = [made.ticks(t, ask["time_base"]) for t in ask["times"]]
    kept = Reader(av, ask, ask["path"], ask["parts"]) if ask["parts"] else None
    old = kept.pictures() if kept else iter(())
    anew = [range(*part) for part in ask["parts"]]
    for number, picture in enumerate(made.pictures()):
        answer["frames"] += 1
        if number >= len(times) or (not ask["by_decoding"] and time_of(picture) != times[number]):
            answer["times"] = False
        if kept and not any(number in part for part in anew):
            other = next(old, None)
            if other is not None and same(np, picture, other):
                answer["alike"] += 1
            else:
                answer["different"] += 1
    if ask["by_decoding"] and sorted(made.decoding) != times:
        answer["times"] = False
    answer["left"] = sum(1 for _ in old)
    return answer


class Reader:
    def __init__(self, av: Any, ask: dict[str, Any], path: str, skip: list[list[int]]) -> None:
        limits = {"protocol_whitelist": "file", "format_whitelist": ask["containers"]}
        self.av, self.skip = av, [range(*part) for part in skip]
        self.box = av.open(path, options=limits, metadata_errors="ignore")
        self.stream = next(s for s in self.box.streams.video if not s.disposition & 0x400)
        self.stream.codec_context.thread_type = "AUTO"
        self.stream.codec_context.thread_count = ask["threads"]

    def ticks(self, time: int, base: list[int]) -> int:
        own = self.stream.time_base
        return round(Fraction(*base) * time / Fraction(own))

    def pictures(self) -> Iterator[Any]:
        """Frames in the order shown, without those whose packets are skipped."""
        context = self.stream.codec_context
        number, skipping = 0, False
        self.decoding: list[int] = []
        for packet in self.box.demux(self.stream):
            if not packet.size:
                continue
            inside = any(number in part for part in self.skip)
            number += 1
            self.decoding.append(packet.dts)
            if inside and not skipping:
                yield from context.decode(None)
                context.flush_buffers()
            skipping = inside
            if not inside:
                yield from self.decode(packet)
        yield from context.decode(None)

    def decode(self, packet: Any) -> list[Any]:
        try:
            return list(self.stream.codec_context.decode(packet))
        except self.av.error.FFmpegError:
            return []


def time_of(picture: Any) -> Any:
    return picture.dts if picture.pts is None else picture.pts


def same(np: Any, one: Any, other: Any) -> bool:
    if one.format.name != other.format.name or (one.width, one.height) != (other.width, other.height):
        return False
    deep = 2 if one.format.components[0].bits > 8 else 1
    for a, b in zip(one.planes, other.planes, strict=True):
        x, y = (
            np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width * deep] for p in (a, b)
        )
        if not np.array_equal(x, y):
            return False
    return True


if __name__ == "__main__":
    main()
