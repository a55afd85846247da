"""Write a clip again with PyAV, in a process of its own: new parts of the picture, everything else as it was.

Run as a script: on stdin a JSON line, then three rows of 64-bit numbers: times and durations of the frames in
the order shown, and times of decoding. A JSON line on stdout says what could not be carried over.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from array import array
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

_MEMORY_BYTES = 4 << 30
_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_START_CODE = re.compile(rb"\x00\x00\x01")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = json.loads(sys.stdin.buffer.readline())
    rows = array("q", sys.stdin.buffer.read())
    count = len(rows) // 3
    times, durations, decoding = rows[:count], rows[count : 2 * count], rows[2 * count :]
    import av

    av.logging.set_level(None)
    for data in (True, False):  # few containers take streams of data
        try:
            answer = join(av, {**ask, "data": data}, times, durations, decoding)
            break
        except (av.error.FFmpegError, OSError, ValueError) as e:
            answer = {"error": getattr(e, "strerror", None) or str(e) or type(e).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")


def join(
    av: Any, ask: dict[str, Any], times: array[int], durations: array[int], decoding: array[int]
) -> dict[str, Any]:
    limits = {"protocol_whitelist": "file", "format_whitelist": ask["containers"]}
    parts = [Part(**part) for part in ask["parts"]]
    with (
        ExitStack() as shown,
        av.open(ask["path"], options=limits, metadata_errors="ignore") as box,
        av.open(ask["out"], "w", format=ask["format"], options=ask["options"]) as out,
    ):
        notes: list[str] = []
        if ask["model"]:
            ask["model"] = shown.enter_context(av.open(ask["model"], format="h264")).streams.video[0]
        video = box.streams[ask["stream"]]
        streams = lay_streams(av, box, out, video, ask, notes)
        out.metadata.update(box.metadata)
        if box.chapters():
            out.set_chapters(box.chapters())
        out.start_encoding()

        def pictures() -> Generator[Any, Any, None]:
            """Take a packet of the source at each turn, give the one that stands in its place."""
            number, turn = 0, iter(parts)
            packet = yield None
            for part in turn:
                while number < part.first:
                    packet.dts = decoding[number]
                    packet.stream = streams[video.index]
                    number += 1
                    packet = yield packet
                for frame, fresh, data in part.packets(ask["lengths"]):
                    made = av.Packet(data)
                    made.stream, made.time_base = streams[video.index], video.time_base
                    made.pts, made.dts = times[part.first + frame], decoding[number]
                    made.is_keyframe = fresh
                    made.duration = durations[number if ask["by_packet"] else part.first + frame]
                    number += 1
                    packet = yield made
            while packet is not None and not ask["whole"]:
                packet.dts = decoding[number]
                packet.stream = streams[video.index]
                number += 1
                packet = yield packet

        place = pictures()
        next(place)
        for packet in box.demux([s for s in box.streams if s.index in streams]):
            if not packet.size:
                continue
            if packet.stream_index == video.index:
                try:
                    out.mux(place.send(packet))
                except StopIteration:  # more packets than frames
                    continue
            else:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
        while ask["whole"]:
            try:
                out.mux(place.send(None))
            except StopIteration:
                break
        return {"notes": notes}


def first_packets(av: Any, ask: dict[str, Any]) -> Iterator[Any]:
    """Give the covers of a clip, which come before everything else."""
    limits = {"protocol_whitelist": "file", "format_whitelist": ask["containers"]}
    with av.open(ask["path"], options=limits, metadata_errors="ignore") as box:
        covers = [s for s in box.streams.video if s.disposition & _COVER]
        if covers:
            yield from islice((p for p in box.demux(covers) if p.size), len(covers))


def lay_streams(
    av: Any, box: Any, out: Any, video: Any, ask: dict[str, Any], notes: list[str]
) -> dict[int, Any]:
    """Make the streams of the new file in the order of the old one."""
    covers = {p.stream_index: bytes(p) for p in first_packets(av, ask) if ask["format"] == "matroska"}
    streams: dict[int, Any] = {}
    for old in box.streams:
        if old.type == "data":
            anew = "timecode" in old.metadata or bool(
                box.chapters()
            )  # MP4 has them as streams: made by the muxer
            if anew or not ask["data"]:
                if not anew:
                    notes.append(f"Stream {old.index} (data) is not carried over.")
                continue
        pictures = old.index == video.index
        if old.type == "video" and ask["format"] == "matroska" and old.disposition & _COVER:
            name, kind = (old.metadata.get(key, "") for key in ("filename", "mimetype"))
            out.add_attachment(name or "cover", kind or "image/jpeg", covers[old.index])
            continue
        try:
            new = out.add_stream_from_template(
                ask["model"] if pictures and ask["model"] else old, opaque=True
            )
        except ValueError:
            notes.append(f"Stream {old.index} ({old.type}) is not carried over.")
            continue
        context = new.codec_context
        if context is not None:
            if old.type == "video" and old.average_rate:
                context.framerate = old.average_rate
            if ask["tags"] and not (pictures and ask["model"]):
                context.codec_tag = old.codec_context.codec_tag
        if pictures:
            new.time_base = old.time_base
            context.pix_fmt = ask["pix_fmt"]
            if ask["model"] and ask["rotation"]:
                new.set_display_rotation(ask["rotation"])
            elif ask["extradata"] is not None:
                context.extradata = bytes.fromhex(ask["extradata"]) or None
        new.metadata.update(old.metadata)
        new.disposition = old.disposition
        if old.id and ask["format"] in {"mp4", "mov"}:
            new.id = old.id
        streams[old.index] = new
    return streams


class Part:
    def __init__(self, path: str, first: int) -> None:
        self.path, self.first = Path(path), first
        with self.path.open("rb") as file:
            self.head = json.loads(file.readline())
            self.body = file.tell()

    def packets(self, lengths: int) -> Iterator[tuple[int, bool, bytes]]:
        with self.path.open("rb") as file:
            file.seek(self.body)
            for frame, fresh, size in self.head["packets"]:
                data = file.read(size)
                yield frame, fresh, with_lengths(data, lengths) if lengths else data


def with_lengths(data: bytes, width: int) -> bytes:
    """Put the length before each NAL unit instead of a start code (ISO/IEC 14496-15)."""
    units = (unit.rstrip(b"\x00") for unit in _START_CODE.split(data)[1:])
    return b"".join(len(unit).to_bytes(width, "big") + unit for unit in units)


if __name__ == "__main__":
    main()
