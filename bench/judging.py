"""How good a cleaned clip is, against the truth, inside the text and outside of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.burning import Box, Burnt
from bench.footage import Clip
from media.burnt_text import Found, Mask, Planes

Picture = NDArray[np.uint8]
_MARGIN = 16
"""Pixels round the text that are looked at: more than the reach of SSIM's window."""
_VISIBLE = 0.1
"""A frame of a fade counts as covered or not from this opacity on."""
BEST_PSNR = 99.0
"""Said of pictures without any error."""


@dataclass
class Score:
    """Sums over pixels of text; what is asked of them are means."""

    squares: float = 0.0
    values: int = 0
    likeness: float = 0.0
    pixels: int = 0
    trembling: float = 0.0
    trembled: int = 0

    @property
    def psnr(self) -> float:
        """Decibels over the colours of all text pixels of all frames."""
        if not self.squares:
            return BEST_PSNR
        return min(BEST_PSNR, float(10 * np.log10(255**2 * self.values / self.squares)))

    @property
    def ssim(self) -> float:
        """Of the luma, with the window of 11 pixels of its authors."""
        return self.likeness / max(1, self.pixels)

    @property
    def flicker(self) -> float:
        """Mean absolute error of the difference to the frame before, in levels of 0..255."""
        return self.trembling / max(1, self.trembled)


def judge(burnt: Burnt, pictures: Iterable[Picture | None], boxes: Sequence[Box | None]) -> Score:
    """Score what a method made of each frame's `boxes` (those of `view_of`), given one after the other."""
    score = Score()
    before: tuple[Picture, Picture, Box] | None = None
    for number, (picture, box) in enumerate(zip(pictures, boxes, strict=True)):
        if picture is None or box is None:
            before = None
            continue
        truth = picture_of(burnt.truth.frames[number], box, full_range=burnt.truth.full_range)
        inside = cut(burnt.mask(number), box) > 0
        score_frame(score, truth, picture, inside)
        if before is not None and before[2] == box:
            score_change(score, (before[0], truth), (before[1], picture), inside)
        before = truth, picture, box
    return score


def score_frame(score: Score, truth: Picture, picture: Picture, inside: NDArray[np.bool_]) -> None:
    error = (truth.astype(np.float32) - picture)[inside]
    score.squares += float((error**2).sum())
    score.values += error.size
    score.likeness += float(ssim_map(_grey(truth), _grey(picture))[inside].sum())
    score.pixels += int(inside.sum())


def score_change(
    score: Score, truth: tuple[Picture, Picture], made: tuple[Picture, Picture], inside: NDArray[np.bool_]
) -> None:
    true = truth[1][inside].astype(np.float32) - truth[0][inside]
    ours = made[1][inside].astype(np.float32) - made[0][inside]
    score.trembling += float(np.abs(true - ours).sum())
    score.trembled += true.size


def view_of(burnt: Burnt) -> list[Box | None]:
    """What to look at in each frame: the same place for all of a line's frames, and one frame before it."""
    boxes: list[Box | None] = [None] * len(burnt.truth.frames)
    for line in burnt.lines:
        box = burnt.box_of(line)
        if box is not None:
            wide = widened(box, _MARGIN, burnt.truth)
            for number in range(line.first, line.last + 1):
                boxes[number] = wide if boxes[number] is None else _both(boxes[number], wide)
    return boxes


def _both(one: Box | None, other: Box) -> Box:
    assert one is not None
    left, top = min(one[0], other[0]), min(one[1], other[1])
    right, bottom = max(one[0] + one[2], other[0] + other[2]), max(one[1] + one[3], other[1] + other[3])
    return left, top, right - left, bottom - top


def widened(box: Box, margin: int, clip: Clip) -> Box:
    """Widen a box inside the frame, to even edges."""
    x, y, width, height = box
    left, top = max(0, x - margin) // 2 * 2, max(0, y - margin) // 2 * 2
    right, bottom = min(clip.width, x + width + margin), min(clip.height, y + height + margin)
    return left, top, right - left, bottom - top


def cut(plane: NDArray[Any], box: Box) -> NDArray[Any]:
    x, y, width, height = box
    return plane[y : y + height, x : x + width]


def picture_of(planes: Planes, box: Box | None = None, *, full_range: bool = False) -> Picture:
    """Turn (a part of) planes of 8 bits into BGR by BT.601; the part begins at even pixels."""
    y, u, v = planes
    across, down = (y.shape[1] + 1) // u.shape[1], (y.shape[0] + 1) // u.shape[0]
    if box is not None:
        x, top, width, height = box
        y = y[top : top + height, x : x + width]
        rows = slice(top // down, (top + height + down - 1) // down)
        columns = slice(x // across, (x + width + across - 1) // across)
        u, v = u[rows, columns], v[rows, columns]
    size = (u.shape[1] * across, u.shape[0] * down)
    chroma = [
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))[: y.shape[0], : y.shape[1]]
        if across * down > 1
        else plane
        for plane in (u, v)
    ]
    yuv = np.dstack([y, *chroma]).astype(np.float32)
    yuv -= (0 if full_range else 16, 128, 128)
    luma, colour = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    matrix = np.array(
        [
            [luma, 1.772 * colour, 0],
            [luma, -0.344136 * colour, -0.714136 * colour],
            [luma, 0, 1.402 * colour],
        ],
        np.float32,
    )
    return np.clip(np.rint(cv2.transform(yuv, matrix)), 0, 255).astype(np.uint8)


