"""Encode frames with PyAV, in a process of its own, each part of a clip by an encoder of its own.

Run as a script: on stdin a JSON line about the clip; then for every part a JSON line with the file to write
and its frames as `decode_process` hands them on. A part's file is a JSON line about its packets, then their
bytes; a JSON line on stdout says that it is written.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

_MEMORY_BYTES = 6 << 30
_HEAD = struct.Struct("<qi")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source = sys.stdin.buffer
    about = json.loads(source.readline())
    import av
    import numpy as np

    av.logging.set_level(None)
    way = first_that_opens(av, about)
    say({"way": way})
    if way is None:
        return
    about |= about["ways"][way]
    while line := source.readline():
        part = json.loads(line)
        try:
            say(encode(av, np, about, source, part))
        except (av.error.FFmpegError, ValueError) as e:
            say({"error": getattr(e, "strerror", None) or str(e) or type(e).__name__})
            return


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def first_that_opens(av: Any, about: dict[str, Any]) -> int | None:
    """Tell which of the ways to encode these pictures there is here; the best comes first."""
    for number, way in enumerate(about["ways"]):
        try:
            open_encoder(av, about | way)
        except (av.error.FFmpegError, ValueError):
            continue
        return number
    return None


def encode(
    av: Any, np: Any, about: dict[str, Any], source: IO[bytes], part: dict[str, Any]
) -> dict[str, Any]:
    context = open_encoder(av, about)
    times: list[int] = []
    packets: list[tuple[int, bool, int]] = []
    out = Path(part["out"])
    body = out.with_suffix(".body")

    def keep(made: list[Any], file: IO[bytes]) -> None:
        for packet in made:
            packets.append((packet.pts, packet.is_keyframe, packet.size))
            file.write(bytes(packet))

    try:
        with body.open("wb") as file:
            while True:
                pts, flag = _HEAD.unpack(source.read(_HEAD.size))
                if flag < 0:
                    break
                picture = av.VideoFrame(*about["size"], about["pix_fmt"])
                for plane in picture.planes:
                    fill(np, plane, source, about["deep"])
                if about["encoder_fmt"] != about["pix_fmt"]:
                    picture = picture.reformat(format=about["encoder_fmt"])
                picture.pts, picture.time_base = len(times), context.time_base
                times.append(pts)
                keep(context.encode(picture), file)
            if times:
                keep(context.encode(None), file)
        if [n for n, _, _ in sorted(packets)] != list(range(len(times))):
            raise ValueError("the encoder did not give one packet for each frame")
        extradata = (context.extradata or b"").hex()
        head = {"extradata": extradata, "times": times, "packets": packets, "first": part["first"]}
        with out.open("wb") as file, body.open("rb") as kept:
            file.write(json.dumps(head).encode() + b"\n")
            while block := kept.read(1 << 20):
                file.write(block)
    finally:
        body.unlink(missing_ok=True)
    return {"frames": len(times)}


def open_encoder(av: Any, about: dict[str, Any]) -> Any:
    context = av.CodecContext.create(about["encoder"], "w")
    context.width, context.height = about["size"]
    context.pix_fmt = about["encoder_fmt"]
    rate = Fraction(*about["rate"])
    context.framerate, context.time_base = rate, 1 / rate
    context.thread_count = about["threads"]
    primaries, transfer, matrix, extent = about["colours"]
    context.color_primaries, context.color_trc = primaries, transfer
    context.colorspace, context.color_range = matrix, extent
    if about["global_header"]:
        context.flags |= 1 << 22
    if about["interlaced"]:
        context.flags |= 1 << 18 | 1 << 29
    if "qscale" in about:
        context.flags |= 1 << 1
        context.global_quality = about["qscale"]
    context.options = {"aspect": about["aspect"], **about["options"]}
    context.open()
    return context


def fill(np: Any, plane: Any, source: IO[bytes], deep: int) -> None:
    """Read a plane, whose rows in memory are longer than the picture is wide."""
    width, height = plane.width * deep, plane.height
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
    if plane.line_size == width:
        block = rows.reshape(-1).data
        source.readinto(block)  # type: ignore[attr-defined]  # a buffered reader: all of it
        return
    rows[:] = np.frombuffer(source.read(width * height), np.uint8).reshape(height, width)


if __name__ == "__main__":
    main()
