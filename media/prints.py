"""Framed prints and blurred backdrops: how a picture that does not fit a frame still looks meant."""

from __future__ import annotations

import random

import cv2
import numpy as np

from media.images import Pixels, shrink
from media.planes import Frame, Layer, View, make_grain, to_layer, to_planes

ENLARGE_MAX = 2.2  # beyond this a picture looks soft
OVERSAMPLE = 1.25  # source pixels per frame pixel: hides the shimmer of bilinear warps
_PRINT_CROP_MAX = 0.22


def ease(t: float) -> float:
    """Ease in and out, yet never quite stand still: smoothstep mixed with a straight line."""
    return 0.6 * t * t * (3 - 2 * t) + 0.4 * t


def enlarge(rgb: Pixels, scale: float) -> Pixels:
    """Resize by area when shrinking, by Lanczos and a light sharpening when enlarging."""
    size = (max(2, round(rgb.shape[1] * scale)), max(2, round(rgb.shape[0] * scale)))
    if scale <= 1:
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    large = cv2.resize(rgb, size, interpolation=cv2.INTER_LANCZOS4)
    soft = cv2.GaussianBlur(large, (0, 0), 0.6 * scale)
    return np.asarray(cv2.addWeighted(large, 1.35, soft, -0.35, 0), np.uint8)


def crop_towards(rgb: Pixels, width: int, height: int, focus: tuple[float, float]) -> Pixels:
    """Cut a picture's sides a little (at most 22 %) towards a tall frame's shape, for a larger print.

    Never its top or bottom: that is where people keep their heads.
    """
    h, w = rgb.shape[:2]
    keep = 1 - _PRINT_CROP_MAX
    new_w = round(max(w * keep, min(w, h * width / height)))
    x = round((w - new_w) * (1 + focus[0]) / 2)
    return rgb[:, x : x + new_w]


def lay_centred(
    frame: Frame, layer: Layer, middle: tuple[float, float], scale: float, strength: float = 1
) -> None:
    """Lay a layer with its middle at a frame point; `scale` is layer pixels per frame pixel."""
    planes = layer.planes
    left = max(0, int(middle[0] - planes.width / scale / 2) - 2) // 2 * 2
    top = max(0, int(middle[1] - planes.height / scale / 2) - 2) // 2 * 2
    right = min(frame.width, int(middle[0] + planes.width / scale / 2) + 4) // 2 * 2
    bottom = min(frame.height, int(middle[1] + planes.height / scale / 2) + 4) // 2 * 2
    x = planes.width / 2 + ((left + right) / 2 - middle[0]) * scale
    y = planes.height / 2 + ((top + bottom) / 2 - middle[1]) * scale
    frame.lay(layer, View(x, y, scale), (left, top, right - left, bottom - top), strength)


def _print_size(picture_width: int, picture_height: int, width: int, height: int) -> tuple[int, int]:
    """Size the print: as large as its margins allow, enlarged at most ENLARGE_MAX times."""
    room_x, room_y = (0.92, 0.54) if height > width else (0.84, 0.84)
    scale = min(width * room_x / picture_width, height * room_y / picture_height, ENLARGE_MAX)
    return max(16, round(picture_width * scale)), max(16, round(picture_height * scale))


def make_print(rgb: Pixels, frame_width: int, frame_height: int) -> Layer:
    """Draw the picture with rounded corners, a hairline and a soft shadow, sized for the frame."""
    width, height = _print_size(rgb.shape[1], rgb.shape[0], frame_width, frame_height)
    side = min(frame_width, frame_height)
    k = OVERSAMPLE
    w, h = round(width * k) // 2 * 2, round(height * k) // 2 * 2
    margin, radius = round(side * 0.07 * k) // 2 * 2, max(2, round(side * 0.018 * k))
    picture = cv2.resize(enlarge(rgb, w / rgb.shape[1]), (w, h), interpolation=cv2.INTER_AREA)
    full = (h + 2 * margin, w + 2 * margin)
    shape = np.zeros(full, np.uint8)
    inner = shape[margin : margin + h, margin : margin + w]
    inner[:] = rounded(w, h, radius)
    shadow = cv2.GaussianBlur(np.roll(shape, round(margin * 0.28), axis=0), (0, 0), margin * 0.3)
    alpha = np.maximum(shape, cv2.convertScaleAbs(shadow, alpha=0.62))
    colour = np.zeros((*full, 3), np.uint8)
    spot = colour[margin : margin + h, margin : margin + w]
    spot[:] = picture
    edge = cv2.subtract(inner, cv2.erode(inner, np.ones((3, 3), np.uint8), borderValue=0))
    light = cv2.merge([cv2.convertScaleAbs(edge, alpha=0.28)] * 3)
    cv2.add(spot, light, dst=spot)
    covered = shape.astype(np.float32)[:, :, None] / np.maximum(alpha, 1).astype(np.float32)[:, :, None]
    return to_layer(np.asarray(colour * np.minimum(covered, 1), np.uint8), alpha)


def rounded(width: int, height: int, radius: int) -> Pixels:
    """Draw a filled rectangle with smooth round corners (0-255)."""
    k = 4
    big = np.zeros((height * k, width * k), np.uint8) if width * height < 4_000_000 else None
    if big is None:
        return np.full((height, width), 255, np.uint8)
    r = radius * k
    cv2.rectangle(big, (r, 0), (width * k - r - 1, height * k), 255, -1)
    cv2.rectangle(big, (0, r), (width * k, height * k - r - 1), 255, -1)
    for x in (r, width * k - r - 1):
        for y in (r, height * k - r - 1):
            cv2.circle(big, (x, y), r, 255, -1)
    return np.asarray(cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class Backdrop:
    """A blurred, darkened enlargement of a picture that drifts slowly behind something."""

    def __init__(self, rgb: Pixels, width: int, height: int, seed: int, light: float = 0.58) -> None:
        w, h = width // 4 // 2 * 2 + 2, height // 4 // 2 * 2 + 2
        scale = max(w * 1.25 / rgb.shape[1], h * 1.25 / rgb.shape[0])
        small = enlarge(shrink(rgb, 1600), scale * rgb.shape[1] / shrink(rgb, 1600).shape[1])
        soft = cv2.GaussianBlur(small, (0, 0), max(w, h) / 28)
        grey = cv2.cvtColor(cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        rich = cv2.addWeighted(soft, 1.15, grey, -0.15, 0)
        # A bright picture must not outshine the print in front of it, a black one must not vanish.
        mean = float(grey.mean())
        self.planes = to_planes(
            np.asarray(cv2.convertScaleAbs(rich, alpha=light * min(1, 105 / (mean + 20)), beta=6))
        )
        self.scale = min(self.planes.width / width, self.planes.height / height) / 1.12
        self.grain = make_grain(width, height, seed)
        rng = random.Random(seed + 7)
        self.path = (rng.choice((-1, 1)) * rng.uniform(0.5, 0.9), rng.choice((-1, 1)) * rng.uniform(0.3, 0.8))

    def paint(self, frame: Frame, t: float) -> None:
        """Paint the frame at time t (0-1)."""
        p, s = self.planes, self.scale * (1 - 0.05 * ease(t))
        slack_x, slack_y = (p.width - frame.width * s) / 2, (p.height - frame.height * s) / 2
        dx, dy = (side * (1 - 2 * ease(t)) for side in self.path)
        frame.fill(p, View(p.width / 2 + dx * slack_x, p.height / 2 + dy * slack_y, s))
        frame.grain(self.grain)
