"""Decode spans of a clip with PyAV, in a process of its own, and hand on the planes as they are.

Run as a script: a JSON question on stdin; on stdout the frames, each a head of a 64-bit pts and a flag, then
its planes without padding; a head with the flag -1 ends every span. Last comes a JSON line.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Any

_MEMORY_BYTES = 6 << 30
_HEAD = struct.Struct("<qi")
_MISSING = -(1 << 63)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = json.loads(sys.stdin.readline())
    import av
    import numpy as np

    av.logging.set_level(None)
    out = sys.stdout.buffer
    reader = Reader(av, ask)
    for span in ask["spans"]:
        for picture in reader.span(*span):
            pts = time_of(picture)
            out.write(_HEAD.pack(_MISSING if pts is None else pts, int(picture.is_corrupt)))
            for plane in planes(np, picture, ask["pix_fmt"], ask["size"]):
                out.write(plane)
        out.write(_HEAD.pack(0, -1))
    out.write(json.dumps({"refused": reader.refused}).encode() + b"\n")
    out.flush()


class Reader:
    """Decodes from where decoding can start; counts the packets that the decoder refused."""

    def __init__(self, av: Any, ask: dict[str, Any]) -> None:
        self.av, self.ask, self.refused = av, ask, 0
        self.box: Any = None
        self.packets: Iterator[Any] = iter(())
        self.ahead: list[Any] = []

    def span(self, start: int | None, first: int | None, end: int | None) -> Iterator[Any]:
        """Frames with first <= pts < end; decoding starts at the packet shown at `start` (None: go on)."""
        if start is not None or self.box is None:
            self.start(start)
        while True:
            if not self.ahead:
                packet = next(self.packets, None)
                if packet is None:
                    return
                self.ahead = self.decode(packet)
            while self.ahead:
                pts = time_of(self.ahead[0])
                if end is not None and pts is not None and pts >= end:
                    return
                picture = self.ahead.pop(0)
                if first is None or pts is None or pts >= first:
                    yield picture

    def start(self, pts: int | None) -> None:
        self.open()
        if pts is None:
            return
        for seeking in (True, False):
            if seeking:
                self.box.seek(pts, stream=self.stream)
            else:  # the index of the file is wrong: read up to there
                self.open()
            for packet in self.packets:
                if packet.is_keyframe and time_of(packet) == pts:
                    self.ahead = self.decode(packet)
                    return
        raise ValueError("the packet is not there")

    def open(self) -> None:
        if self.box is not None:
            self.box.close()
        limits = {"protocol_whitelist": "file", "format_whitelist": self.ask["containers"]}
        self.box = self.av.open(self.ask["path"], options=limits, metadata_errors="ignore")
        self.stream = self.box.streams[self.ask["stream"]]
        self.stream.codec_context.thread_type = "AUTO"
        self.stream.codec_context.thread_count = self.ask["threads"]
        for other in self.box.streams:
            if other.index != self.stream.index:
                other.discard = 48  # AVDISCARD_ALL
        self.packets = self.box.demux(self.stream)
        self.ahead = []

    def decode(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except self.av.error.FFmpegError:
            self.refused += 1
            return []


def time_of(timed: Any) -> int | None:
    """AVI has times of decoding only."""
    time: int | None = timed.dts if timed.pts is None else timed.pts
    return time


def planes(np: Any, picture: Any, pix_fmt: str, size: list[int]) -> Iterator[Any]:
    if picture.format.name != pix_fmt or [picture.width, picture.height] != size:
        picture = picture.reformat(width=size[0], height=size[1], format=pix_fmt)
    deep = 2 if picture.format.components[0].bits > 8 else 1
    for plane in picture.planes[:3]:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        yield np.ascontiguousarray(rows[:, : plane.width * deep]).data


if __name__ == "__main__":
    main()
