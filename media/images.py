"""Open, judge and hash still pictures, whatever a stranger's file claims to be."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import Permanent
from media.ffmpeg import replacing

Pixels = NDArray[np.uint8]
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
JUDGED_SIDE = 1024
"""The variance of the Laplacian depends on size: sharpness is always judged at this one."""
_DARK = (16, 18, 24)
_HASH_SIDE = 512
_EDGES = (0.0, 0.025, 0.05)  # what a crop may have cut off
# measured: flat grounds, noise, gradients, black frames have 0-4 such frequencies, a word on black has 27
_TELLING = 4.0
_LEAST_TELLING = 16


def read_header(path: Path) -> Image.Image:
    """Open a picture without decoding it. Permanent `not_media` or `pixel_bomb`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as e:
        raise _bomb() from e
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as e:
        raise Permanent("The file is not a picture we can read.", code="not_media", field="image") from e
    if picture.width * picture.height > MAX_PIXELS:
        picture.close()
        raise _bomb()
    return picture


def open_image(path: Path) -> Pixels:
    """Decode a picture to upright RGB pixels (height, width, 3); see-through parts become dark.

    Permanent `not_media`, `pixel_bomb` (over 50 megapixels) or `corrupt_media` (cut off, damaged).
    """
    with read_header(path) as picture:
        try:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _flatten(picture)
        except (OSError, ValueError, SyntaxError, EOFError, IndexError) as e:
            raise Permanent(
                "The picture is damaged or cut off and cannot be decoded.",
                code="corrupt_media",
                field="image",
            ) from e


def save_jpeg(pixels: Pixels, out: Path, *, quality: int = 88) -> None:
    with replacing(out) as scratch:
        Image.fromarray(pixels).save(scratch, "JPEG", quality=quality, optimize=True, progressive=True)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Scale down so that the long side is at most `side`; never up."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def sharpness(pixels: Pixels) -> float:
    """Measure the variance of the Laplacian, grey, at 1024 pixels on the long side."""
    import cv2

    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = JUDGED_SIDE / max(grey.shape)
    if scale != 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0] ** 2)


def perceptual_hash(pixels: Pixels) -> str:
    """Hash a picture to 16 hex digits that differ in few bits between copies of it.

    DCT hash: grey, 32x32, the 8x8 lowest frequencies against their median. Compare by Hamming
    distance: <= 5 the same picture, <= 10 probably; never with hashes of another library.
    """
    return _bits(_low_frequencies(_grey(pixels)))


def perceptual_hashes(pixels: Pixels) -> tuple[str, ...]:
    """Hash a picture whole, and without 2.5 % and 5 % of every edge: what finds its crops, and what it is of.

    Nothing for a picture too plain to be told from others: a flat ground, a clear sky, a black frame.
    """
    grey = _grey(pixels)
    height, width = grey.shape
    found: list[str] = []
    for edge in _EDGES:
        x, y = round(width * edge), round(height * edge)
        low = _low_frequencies(grey[y : height - y or None, x : width - x or None])
        if not found and np.count_nonzero(np.abs(low[1:]) >= _TELLING) < _LEAST_TELLING:
            return ()
        found.append(_bits(low))
    return tuple(found)


def perceptual_hash_of(path: Path) -> str | None:
    """The hash of a picture's file; None for one too plain to be told from others."""
    hashes = perceptual_hashes(open_image(path))
    return hashes[0] if hashes else None


def _grey(pixels: Pixels) -> Pixels:
    import cv2

    # grey first: a third of what is left to shrink
    grey = pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return shrink(grey, _HASH_SIDE)


def _low_frequencies(grey: Pixels) -> NDArray[np.float32]:
    import cv2

    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.dct(small)[:8, :8].flatten(), np.float32)


def _bits(low: NDArray[np.float32]) -> str:
    return np.packbits(low > np.median(low[1:])).tobytes().hex()


def hamming(one: str, other: str) -> int:
    """Count the bits in which two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _flatten(picture: Image.Image) -> Pixels:
    if picture.mode in ("I;16", "I;16B", "I", "F"):  # deep grey: stretch what is there to 8 bits
        values: NDArray[Any] = np.asarray(picture, np.float32)
        low, high = float(values.min()), float(values.max())
        grey = ((values - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        see_through = picture.convert("RGBA")
        ground = Image.new("RGBA", see_through.size, (*_DARK, 255))
        picture = Image.alpha_composite(ground, see_through)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"), np.uint8)


def _bomb() -> Permanent:
    megapixels = MAX_PIXELS // 1_000_000
    return Permanent(f"The picture has more than {megapixels} megapixels.", code="pixel_bomb", field="image")
