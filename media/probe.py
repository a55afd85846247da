"""Find out what a media file really is; its name and its headers are claims, not facts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import Permanent, PipelineError, Retryable
from media.ffmpeg import CONTAINERS, kill_group
from media.images import FORMATS, read_header
from media.leash import leashed

_SCRIPT = Path(__file__).with_name("probe_process.py")
_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}  # ITU-T H.273: PQ and HLG
_TRUNCATED = 0.9  # a file whose packets end before this share of its declared length is cut off
_MOVING_IMAGES = {"GIF", "WEBP", "AVIF"}


@dataclass(frozen=True)
class Probe:
    """What a file is. Width and height are as displayed: upright, with square pixels."""

    kind: Literal["image", "clip", "audio"]
    container: str
    duration: float = 0.0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    vfr: bool = False
    rotation: int = 0
    frames: int = 0
    video_codec: str | None = None
    pix_fmt: str | None = None
    transfer: str | None = None
    audio_codec: str | None = None
    channels: int = 0
    sample_rate: int = 0
    bitrate: int = 0
    audio_duration: float = 0.0

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None


def probe(path: Path, *, timeout: float = 30) -> Probe:
    """Probe one file. Permanent `not_media` says what it is instead, `corrupt_media` that it is cut off."""
    answer = probe_many([path], timeout=timeout)[0]
    if isinstance(answer, PipelineError):
        raise answer
    return answer


def probe_many(paths: list[Path], *, timeout: float = 60, decode: bool = True) -> list[Probe | PipelineError]:
    """Probe several files with one child process; a bad file's error stands in its place.

    Without `decode` nothing of them is decoded, which is enough for what was made here a moment ago; then
    no clip is turned.
    """
    answers: dict[int, Probe | PipelineError] = {}
    rest: list[int] = []
    for i, path in enumerate(paths):
        try:
            found = _probe_image(path)
        except PipelineError as e:
            answers[i] = e
            continue
        if found is None:
            rest.append(i)
        else:
            answers[i] = found
    raw = _ask([paths[i] for i in rest], timeout, decode) if rest else []
    for i, answer in zip(rest, raw, strict=True):
        try:
            answers[i] = _read(answer, paths[i])
        except PipelineError as e:
            answers[i] = e
    return [answers[i] for i in range(len(paths))]


def _probe_image(path: Path) -> Probe | None:
    """Read a still picture's header; None for everything that is not one."""
    try:
        head = path.open("rb").read(64)
    except OSError as e:
        raise Permanent("The file is gone or cannot be read.", code="not_media") from e
    if not head:
        raise Permanent("The file is empty.", code="not_media")
    try:
        picture = read_header(path)
    except Permanent as e:
        if e.code == "not_media":
            return None
        raise
    with picture:
        if (
            picture.format in _MOVING_IMAGES
            and getattr(picture, "n_frames", 1) > 1
            and picture.format == "GIF"
        ):
            return None
        width, height = picture.size
        turned = picture.getexif().get(0x0112, 1)
        if turned in (5, 6, 7, 8):
            width, height = height, width
        rotation = {3: 180, 6: 270, 8: 90}.get(turned, 0)
        name = (picture.format or FORMATS[0]).lower()
        return Probe(
            "image", name, width=width, height=height, rotation=rotation, frames=1, pix_fmt=picture.mode
        )


def _ask(paths: list[Path], timeout: float, decode: bool) -> list[dict[str, Any]]:
    names = [str(p.resolve()) for p in paths]
    question = json.dumps({"paths": names, "containers": CONTAINERS, "decode": decode})
    child = subprocess.Popen(
        leashed([sys.executable, "-I", str(_SCRIPT)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    with child:
        try:
            output, _ = child.communicate(question, timeout=timeout)
        except BaseException as e:
            kill_group(child)  # type: ignore[arg-type]  # it only looks at the pid
            if isinstance(e, subprocess.TimeoutExpired):
                raise Retryable("Looking into the file took too long.", code="timeout") from e
            raise
    answers = [json.loads(line) for line in output.splitlines()]
    # A crash answers nothing for the file it died on and those after it.
    if len(answers) < len(paths):
        answers.append({"error": "it crashed the reader"})
        if len(answers) < len(paths):
            answers += _ask(paths[len(answers) :], timeout, decode)
    return answers


def _read(raw: dict[str, Any], path: Path) -> Probe:
    if "error" in raw:
        raise refusal(raw["error"], path)
    video, audio = raw["video"], raw["audio"]
    declared = (video or audio)["duration"] or raw["duration"]
    length = raw["end"] - min(raw["first"], raw["end"]) if raw["end"] else declared
    if (
        declared > 0.5
        and raw["end"]
        and raw["end"] < declared * _TRUNCATED
        and length < declared * _TRUNCATED
    ):
        raise Permanent(
            f"The file is cut off: {length:.1f} of {declared:.1f} seconds are there.", code="corrupt_media"
        )
    sound: dict[str, Any] = {
        "audio_codec": audio["codec"] if audio else None,
        "channels": audio["channels"] if audio else 0,
        "sample_rate": audio["sample_rate"] if audio else 0,
        "audio_duration": (audio["duration"] or length) if audio else 0.0,
    }
    container = raw["container"].split(",")[0]
    if video is None:
        return Probe("audio", container, duration=length or declared, bitrate=raw["bitrate"], **sound)
    width, height = max(1, round(video["width"] * video["aspect"])), video["height"]
    rotation = video["rotation"] % 360
    if rotation in (90, 270):
        width, height = height, width
    return Probe(
        "clip",
        container,
        duration=length or declared,
        width=width,
        height=height,
        fps=_fps(video, raw),
        vfr=raw["uneven"],
        rotation=rotation,
        frames=raw["packets"],
        video_codec=video["codec"],
        pix_fmt=video["pix_fmt"],
        transfer=_TRANSFERS.get(video["transfer"]),
        bitrate=raw["bitrate"],
        **sound,
    )


def _fps(video: dict[str, Any], raw: dict[str, Any]) -> float:
    """Prefer the declared average; a missing or absurd one is measured from the packets."""
    declared = video["average_rate"] or video["base_rate"]
    if 0 < declared <= 1000:
        return float(declared)
    return 1 / raw["gap_median"] if raw["gap_median"] > 0 else 0.0


def refusal(reason: str, path: Path) -> Permanent:
    kind = _sniff(path)
    if kind:
        return Permanent(f"The file is not a picture, clip or sound: it is {kind}.", code="not_media")
    return Permanent(f"The file is damaged, cut off or of an unknown kind: {reason}.", code="corrupt_media")


def _sniff(path: Path) -> str | None:
    """Say what a file is that is no media, from its first bytes."""
    with path.open("rb") as f:
        head = f.read(4096)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in start[:512]:
        return "a web page (HTML)"
    if b"<svg" in start[:1024]:
        return "an SVG drawing"
    signs = {
        b"%pdf": "a PDF",
        b"pk\x03\x04": "a ZIP archive",
        b"\x1f\x8b": "a gzip archive",
        b"{": "JSON",
        b"[": "JSON",
        b"<?xml": "XML",
        b"#extm3u": "a playlist",
        b"ffconcat": "a playlist",
        b"\x7felf": "a program",
        b"mz": "a program",
    }
    for sign, kind in signs.items():
        if start.startswith(sign):
            return kind
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "text" if text.isprintable() or ("\n" in text and "\0" not in text) else None
