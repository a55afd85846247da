"""Burn text into frames so that the truth is known: which pixels, how opaque, what the picture was.

libass draws each style over black and over white; the difference is its exact alpha. It is laid on the planes
themselves, so that a pixel without text keeps its value, and only then encoded.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.burnt_styles import Style, letters_of, to_ass
from bench.footage import Clip
from media.burnt_text import Mask, Planes
from media.encoding import filter_value
from media.ffmpeg import ffmpeg_path, replacing
from media.fonts import install_fonts

SEEN = 0.02
"""Share of opacity from which a pixel counts as changed."""
_FONTS = {"Ubuntu-Regular.ttf": "ubuntu", "Ubuntu-Bold.ttf": "ubuntubo", "SpaceMono-Bold.ttf": "spacembo"}
_FONTS |= {"Cascadia-Regular.ttf": "cascadia"}
_CJK = Path(__file__).parent / "data" / "noto-sans-sc-some.otf"
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """The text of one frame, cut to where it is: RGB already multiplied by alpha, and alpha, 0..255.

    `x`, `y` and both sides are even, so that it lies on whole chroma samples.
    """

    x: int
    y: int
    colours: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


@dataclass(frozen=True)
class Line:
    """Words and the first and last frame they are seen in."""

    words: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Burnt:
    """Frames with text in them, and all there is to know about it."""

    style: Style
    truth: Clip
    layers: tuple[Layer | None, ...]
    letters: tuple[Layer | None, ...]
    """Letters with their outline, without box or shadow."""
    lines: tuple[Line, ...]

    @cached_property
    def frames(self) -> list[Planes]:
        """The frames before they are encoded."""
        clip = self.truth
        return [
            lay(planes, layer, full_range=clip.full_range) if layer else planes
            for planes, layer in zip(clip.frames, self.layers, strict=True)
        ]

    def mask(self, frame: int) -> Mask:
        """Every pixel the text changed, 255, at luma size."""
        return self._covered(self.layers[frame], SEEN)

    def glyphs(self, frame: int) -> Mask:
        """Letters (a logo's too), 255, where they hide at least half of the most they ever hide."""
        layer = self.letters[frame]
        most = float(layer.alpha.max()) / 255 if layer else 0
        return self._covered(layer, max(SEEN, most / 2))

    def box(self, frame: int) -> Box | None:
        """Left, top, width and height of what is seen in a frame."""
        layer = self.layers[frame]
        if layer is None or not (layer.alpha > SEEN * 255).any():
            return None
        x, y, width, height = cv2.boundingRect((layer.alpha > SEEN * 255).astype(np.uint8))
        return layer.x + x, layer.y + y, width, height

    def box_of(self, line: Line) -> Box | None:
        """What a line covers in all of its frames."""
        boxes = [box for frame in range(line.first, line.last + 1) if (box := self.box(frame))]
        if not boxes:
            return None
        left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
        return left, top, max(b[0] + b[2] for b in boxes) - left, max(b[1] + b[3] for b in boxes) - top

    def write(self, path: Path, crf: int = 18) -> Path:
        """Encode the burnt frames with x264."""
        return self.truth.with_frames(self.frames).write(path, crf)

    def _covered(self, layer: Layer | None, least: float) -> Mask:
        mask = np.zeros((self.truth.height, self.truth.width), np.uint8)
        if layer is not None:
            height = min(layer.alpha.shape[0], mask.shape[0] - layer.y)
            width = min(layer.alpha.shape[1], mask.shape[1] - layer.x)
            seen = layer.alpha[:height, :width] > least * 255
            mask[layer.y : layer.y + height, layer.x : layer.x + width][seen] = 255
        return mask


def burn(clip: Clip, style: Style) -> Burnt:
    """Draw a style over a clip; nothing is encoded yet."""
    lines = tuple(
        Line(words, min(round(start * len(clip.frames)), len(clip.frames) - 1), last)
        for (start, end), words in zip(style.spans, style.words, strict=True)
        if (last := min(round(end * len(clip.frames)), len(clip.frames)) - 1) >= 0
    )
    if style.logo:
        layer = _logo(clip.width, clip.height, style.opacity)
        layers = tuple(_shown(layer, lines, number) for number in range(len(clip.frames)))
        return Burnt(style, clip, layers, layers, lines)
    layers = tuple(_drawn(clip, to_ass(style, lines, clip)))
    bare = letters_of(style)
    letters = layers if bare == style else tuple(_drawn(clip, to_ass(bare, lines, clip)))
    return Burnt(style, clip, layers, letters, lines)


def lay(planes: Planes, layer: Layer, *, full_range: bool = False) -> Planes:
    """Lay a layer on a frame of 8 bits; planes it does not touch are shared, not copied."""
    y, u, v = planes
    height, width = y.shape
    rows, columns = (height + u.shape[0] - 1) // u.shape[0], (width + u.shape[1] - 1) // u.shape[1]
    layer_height, layer_width = layer.alpha.shape
    alpha = layer.alpha.astype(np.float32) / 255
    matrix = _matrix(full_range)
    parts = cv2.transform(layer.colours.astype(np.float32), matrix)
    laid: list[NDArray[np.uint8]] = []
    for number, plane in enumerate((y, u, v)):
        offset = (0.0 if full_range else 16.0) if number == 0 else 128.0
        part: NDArray[Any] = parts[:, :, number] + offset * alpha
        cover: NDArray[Any] = alpha
        across, down = (columns, rows) if number else (1, 1)
        if across * down > 1:
            size = (layer_width // across, layer_height // down)
            part, cover = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (part, cover))
        top, left = layer.y // down, layer.x // across
        out = plane.copy()
        view = out[top : top + part.shape[0], left : left + part.shape[1]]
        part, cover = part[: view.shape[0], : view.shape[1]], cover[: view.shape[0], : view.shape[1]]
        mixed = np.clip(np.rint(view * (1 - cover) + part), 0, 255).astype(np.uint8)
        view[:] = np.where(cover > 0, mixed, view)
        laid.append(out)
    return laid[0], laid[1], laid[2]


def _matrix(full_range: bool) -> NDArray[np.float32]:
    """BT.601, which is what players take for clips of these sizes without tags."""
    luma, chroma = (1.0, 1.0) if full_range else (219 / 255, 224 / 255)
    return np.array(
        [
            [0.299 * luma, 0.587 * luma, 0.114 * luma],
            [-0.168736 * chroma, -0.331264 * chroma, 0.5 * chroma],
            [0.5 * chroma, -0.418688 * chroma, -0.081312 * chroma],
        ],
        np.float32,
    )


@lru_cache(maxsize=1)
def fonts_folder() -> Path:
    """The packaged fonts, four more of that package, and a few Chinese and Japanese glyphs of our own."""
    import pymupdf_fonts

    folder = install_fonts(Path(tempfile.gettempdir()) / f"callsheet-burning-fonts-{os.getuid()}")
    wanted = {name: pymupdf_fonts.fontbuffers[code] for name, code in _FONTS.items()}
    for name, data in {**wanted, _CJK.name: _CJK.read_bytes}.items():
        if not (folder / name).exists():
            with replacing(folder / name) as scratch:  # several tests may come here at once
                scratch.write_bytes(data())
    return folder


def _drawn(clip: Clip, script: str) -> Iterator[Layer | None]:
    """Draw every frame's text; equal frames share one layer."""
    with tempfile.TemporaryDirectory(prefix="callsheet-burning-") as folder:
        path = Path(folder) / "text.ass"
        path.write_text(script, encoding="utf-8")
        last: tuple[bytes, bytes] | None = None
        layer: Layer | None = None
        for pair in zip(_render(clip, path, "black"), _render(clip, path, "white"), strict=True):
            if pair != last:
                last, layer = pair, _layer(*pair, clip.width, clip.height)
            yield layer


def _render(clip: Clip, script: Path, colour: str) -> Iterator[bytes]:
    source = f"color=c={colour}:s={clip.width}x{clip.height}:r={clip.rate}"
    text = f"ass=filename={filter_value(str(script))}:fontsdir={filter_value(str(fonts_folder()))}"
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"{source},format=rgb24,{text}"]
    command += ["-frames:v", str(len(clip.frames)), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    size = clip.width * clip.height * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(frame := process.stdout.read(size)) == size:
            yield frame
    if process.returncode:
        raise RuntimeError(f"ffmpeg could not draw {script.name}.")


def _layer(black: bytes, white: bytes, width: int, height: int) -> Layer | None:
    dark = np.frombuffer(black, np.uint8).reshape(height, width, 3)
    light = np.frombuffer(white, np.uint8).reshape(height, width, 3)
    through = (light.astype(np.int16) - dark).mean(axis=2)
    alpha = np.rint(np.clip(255 - through, 0, 255)).astype(np.uint8)
    alpha[alpha < 2] = 0  # rounding of the two renders
    return _cut(dark, alpha)


def _cut(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Layer | None:
    """Cut to even edges round what is seen; an odd frame is continued by nothing."""
    x, y, width, height = cv2.boundingRect(alpha)
    if not width:
        return None
    left, top = x // 2 * 2, y // 2 * 2
    right, bottom = -(-(x + width) // 2) * 2, -(-(y + height) // 2) * 2
    edge = (max(0, bottom - alpha.shape[0]), max(0, right - alpha.shape[1]))
    if any(edge):
        alpha = np.pad(alpha, ((0, edge[0]), (0, edge[1])))
        colours = np.pad(colours, ((0, edge[0]), (0, edge[1]), (0, 0)))
    here = (slice(top, bottom), slice(left, right))
    seen = alpha[here].copy()
    return Layer(left, top, np.where(seen[..., None] > 0, colours[here], 0).astype(np.uint8), seen)


def _logo(width: int, height: int, opacity: float) -> Layer | None:
    """A ring, a bar and a station's name in the right upper corner, with smooth edges."""
    from PIL import Image, ImageDraw, ImageFont

    side, over = max(20, min(width, height) // 11), 4
    picture = Image.new("RGBA", (side * 4 * over, side * over), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((0, 0, side * over - 1, side * over - 1), fill=(225, 60, 40, 255))
    hole = side * over // 4
    draw.ellipse((hole, hole, side * over - hole, side * over - hole), fill=(250, 250, 250, 255))
    font = ImageFont.truetype(str(fonts_folder() / "FiraGO-Bold.ttf"), int(side * over * 0.62))
    draw.text((side * over * 1.12, side * over * 0.08), "KINO 7", font=font, fill=(250, 250, 250, 255))
    small = np.asarray(picture.resize((side * 4, side), Image.Resampling.BOX), np.float32)
    alpha = np.zeros((height, width), np.float32)
    colours = np.zeros((height, width, 3), np.float32)
    x, y = width - side * 4 - width // 40, height // 24
    alpha[y : y + side, x : x + side * 4] = small[..., 3] * opacity
    colours[y : y + side, x : x + side * 4] = small[..., :3] * (small[..., 3:] / 255 * opacity)
    return _cut(np.rint(colours).astype(np.uint8), np.rint(alpha).astype(np.uint8))


def _shown(layer: Layer | None, lines: Sequence[Line], frame: int) -> Layer | None:
    return layer if any(line.first <= frame <= line.last for line in lines) else None