def ssim_map(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float32]:
    """Structural similarity of every pixel (Wang et al. 2004: Gaussian window of 11, sigma 1.5)."""
    a, b = one.astype(np.float32), other.astype(np.float32)

    def mean(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5))

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return np.asarray(
        (2 * ma * mb + c1) * (2 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)), np.float32
    )


def _grey(picture: Picture) -> NDArray[Any]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


# -- what was found ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """Shares of glyph pixels found (of all, and of the worst frame), and of found pixels that were text."""

    recall: float
    precision: float
    coverage_min: float
    worst_frame: int


def judge_found(burnt: Burnt, found: Found) -> Finding:
    glyphs = hit = masked = true = 0
    worst, worst_frame = 1.0, -1
    for number in range(len(burnt.truth.frames)):
        mask = found_mask(found, number) > 0
        masked += int(mask.sum())
        layer = burnt.letters[number]
        if layer is None or not layer.alpha.any():
            continue
        glyph = burnt.glyphs(number) > 0
        count, covered = int(glyph.sum()), int((glyph & mask).sum())
        true += int((mask & (burnt.mask(number) > 0)).sum())
        glyphs, hit = glyphs + count, hit + covered
        if count and layer.alpha.max() >= _VISIBLE * 255 and covered / count < worst:
            worst, worst_frame = covered / count, number
    return Finding(hit / max(1, glyphs), true / masked if masked else 1.0, worst, worst_frame)


def found_mask(found: Found, frame: int) -> Mask:
    """All masks of a frame together."""
    whole = np.zeros((found.height, found.width), np.uint8)
    for text in found.texts:
        if not text.first <= frame <= text.last:
            continue
        x, y = text.corner(frame)
        mask = text.mask[max(0, -y) :, max(0, -x) :]
        view = whole[max(0, y) : max(0, y) + mask.shape[0], max(0, x) : max(0, x) + mask.shape[1]]
        np.maximum(view, mask[: view.shape[0], : view.shape[1]], out=view)
    return whole


def frames_marked(found: Found) -> float:
    """Share of frames in which anything was found: of footage without text, all of it false."""
    marked = {number for text in found.texts for number in range(text.first, text.last + 1)}
    return len(marked) / max(1, found.frames)


# -- what can still be read ----------------------------------------------------------------------------


def characters_left(burnt: Burnt, cleaned: Sequence[Planes], looks: int = 3) -> tuple[int, int]:
    """Characters of the burnt words a reader still reads in a few frames of each line, and all there were.

    The reader sees the line's place alone, at twice its size: it is given every chance.
    """
    left = there = 0
    for line in burnt.lines:
        for look in range(looks):
            number = line.first + round((line.last - line.first) * (look + 1) / (looks + 1))
            box = burnt.box(number)
            if box is None:
                continue
            wide = widened(box, 2 * _MARGIN, burnt.truth)
            words = _letters(line.words)
            full = burnt.truth.full_range
            now = characters_read(picture_of(cleaned[number], wide, full_range=full), words)
            always = characters_read(picture_of(burnt.truth.frames[number], wide, full_range=full), words)
            left, there = left + max(0, now - always), there + len(words)
    return left, there


def characters_read(picture: Picture, words: str) -> int:
    """How many of the words' characters are read in a picture, in their order, two or more in a row."""
    large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    answer = _reader()(large, use_cls=False)
    read = _letters("".join(answer.txts or ()))
    blocks = SequenceMatcher(None, words, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= 2)


def _letters(words: str) -> str:
    """Letters and digits alone, without the tags of ASS."""
    return "".join(c for c in re.sub(r"\{[^}]*\}|\\N", "", words).lower() if c.isalnum())


@lru_cache(maxsize=1)
def _reader() -> Any:
    from rapidocr import RapidOCR

    # Its own default enlarges a strip until its shorter side is 736 pixels.
    size = {"Det.limit_type": "max", "Det.limit_side_len": 1280}
    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": 2}
    return RapidOCR(params={"Global.log_level": "critical", **size, **threads})


# -- what else was changed -----------------------------------------------------------------------------


def psnr_outside(burnt: Burnt, one: Sequence[Planes], other: Sequence[Planes], margin: int = 12) -> float:
    """PSNR of luma between two clips where there is no text, and not within `margin` pixels of it."""
    squares = count = 0.0
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        error = cv2.absdiff(a[0], b[0]).astype(np.float32) ** 2
        box = burnt.box(number)
        if box is not None:
            x, y, width, height = widened(box, margin, burnt.truth)
            error[y : y + height, x : x + width] = 0
            count -= width * height
        squares, count = squares + float(error.sum()), count + error.size
    return BEST_PSNR if not squares else min(BEST_PSNR, float(10 * np.log10(255**2 * count / squares)))
