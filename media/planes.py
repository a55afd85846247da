"""Pictures as 4:2:0 planes, moved by sub-pixel warps: the fast and jitter-free way to film stills.

Working on planes halves the pixels of RGB and spares ffmpeg its conversion. Positions are pixel
centres: luma x lies at x + 0.5, and chroma is the same picture at half the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from media.images import Pixels

# BT.709, studio range (ITU-R BT.709-6, 3.3-3.5), from 8-bit RGB
_TO_YUV = np.array(
    [
        [0.2126 * 219 / 255, 0.7152 * 219 / 255, 0.0722 * 219 / 255, 16],
        [-0.2126 / 1.8556 * 224 / 255, -0.7152 / 1.8556 * 224 / 255, 0.9278 / 1.8556 * 224 / 255, 128],
        [0.7874 / 1.5748 * 224 / 255, -0.7152 / 1.5748 * 224 / 255, -0.0722 / 1.5748 * 224 / 255, 128],
    ],
    np.float32,
)
BLACK = (16, 128, 128)


@dataclass(frozen=True)
class Planes:
    """One picture: luma at full size, both chroma planes at half (sizes rounded up to even)."""

    y: Pixels
    u: Pixels
    v: Pixels

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])


@dataclass(frozen=True)
class Layer:
    """A picture with coverage: planes already multiplied by alpha, and alpha at both sizes."""

    planes: Planes
    alpha: Pixels
    alpha_half: Pixels


@dataclass(frozen=True)
class View:
    """Where a frame looks: the source point at its middle, and source pixels per frame pixel."""

    x: float
    y: float
    scale: float


def to_planes(rgb: Pixels) -> Planes:
    """Convert RGB (height, width, 3) to planes; an odd edge is repeated."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
    yuv = cv2.transform(rgb, _TO_YUV)
    half = (yuv.shape[1] // 2, yuv.shape[0] // 2)
    small = (
        cv2.resize(np.ascontiguousarray(yuv[:, :, i]), half, interpolation=cv2.INTER_AREA) for i in (1, 2)
    )
    u, v = (np.asarray(c, np.uint8) for c in small)
    return Planes(np.asarray(np.ascontiguousarray(yuv[:, :, 0]), np.uint8), u, v)


def to_layer(rgb: Pixels, alpha: Pixels) -> Layer:
    """Make a layer from RGB and alpha (height, width) of even size."""
    full = to_planes(rgb)
    half = np.asarray(
        cv2.resize(alpha, (full.width // 2, full.height // 2), interpolation=cv2.INTER_AREA), np.uint8
    )
    pairs = ((full.y, alpha), (full.u, half), (full.v, half))
    y, u, v = (np.asarray(cv2.multiply(c, a, scale=1 / 255), np.uint8) for c, a in pairs)
    return Layer(Planes(y, u, v), alpha, half)


class Frame:
    """One output frame: a buffer in the order rawvideo yuv420p wants, and its three planes."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        luma, chroma = width * height, width * height // 4
        self.buffer: NDArray[np.uint8] = np.empty(luma + 2 * chroma, np.uint8)
        self.y = self.buffer[:luma].reshape(height, width)
        self.u = self.buffer[luma : luma + chroma].reshape(height // 2, width // 2)
        self.v = self.buffer[luma + chroma :].reshape(height // 2, width // 2)

    def fill(self, source: Planes, view: View) -> None:
        """Paint the whole frame with what `view` sees; beyond the edge the last pixel is repeated."""
        for target, plane, half in _pairs(self, source):
            size = (target.shape[1], target.shape[0])
            cv2.warpAffine(
                plane,
                _matrix(view, self.width / 2, self.height / 2, half=half),
                size,
                dst=target,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )

    def lay(self, layer: Layer, view: View, box: tuple[int, int, int, int], strength: float = 1.0) -> None:
        """Lay a layer over the frame inside `box` (x, y, width, height: even); `view` is the box's own."""
        x, y, w, h = box
        if w <= 0 or h <= 0 or strength <= 0:
            return
        for target, plane, half in _pairs(self, layer.planes):
            k = 2 if half else 1
            area = target[y // k : (y + h) // k, x // k : (x + w) // k]
            size = (area.shape[1], area.shape[0])
            matrix = _matrix(view, w / 2, h / 2, half=half)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            colour = cv2.warpAffine(plane, matrix, size, flags=flags)
            alpha = cv2.warpAffine(layer.alpha_half if half else layer.alpha, matrix, size, flags=flags)
            if strength < 1:
                colour = cv2.convertScaleAbs(colour, alpha=strength)
                alpha = cv2.convertScaleAbs(alpha, alpha=strength)
            under = cv2.multiply(area, cv2.bitwise_not(alpha), scale=1 / 255)
            cv2.add(under, colour, dst=area)

    def grain(self, noise: Pixels) -> None:
        """Add a fixed fine grain (values around 2) that keeps dark gradients from banding."""
        cv2.add(self.y, noise, dst=self.y)


def make_grain(width: int, height: int, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, (height, width), np.uint8)


def _pairs(frame: Frame, planes: Planes) -> tuple[tuple[Pixels, Pixels, bool], ...]:
    return ((frame.y, planes.y, False), (frame.u, planes.u, True), (frame.v, planes.v, True))


def _matrix(view: View, middle_x: float, middle_y: float, *, half: bool) -> NDArray[np.float64]:
    """Map frame pixels to source pixels."""
    k, s = (0.5, view.scale) if half else (1.0, view.scale)
    return np.array(
        [
            [s, 0, (view.x - middle_x * s) * k + 0.5 * s - 0.5],
            [0, s, (view.y - middle_y * s) * k + 0.5 * s - 0.5],
        ]
    )
