"""`python -m bench.clean_sheet OUT.jpg`: before, after and the truth, on footage made up here.

Nobody's footage is shown, so the sheet may go wherever the project goes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from bench.baselines import inpainted
from bench.burning import burn
from bench.burnt_styles import STYLES
from bench.clean import child, frames_in
from bench.footage import Clip, made_up, read
from bench.judging import Picture, cut, judge, picture_of, view_of, widened

SHOWN = ("outline", "box", "karaoke", "two_languages", "ticker", "logo")
HEADS = ("burnt in", "cleaned", "Telea, true mask", "the truth")
SIZE = (280, 90)


def main() -> None:
    clip = made_up(640, 360, 60)
    rows = [_heads(), *(row(clip, name) for name in SHOWN)]
    cv2.imwrite(sys.argv[1], np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 90])


def row(clip: Clip, name: str) -> Picture:
    """One style in a frame in the middle of a line, with the figures of the whole clip."""
    burnt = burn(clip, STYLES[name])
    with tempfile.TemporaryDirectory(prefix="callsheet-sheet-") as folder:
        path = burnt.write(Path(folder) / "burnt.mp4")
        encoded = read(path)
        child(Path(folder), "fill", path)
        cleaned = frames_in(Path(folder) / "out", encoded)
        boxes = view_of(burnt)
        telea = list(inpainted(burnt, encoded, boxes))
        score = judge(
            burnt, [box and picture_of(p, box) for p, box in zip(cleaned, boxes, strict=True)], boxes
        )
        other = judge(burnt, telea, boxes)
        line = burnt.lines[0]
        number = (line.first + line.last) // 2
        box, view = burnt.box(number), boxes[number]
        assert box is not None
        assert view is not None
        whole = picture_of(encoded.frames[number])
        cut(whole, view)[:] = telea[number]
        place = widened((box[0] + box[2] // 2, box[1] + box[3] // 2, 2, 2), 0, clip)
        pictures = [
            _around(picture, place[:2])
            for picture in (
                picture_of(encoded.frames[number]),
                picture_of(cleaned[number]),
                whole,
                picture_of(burnt.truth.frames[number]),
            )
        ]
    _say(pictures[0], name)
    _say(pictures[1], f"{score.psnr:.1f} dB")
    _say(pictures[2], f"{other.psnr:.1f} dB")
    return np.asarray(np.hstack(pictures), np.uint8)


def _around(picture: Picture, middle: tuple[int, int]) -> Picture:
    width, height = SIZE
    left = min(max(0, middle[0] - width // 2), picture.shape[1] - width)
    top = min(max(0, middle[1] - height // 2), picture.shape[0] - height)
    piece = picture[top : top + height, left : left + width].copy()
    return np.asarray(cv2.copyMakeBorder(piece, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)))


def _say(picture: Picture, words: str) -> None:
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, words, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thick, cv2.LINE_AA)


def _heads() -> Picture:
    heads = []
    for words in HEADS:
        head = np.full((24, SIZE[0] + 4, 3), 255, np.uint8)
        cv2.putText(head, words, (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        heads.append(head)
    return np.asarray(np.hstack(heads), np.uint8)


if __name__ == "__main__":
    main()
