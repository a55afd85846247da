"""Look at a clip before its text is removed: what must be kept of it, and what cannot be done here.

Taken are mp4 (m4v, 3gp), mov, mkv, webm and avi. Refused: anything encrypted, transparent or of another kind,
a long side over 4096 or a short one under 32 pixels, more than three hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Permanent, PipelineError
from media.children import Child, Stop
from media.ffmpeg import CONTAINERS
from media.probe import probe, refusal

SIDE_MAX, SIDE_MIN = 4096, 32
SECONDS_MAX = 3 * 3600
MISSING = -(1 << 63)
FRESH, DISCARDED, DAMAGED = 1, 2, 4
_CUT_OFF = 0.9
_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "3gp": ".3gp", "matroska": ".mkv", "webm": ".webm", "avi": ".avi"}
_NAMES = "mp4, mov, mkv, webm or avi"


@dataclass(frozen=True, eq=False)
class Facts:
    """What a clip is. Width and height are as coded: neither turned nor stretched."""

    format: str
    """The name of its container as PyAV writes it."""
    stream: int
    codec: str
    tag: str
    profile: str
    level: int
    extradata: bytes = field(repr=False)
    width: int
    height: int
    pix_fmt: str
    planes: str
    """The pixel format in which frames are handed on: `pix_fmt` itself, or the nearest planar one."""
    fps: float
    duration: float
    rotation: int
    aspect: Fraction
    interlaced: bool
    time_base: Fraction
    colours: tuple[int, int, int, int]
    """Primaries, transfer, matrix (H.273) and range (1 limited, 2 full; 0 says nothing)."""
    light: dict[str, str]
    """Of an HDR clip: `display` it was made on and brightest `light`, in the words of x264 and x265."""
    copies: bool
    """Whether it is known from which packets decoding starts afresh, so that spans can be copied."""
    sounds: int
    digests: tuple[str, ...]
    """One for each stream of sound or subtitles: of its packets and their times."""
    brand: str
    packets: NDArray[np.int64] = field(repr=False)
    """pts, dts, duration and flags (FRESH ...) of every packet of the picture, in the order of decoding."""
    notes: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return _SUFFIXES[self.format]

    @property
    def frames(self) -> int:
        """How many pictures are shown, if all can be decoded; what an edit list hides does not count."""
        return int((self.packets[:, 3] & DISCARDED == 0).sum())

    @property
    def by_packet(self) -> bool:
        """Whether durations belong to packets, as they are decoded, and not to frames, as they are shown."""
        return self.format in {"mp4", "mov", "3gp"}

    @property
    def deep(self) -> bool:
        return self.planes.endswith("10le")


def inspect(clip: Path, *, timeout: float = 120, should_stop: Stop = None) -> Facts:
    """Look into a clip. Permanent says why it cannot be cleaned here; nothing is decoded but one frame."""
    if not clip.exists() or not clip.stat().st_size:
        raise Permanent("The file is empty.", code="not_media")
    with Child("index_process", "clip") as child:
        child.tell({"path": str(clip.resolve()), "containers": CONTAINERS})
        try:
            raw = child.answer(timeout=timeout, should_stop=should_stop)
        except Permanent as e:
            raise refusal("it crashed the reader", clip) from e
        packets = np.frombuffer(child.rest(), np.int64).reshape(-1, 4)
    if "error" in raw or raw["video"] is None:
        _refuse_other_kinds(clip)
        raise refusal(raw.get("error", "no picture in it"), clip)
    stream = raw["streams"][raw["video"]]
    container = _container(raw, clip)
    if (
        container == "avi"
    ):  # it has times of decoding only; what is made up from them differs between decoders
        packets = packets[:, [1, 1, 2, 3]]
    _refuse(raw, stream, container)
    if "picture" not in raw:
        raise Permanent("None of its pictures can be decoded.", code="corrupt_media")
    return _facts(raw, stream, str(container), packets)


def _refuse_other_kinds(clip: Path) -> None:
    try:
        kind = probe(clip).kind
    except PipelineError:
        return
    if kind != "clip":
        name = {"audio": "sound", "image": "picture"}[kind]
        raise Permanent(f"Text can only be removed from a clip; this is a {name}.", code="wrong_kind")


def _container(raw: dict[str, Any], clip: Path) -> str | None:
    names = raw["format"].split(",")
    if "mov" in names:
        brand = raw["brand"]
        return "mov" if brand in {"qt", ""} else "3gp" if brand.startswith("3g") else "mp4"
    if "matroska" in names:
        with clip.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska"
    return "avi" if names == ["avi"] else None


def _refuse(raw: dict[str, Any], stream: dict[str, Any], container: str | None) -> None:
    if any(s["encrypted"] for s in raw["streams"]):
        raise Permanent("The file is encrypted (DRM): send it without protection.", code="encrypted")
    if container is None:
        name = "an animated GIF" if raw["format"] == "gif" else raw["format"].split(",")[0]
        raise Permanent(f"This is {name}: send {_NAMES}.", code="unsupported_format")
    if stream["codec"] is None:
        raise Permanent("There is no decoder for its pictures.", code="unsupported_format")
    picture = raw.get("picture", {})
    width, height = (picture.get(side) or stream[side] for side in ("width", "height"))
    if max(width, height) > SIDE_MAX:
        raise Permanent(
            f"It is {width}x{height}: text is removed up to {SIDE_MAX} pixels on the long side.",
            code="too_large",
        )
    if min(width, height) < SIDE_MIN:
        raise Permanent(
            f"It is {width}x{height}: a clip has at least {SIDE_MIN} pixels on its short side.",
            code="too_small",
        )
    if picture.get("alpha") or stream["metadata"].get("alpha_mode") == "1":
        raise Permanent("It has transparency, which would be lost.", code="unsupported_format")


def _facts(raw: dict[str, Any], stream: dict[str, Any], container: str, packets: NDArray[np.int64]) -> Facts:
    picture, base = raw["picture"], Fraction(*stream["time_base"])
    times = shown_at(packets)
    known = times[times != MISSING]
    seconds = float((known.max() - known.min()) * base) if len(known) else 0.0
    if len(known):
        seconds += float(int(packets[int(times.argmax()), 2]) * base)
    if max(seconds, stream["duration"]) > SECONDS_MAX:
        raise Permanent(
            f"It is {max(seconds, stream['duration']) / 3600:.1f} hours long: text is removed from up to "
            f"{SECONDS_MAX // 3600} hours at once.",
            code="too_long",
        )
    if stream["duration"] > 0.5 and seconds < stream["duration"] * _CUT_OFF:
        raise Permanent(
            f"The file is cut off: {seconds:.1f} of {stream['duration']:.1f} seconds are there.",
            code="corrupt_media",
        )
    notes = []
    if picture["planes"] != picture["pix_fmt"]:
        notes.append(f"Its pictures are {picture['pix_fmt']} and are worked on as {picture['planes']}.")
    fps = stream["fps"] or (len(packets) / seconds if seconds else 25.0)
    return Facts(
        container, raw["video"], stream["codec"], stream["tag"], stream["profile"] or "",
        stream["level"], bytes.fromhex(stream["extradata"]),
        picture["width"], picture["height"], picture["pix_fmt"], picture["planes"],
        fps, seconds, picture["rotation"], Fraction(stream["aspect"]).limit_denominator(1000),
        picture["interlaced"], base, tuple(stream["colours"]), picture["light"], raw["copies"],
        sum(s["type"] == "audio" for s in raw["streams"]),
        tuple(raw["digests"]), raw["brand"],
        packets, tuple(notes),
    )  # fmt: skip


def shown_at(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times at which packets are shown, where there are any."""
    times: NDArray[np.int64] = np.where(packets[:, 0] == MISSING, packets[:, 1], packets[:, 0])
    return times
