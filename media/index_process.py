"""List a clip's streams and the packets of its picture with PyAV, in a process of its own.

Run as a script: a JSON question on stdin; on stdout a JSON line, then the packets of the video stream in the
order of decoding, each as four 64-bit numbers (pts, dts, duration, flags), in ticks of the stream.
"""

from __future__ import annotations

import hashlib
import json
import resource
import struct
import sys
from array import array
from typing import Any

_MEMORY_BYTES = 4 << 30
_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_MISSING = -(1 << 63)  # AV_NOPTS_VALUE
_FRESH, _DISCARDED, _DAMAGED = 1, 2, 4
_EVERY_FRAME_WHOLE = {
    "mjpeg", "prores", "dnxhd", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "v210", "png", "jpeg2000",
}  # fmt: skip
_TAKEN = {f"yuv{of}p{deep}" for of in (420, 422, 444, 440) for deep in ("", "10le")}
_TAKEN |= {"yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuv411p", "yuv410p"}
_KEYS_START_AFRESH = {"vp8", "vp9"}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask = json.loads(sys.stdin.readline())
    import av

    av.logging.set_level(None)
    packets = array("q")
    try:
        answer = look(av, ask["path"], ask["containers"], packets)
    except (av.error.FFmpegError, OSError, ValueError, MemoryError, EOFError) as e:
        answer = {"error": getattr(e, "strerror", None) or type(e).__name__}
    answer["packets"] = len(packets) // 4
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    packets.tofile(sys.stdout.buffer)


def look(av: Any, path: str, containers: str, packets: array[int]) -> dict[str, Any]:
    limits = {"protocol_whitelist": "file", "format_whitelist": containers}
    with av.open(path, options=limits, metadata_errors="ignore") as box:
        videos = [s for s in box.streams.video if not s.disposition & _COVER]
        answer: dict[str, Any] = {
            "format": box.format.name,
            "brand": box.metadata.get("major_brand", "").strip(),
            "streams": [describe(s) for s in box.streams],
            "covers": len(box.streams.video) - len(videos),
            "video": videos[0].index if videos else None,
        }
        if (
            not videos
            or any(s["encrypted"] for s in answer["streams"])
            or answer["streams"][videos[0].index].get("codec") is None
        ):
            return answer
        video = videos[0]
        starts_afresh = how_to_tell(video.codec_context)
        answer["copies"] = starts_afresh is not None
        first = None
        others = [s for s in box.streams if s.type in {"audio", "subtitle"}]
        sums = {s.index: hashlib.sha256() for s in others}
        for packet in box.demux(video, *others):
            if not packet.size:
                continue
            if packet.stream_index != video.index:
                sums[packet.stream_index].update(f"{packet.pts}@{packet.time_base}".encode() + bytes(packet))
                continue
            if first is None and packet.has_sidedata("encryption_info"):
                answer["streams"][video.index]["encrypted"] = True
                return answer
            first = first or packet
            fresh = starts_afresh is not None and starts_afresh(packet)
            flags = _FRESH * fresh | _DISCARDED * packet.is_discard | _DAMAGED * packet.is_corrupt
            pts, dts = (_MISSING if t is None else t for t in (packet.pts, packet.dts))
            packets.extend((pts, dts, packet.duration or 0, flags))
        answer["digests"] = [own.hexdigest() for own in sums.values()]
    with av.open(path, options=limits, metadata_errors="ignore") as box:
        picture = None
        for packet in box.demux(box.streams[answer["video"]]):
            try:
                picture = next(iter(packet.decode()), None)
            except av.error.FFmpegError:
                continue
            if picture is not None:
                break
        if picture is None:
            return answer
        answer["picture"] = {
            "width": picture.width,
            "height": picture.height,
            "pix_fmt": picture.format.name,
            "rotation": int(getattr(picture, "rotation", 0) or 0) % 360,
            "interlaced": bool(picture.interlaced_frame),
            "planes": nearest(picture.format),
            "light": light_of(picture),
            "alpha": any(c.is_alpha for c in picture.format.components),
        }
    return answer


