"""Look into media files with PyAV, in a process of its own.

Run as a script: a JSON list of paths on stdin, one JSON object per line on stdout, in order. PyAV's
libraries carry GPL codecs and meet strangers' bytes, so they stay out of our processes, under limits
of memory and time.
"""

from __future__ import annotations

import itertools
import json
import math
import resource
import sys
from fractions import Fraction
from typing import Any

_MEMORY_BYTES = 4 << 30
_PACKETS_MAX = 200_000
_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = json.load(sys.stdin)
    import av

    av.logging.set_level(None)
    for path in ask["paths"]:
        try:
            answer = look(av, path, ask["containers"], decode=ask["decode"])
        except (av.error.FFmpegError, OSError, ValueError, MemoryError, EOFError) as e:
            answer = {"error": getattr(e, "strerror", None) or type(e).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def look(av: Any, path: str, containers: str, *, decode: bool) -> dict[str, Any]:
    """Read headers, all packet times and, to `decode`, one picture or sound block of a file."""
    limits = {"protocol_whitelist": "file", "format_whitelist": containers}
    with av.open(path, options=limits, metadata_errors="ignore") as box:
        videos = [s for s in box.streams.video if not s.disposition & _COVER]
        video, audio = (videos or [None])[0], (list(box.streams.audio) or [None])[0]
        if video is None and audio is None:
            return {"error": "no picture and no sound in it"}
        answer: dict[str, Any] = {
            "container": box.format.name,
            "duration": box.duration / 1_000_000 if box.duration else 0.0,
            "bitrate": box.bit_rate or 0,
            "video": describe_video(video) if video else None,
            "audio": describe_audio(audio) if audio else None,
        }
        answer.update(count(box, video or audio))
        index = (video or audio).index
    if not decode:
        return answer
    with av.open(path, options=limits, metadata_errors="ignore") as box:  # raw streams cannot seek back
        first = next(iter(box.decode(box.streams[index])), None)
        if first is None:
            return {"error": "nothing in it can be decoded"}
        if answer["video"]:
            answer["video"]["rotation"] = int(getattr(first, "rotation", 0) or 0)
    return answer


def describe_video(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
    return {
        "codec": context.name,
        "width": context.width,
        "height": context.height,
        "aspect": as_float(aspect) or 1.0,
        "average_rate": as_float(stream.average_rate),
        "base_rate": as_float(stream.base_rate),
        "frames": stream.frames or 0,
        "duration": as_float(stream.duration * stream.time_base) if stream.duration else 0.0,
        "pix_fmt": context.pix_fmt,
        "transfer": int(context.color_trc or 0),
        "rotation": 0,
    }


def describe_audio(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "codec": context.name,
        "channels": context.channels,
        "sample_rate": context.sample_rate,
        "duration": as_float(stream.duration * stream.time_base) if stream.duration else 0.0,
    }


def count(box: Any, stream: Any) -> dict[str, Any]:
    """Count packets and measure their spacing: headers lie about frames, rate and length."""
    times: list[float] = []
    packets, end = 0, 0.0
    for packet in box.demux(stream):
        if packet.size == 0:
            continue
        packets += 1
        if packet.pts is not None and packet.time_base:
            at = float(packet.pts * packet.time_base)
            end = max(end, at + float((packet.duration or 0) * packet.time_base))
            times.append(at)
        if packets >= _PACKETS_MAX:
            return {"packets": packets, "end": 0.0, "gap_median": 0.0, "uneven": False, "first": 0.0}
    times.sort()
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    median = gaps[len(gaps) // 2] if gaps else 0.0
    uneven = sum(abs(g - median) > 0.25 * median for g in gaps) > 0.02 * len(gaps) + 1
    first = times[0] if times else 0.0
    return {"packets": packets, "end": end, "gap_median": median, "uneven": uneven, "first": first}


def as_float(value: Fraction | float | None) -> float:
    """Turn a ratio into a number; 0/0 and NaN are 0."""
    try:
        number = float(value or 0)
    except (ZeroDivisionError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


if __name__ == "__main__":
    main()
