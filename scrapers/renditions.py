"""Which file of several that show the same: by pixels, never by what a site calls them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scrapers.values import number

Frame = tuple[int, int]

FRAME = "_frame"
"""Under this name `pages` adds the frame that a query tells to an item, since `parse` knows the item only."""


@dataclass(frozen=True)
class File:
    """One file of an item; `size` in bytes."""

    url: str
    width: int
    height: int
    fps: float | None = None
    size: int | None = None
    preview_url: str | None = None


def best(files: Iterable[File], frame: Frame | None) -> File | None:
    """The smallest file that covers the frame, turned as the file is; where none does, the largest.

    Without a frame the largest. Of equal ones the one with more frames a second, then with more bytes.
    """

    def worth(file: File) -> tuple[float, int]:
        return file.fps or 0.0, file.size or 0

    known = list(files)
    covering = [file for file in known if frame and _covers(file, frame)]
    if covering:
        least = min(file.width * file.height for file in covering)
        return max((file for file in covering if file.width * file.height == least), key=worth)
    return max(known, key=lambda file: (file.width * file.height, *worth(file)), default=None)


def _covers(file: File, frame: Frame) -> bool:
    return max(file.width, file.height) >= max(frame) and min(file.width, file.height) >= min(frame)


def frame_of(item: dict[str, Any]) -> Frame | None:
    """The frame that `pages` has put beside an item."""
    said = item.get(FRAME)
    if not isinstance(said, list | tuple) or len(said) != 2:
        return None
    width, height = number(said[0]), number(said[1])
    return (width, height) if width and height else None


def within(width: int | None, height: int | None, longest: int) -> tuple[int | None, int | None]:
    """The size of a picture that a site has scaled down to a longest side."""
    if not width or not height:
        return None, None
    if max(width, height) <= longest:
        return width, height
    share = longest / max(width, height)
    return max(1, round(width * share)), max(1, round(height * share))