def describe(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    facts: dict[str, Any] = {
        "type": stream.type,
        "cover": bool(stream.disposition & _COVER),
        "codec": context.name if context else None,
        "tag": context.codec_tag if context else "",
        "duration": float(stream.duration * stream.time_base) if stream.duration else 0.0,
        "encrypted": context is not None and context.codec_tag in {"encv", "enca", "drmi", "drms"},
        "metadata": {k: v for k, v in stream.metadata.items() if k in {"alpha_mode", "language"}},
    }
    if stream.type == "video" and context is not None:
        facts |= {
            "width": context.width,
            "height": context.height,
            "pix_fmt": context.pix_fmt,
            "profile": context.profile,
            "level": context.level,
            "extradata": (context.extradata or b"").hex(),
            "fps": float(stream.average_rate or stream.base_rate or 0),
            "aspect": float(stream.sample_aspect_ratio or 1),
            "time_base": [stream.time_base.numerator, stream.time_base.denominator],
            "colours": [context.color_primaries, context.color_trc, context.colorspace, context.color_range],
        }
    return facts


def light_of(picture: Any) -> dict[str, str]:
    """Describe the display an HDR picture was made on, and its brightest light, in encoders' words."""
    told: dict[str, str] = {}
    for data in picture.side_data:
        name = str(data.type).rpartition(".")[2]
        if name == "MASTERING_DISPLAY_METADATA":  # AVMasteringDisplayMetadata: ten ratios, two flags
            numbers = struct.unpack("=22i", bytes(data)[:88])
            ratios = [n / d if d else 0 for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
            if numbers[20] and numbers[21]:
                rx, ry, gx, gy, bx, by, wx, wy = (round(share * 50000) for share in ratios[:8])
                least, most = (round(light * 10000) for light in ratios[8:])
                colours = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})"
                told["display"] = f"{colours}L({most},{least})"
        elif name == "CONTENT_LIGHT_LEVEL":
            told["light"] = "{},{}".format(*struct.unpack("=2I", bytes(data)[:8]))
    return told


def nearest(pix_fmt: Any) -> str:
    """Name the planar YUV format of 8 or 10 bits that holds the most of a pixel format."""
    name = str(pix_fmt.name)
    if name in _TAKEN:
        return name
    parts = pix_fmt.components
    deep = "10le" if max(c.bits for c in parts) > 8 and not pix_fmt.has_palette else ""
    if len(parts) < 3 and not pix_fmt.has_palette:
        return f"yuv420p{deep}"
    coloured = pix_fmt.is_rgb or pix_fmt.has_palette
    share = (16, 16) if coloured else (pix_fmt.chroma_width(16), pix_fmt.chroma_height(16))
    return {(8, 8): "yuv420p", (8, 16): "yuv422p"}.get(share, "yuv444p") + deep


def how_to_tell(context: Any) -> Any:
    """Give the test for packets from which decoding starts afresh; None where no such packet can be told."""
    name = context.name
    if name in _EVERY_FRAME_WHOLE:
        return lambda _: True
    if name in _KEYS_START_AFRESH or name.startswith("libvpx"):
        return lambda packet: packet.is_keyframe
    head = context.extradata or b""
    if name == "h264" and len(head) > 6 and head[0] == 1:
        width = (head[4] & 3) + 1
        return lambda packet: packet.is_keyframe and holds_idr(bytes(packet), width)
    return None


def holds_idr(data: bytes, width: int) -> bool:
    """Tell an IDR from a recovery point, which containers mark as a key frame too (H.264 7.4.1.2.4)."""
    at = 0
    while at + width < len(data):
        kind = data[at + width] & 31
        if kind in (1, 5):
            return kind == 5
        at += width + int.from_bytes(data[at : at + width], "big")
    return False


if __name__ == "__main__":
    main()
