"""Film title and credits cards: quiet type over a drifting night of soft lights, or over a picture."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from media.encoding import check_frame, rate
from media.fonts import install_fonts
from media.images import Pixels, open_image
from media.motion import encode_frames
from media.planes import Frame, Layer, View, make_grain, to_layer, to_planes
from media.prints import Backdrop, ease, lay_centred
from media.typeset import Line, draw, wrap

CREDITS_LINES = 3  # a text of this many lines or more is set as credits
_FADE = 0.7


@dataclass(frozen=True)
class Colours:
    """A card's colours (RGB): sky above and below, and the accent of rules and headings."""

    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    accent: tuple[int, int, int]


COLOURS = (
    Colours((9, 12, 30), (34, 42, 84), (255, 200, 110)),
    Colours((8, 16, 26), (18, 60, 78), (140, 225, 210)),
    Colours((16, 10, 28), (66, 34, 78), (255, 176, 150)),
    Colours((10, 13, 20), (44, 52, 66), (190, 210, 255)),
)


def render_card(
    text: str,
    out: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    frames: int,
    seed: int,
    fonts: Path,
    subtitle: str | None = None,
    backdrop: Path | None = None,
    crf: int = 14,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Film a card into a take.

    One or two lines are a title, sized to fit; three or more are credits, the first line their heading.
    Credits taller than the frame roll through within the take, so it must be long enough to read them.
    `fonts` is a folder for the packaged fonts, filled when empty.
    """
    check_frame(width, height, fps, frames)
    install_fonts(fonts)
    colours = random.Random(seed).choice(COLOURS)
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) >= CREDITS_LINES:
        sheet = set_credits(lines, fonts, width=width, height=height, colours=colours)
    else:
        sheet = set_title(lines, subtitle, fonts, width=width, height=height, colours=colours)
    seconds = float(frames / rate(fps))
    ground = Backdrop(open_image(backdrop), width, height, seed, light=0.42) if backdrop else None
    night = ground or Night(width, height, seed, colours)
    pictures = _film(night, sheet, width=width, height=height, frames=frames, seconds=seconds)
    encode_frames(
        pictures,
        out,
        width=width,
        height=height,
        fps=fps,
        frames=frames,
        crf=crf,
        on_progress=on_progress,
        should_stop=should_stop,
    )


class Night:
    """A gradient sky with small stars, and larger soft lights that drift past in front of it."""

    def __init__(self, width: int, height: int, seed: int, colours: Colours) -> None:
        rng = np.random.default_rng(seed)
        w, h = round(width * 1.16) // 2 * 2, round(height * 1.16) // 2 * 2
        fall = np.linspace(0, 1, h, dtype=np.float32)[:, None] ** 1.4
        across = 0.5 + 0.5 * np.cos((np.linspace(0, 1, w, dtype=np.float32)[None, :] - 0.35) * 3.0)
        weight = (0.75 * fall + 0.25 * fall * across)[:, :, None]
        sky = (
            np.asarray(colours.top, np.float32) * (1 - weight)
            + np.asarray(colours.bottom, np.float32) * weight
        )
        stars = _dots(rng, w, h, count=round(w * h / 5200), radius=(0.5, 1.3), light=(30, 150))
        sky += cv2.GaussianBlur(stars, (0, 0), 0.8)[:, :, None] * (1 - 0.6 * weight)
        self.sky = to_planes(np.clip(sky + rng.uniform(-0.5, 0.5, sky.shape), 0, 255).astype(np.uint8))
        side = min(w, h)
        lights = _dots(rng, w, h, count=26, radius=(side * 0.004, side * 0.03), light=(16, 60))
        glow = np.clip(cv2.GaussianBlur(lights, (0, 0), side * 0.006), 0, 70).astype(np.uint8)
        tint = np.empty((h, w, 3), np.uint8)
        tint[:] = np.asarray(colours.accent, np.uint8)
        self.lights = to_layer(tint, glow)
        self.grain = make_grain(width, height, seed)
        self.angle = random.Random(seed).choice((-1, 1))

    def paint(self, frame: Frame, t: float) -> None:
        """Paint the frame at time t (0-1)."""
        for part, reach in ((self.sky, 0.35), (self.lights, 0.95)):
            planes = part.planes if isinstance(part, Layer) else part
            dx = self.angle * (t - 0.5) * reach * (planes.width - frame.width)
            dy = (0.5 - t) * 0.6 * reach * (planes.height - frame.height)
            view = View(planes.width / 2 + dx, planes.height / 2 + dy, 1.0)
            if isinstance(part, Layer):
                frame.lay(part, view, (0, 0, frame.width, frame.height))
            else:
                frame.fill(part, view)
        frame.grain(self.grain)


def set_title(
    lines: list[str], subtitle: str | None, fonts: Path, *, width: int, height: int, colours: Colours
) -> Layer:
    """Set a title with a short rule and an optional second, lighter line under it."""
    room = width * (0.84 if height > width else 0.76)
    most = 5 if height > width else 3
    size = round(min(width, height) * 0.135)
    while True:
        set_lines = [piece for line in lines or [""] for piece in wrap(line, fonts, size, room, bold=True)]
        if (len(set_lines) <= most and len(set_lines) * size * 1.2 <= height * 0.55) or size <= 18:
            break
        size = round(size * 0.93)
    title = draw([Line(line, size, bold=True) for line in set_lines], fonts, leading=1.16)
    parts: list[tuple[Pixels, tuple[int, int, int]]] = [(title, (255, 255, 255))]
    small = max(16, round(min(size * 0.42, min(width, height) * 0.045)))
    rule = np.zeros((max(2, round(size * 0.05)) // 2 * 2, round(size * 1.1) // 2 * 2), np.uint8)
    rule[:] = 255
    parts.append((rule, colours.accent))
    if subtitle:
        under = wrap(subtitle, fonts, small, room)
        parts.append(
            (draw([Line(line, small, shade=215) for line in under], fonts, leading=1.3), (255, 255, 255))
        )
    return _stack(parts)


def set_credits(lines: list[str], fonts: Path, *, width: int, height: int, colours: Colours) -> Layer:
    """Set credits: a heading in the accent's colour and centred lines, as large as fits."""
    room = width * 0.86
    for share in (0.045, 0.04, 0.035, 0.031, 0.028):
        size = max(14, round(min(width, height) * share))
        body: list[Line] = []
        gap = 0
        for line in lines[1:]:
            if not line:
                gap = size // 2
                continue
            pieces = wrap(line, fonts, size, room)
            # each credit stands apart from the next, its own lines close together
            body += [
                Line(p, size, shade=230, gap=(gap or size // 4) if i == 0 else 0)
                for i, p in enumerate(pieces)
            ]
            gap = 0
        if sum(round(line.size * 1.22) + line.gap for line in body) <= height * 0.68:
            break
    heading = [
        Line(p, round(size * 1.5), bold=True)
        for p in wrap(lines[0], fonts, round(size * 1.5), room, bold=True)
    ]
    return _stack([(draw(heading, fonts), colours.accent), (draw(body, fonts), (255, 255, 255))])


def _stack(parts: list[tuple[Pixels, tuple[int, int, int]]]) -> Layer:
    """Put coverages below one another, centred, each in its colour, over a soft shadow."""
    width = max(alpha.shape[1] for alpha, _ in parts) + 16
    height = sum(alpha.shape[0] for alpha, _ in parts) + 16
    ink = np.zeros((height // 2 * 2 + 2, width // 2 * 2 + 2), np.uint8)
    colour = np.full((*ink.shape, 3), 255, np.uint8)
    y = 8
    for alpha, rgb in parts:
        h, w = alpha.shape
        x = (ink.shape[1] - w) // 2
        ink[y : y + h, x : x + w] = alpha
        colour[y : y + h] = rgb
        y += h
    shadow = cv2.convertScaleAbs(cv2.GaussianBlur(ink, (0, 0), 5), alpha=0.55)
    alpha = np.maximum(ink, shadow)
    share = np.minimum(1, ink.astype(np.float32) / np.maximum(alpha, 1))[:, :, None]
    return to_layer(np.asarray(colour * share, np.uint8), alpha)


def _film(
    night: Night | Backdrop, sheet: Layer, *, width: int, height: int, frames: int, seconds: float
) -> Iterator[Frame]:
    frame = Frame(width, height)
    tall = sheet.planes.height
    # a title too wide or credits a little too tall are shrunk; much taller ones roll
    rolls = tall > height * 1.02
    fit = max(1.0, sheet.planes.width / (width * 0.96), 1.0 if rolls else tall / (height * 0.94))
    for i in range(frames):
        t = i / max(1, frames - 1)
        night.paint(frame, t)
        now = t * seconds
        shown = min(1.0, now / _FADE, (seconds - now) / (_FADE / 2) + 0.02)
        shown = max(0.0, shown * shown * (3 - 2 * shown))
        if rolls:
            # from the heading well inside the frame to the last line well inside it
            middle, scale = height * 0.12 + tall / 2 - max(0.0, tall - height * 0.76) * t, fit
        else:
            middle, scale = (
                height / 2 + (1 - shown) * 0.012 * height * (t < 0.5),
                fit / (0.985 + 0.03 * ease(t)),
            )
        lay_centred(frame, sheet, (width / 2, middle), scale, shown)
        yield frame


def _dots(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    count: int,
    radius: tuple[float, float],
    light: tuple[int, int],
) -> Pixels:
    """Draw round dots of random place, size and light on black (sub-pixel, anti-aliased)."""
    canvas = np.zeros((height, width), np.uint8)
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        near = rng.random() ** 3
        r = radius[0] + (radius[1] - radius[0]) * near
        value = light[0] + (light[1] - light[0]) * rng.random() ** 2
        cv2.circle(canvas, (round(x * 16), round(y * 16)), round(r * 16), value, -1, cv2.LINE_AA, 4)
    return canvas
