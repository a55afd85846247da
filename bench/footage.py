"""Footage to burn text into: clips of a folder, cut to so many frames, or moving pictures made up here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import Planes
from media.ffmpeg import run

SUFFIXES = {".mp4", ".mov", ".mkv", ".avi", ".webm"}


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames in memory, 8 bits, as decoded."""

    name: str
    frames: list[Planes]
    rate: Fraction
    full_range: bool = False

    @property
    def width(self) -> int:
        return int(self.frames[0][0].shape[1])

    @property
    def height(self) -> int:
        return int(self.frames[0][0].shape[0])

    @property
    def pix_fmt(self) -> str:
        y, u, _ = self.frames[0]
        wide, high = u.shape[1] == y.shape[1], u.shape[0] == y.shape[0]
        return "yuv444p" if wide and high else "yuv422p" if high else "yuv420p"

    def with_frames(self, frames: Sequence[Planes]) -> Clip:
        return replace(self, frames=list(frames))

    def write(self, path: Path, crf: int = 18) -> Path:
        """Encode with x264, GOPs of two seconds."""
        return self.write_each(self.frames, path, crf)

    def write_each(self, frames: Iterable[Planes], path: Path, crf: int = 18) -> Path:
        """Encode other frames of the same shape, one after the other."""
        size = f"{self.width}x{self.height}"
        source = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            self.pix_fmt,
            "-s",
            size,
            "-r",
            str(self.rate),
            "-i",
            "pipe:0",
        ]
        colour = ["-color_range", "pc" if self.full_range else "tv"]
        encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", self.pix_fmt]
        gop = ["-g", str(max(1, round(2 * self.rate)))]
        blocks = (np.ascontiguousarray(plane).data for planes in frames for plane in planes)
        run([*source, *encode, *gop, *colour], out=path, frames=blocks, timeout=600)
        return path


def read(path: Path, *, first: int = 0, most: int = 10_000) -> Clip:
    """Decode at most so many frames from one on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        frames: list[Planes] = []
        full = False
        for number, frame in enumerate(container.decode(stream)):
            if number >= first + most:
                break
            if number >= first:
                frames.append(planes_of(frame))
                full = frame.format.name.startswith("yuvj") or int(frame.color_range) == 2
    return Clip(path.stem, frames, rate, full)


def planes_of(frame: av.VideoFrame) -> Planes:
    """Copy the planes of a frame; what is not 8-bit 4:2:0, 4:2:2 or 4:4:4 is made 4:2:0."""
    if frame.format.name not in {f"yuv{j}{x}p" for j in ("", "j") for x in (420, 422, 444)}:
        frame = frame.reformat(format="yuv420p")
    y, u, v = (
        np.asarray(memoryview(plane), np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width]
        .copy()
        for plane in frame.planes[:3]
    )
    return y, u, v


def upright(clip: Clip) -> Clip:
    """Cut a clip's middle to 9:16."""
    width = round(clip.height * 9 / 16) // 4 * 4
    left = (clip.width - width) // 4 * 2
    frames: list[Planes] = []
    for planes in clip.frames:
        across = clip.width // planes[1].shape[1]
        (y, u, v), cut = planes, (left // across, (left + width) // across)
        u, v = (np.ascontiguousarray(chroma[:, cut[0] : cut[1]]) for chroma in (u, v))
        frames.append((np.ascontiguousarray(y[:, left : left + width]), u, v))
    return replace(clip, name=f"{clip.name} upright", frames=frames)


def joined(one: Clip, other: Clip) -> Clip:
    """Half of one clip and half of the other, at the size of the first, with a hard cut between them."""
    half = min(len(one.frames), len(other.frames)) // 2
    shapes = [plane.shape for plane in one.frames[0]]
    rest = [
        tuple(
            np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.uint8)
            for plane, shape in zip(planes, shapes, strict=True)
        )
        for planes in other.frames[-half:]
    ]
    return replace(one, name=f"{one.name} cut", frames=[*one.frames[:half], *rest])  # type: ignore[list-item]


def resized(clip: Clip, height: int) -> Clip:
    """Scale a clip to so many lines, its width even."""
    width = round(clip.width * height / clip.height / 2) * 2
    across, down = clip.width // clip.frames[0][1].shape[1], clip.height // clip.frames[0][1].shape[0]
    sizes = [(width, height), *[(width // across, height // down)] * 2]
    frames = [
        tuple(
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
            for plane, size in zip(planes, sizes, strict=True)
        )
        for planes in clip.frames
    ]
    return replace(clip, name=f"{clip.name} {height}p", frames=frames)  # type: ignore[arg-type]


def clips_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def made_up(width: int = 640, height: int = 360, frames: int = 100, *, seed: int = 3) -> Clip:
    """A camera panning over a textured ground, a disc that crosses it, grain: where there is no footage."""
    rng = np.random.default_rng(seed)
    ground = _ground(rng, width + 2 * frames, height + frames // 2)
    grain = rng.normal(0, 2.5, (8, height, width)).astype(np.float32)
    out = []
    for number in range(frames):
        shift = np.array([[1, 0, -1.5 * number], [0, 1, -8 * np.sin(number / 25) - 8]], np.float32)
        picture = np.asarray(cv2.warpAffine(ground, shift, (width, height), flags=cv2.INTER_LINEAR))
        centre = (round(width * number / frames), round(height * (0.55 + 0.25 * np.sin(number / 12))))
        cv2.circle(picture, centre, height // 9, (70, 110, 205), -1, cv2.LINE_AA)
        picture = np.clip(picture + grain[number % 8][..., None], 0, 255).astype(np.uint8)
        out.append(_planes(picture))
    return Clip("made up", out, Fraction(25))


def still(width: int = 320, height: int = 180, frames: int = 24, *, seed: int = 5) -> Clip:
    """One textured picture that does not move."""
    planes = _planes(np.clip(_ground(np.random.default_rng(seed), width, height), 0, 255).astype(np.uint8))
    return Clip("still", [planes] * frames, Fraction(25))


def _ground(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Noise of several scales, as in leaves, sand and walls, in earthy colours."""
    ground = np.zeros((height, width, 3), np.float32)
    for scale, strength in ((4, 10), (12, 16), (40, 26), (160, 40)):
        small = rng.normal(0, strength, (height // scale + 2, width // scale + 2, 1)).astype(np.float32)
        tint = rng.normal(0, strength / 4, (*small.shape[:2], 3)).astype(np.float32)
        ground += np.asarray(cv2.resize(small + tint, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.asarray(np.clip(ground + np.array([105, 120, 125]), 0, 255), np.float32)


def _planes(bgr: NDArray[np.uint8]) -> Planes:
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
    return planes_of(frame.reformat(format="yuv420p"))
