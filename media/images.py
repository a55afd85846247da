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
_DARK = (16, 18, 24)


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
            upright = ImageOps.exif_transpose(picture)
            return _flatten(upright)
        except (OSError, ValueError, SyntaxError, EOFError, IndexError) as e:
            raise Permanent(
                "The picture is damaged or cut off and cannot be decoded.",
                code="corrupt_media",
                field="image",
            ) from e


def save_thumbnail(path: Path, out: Path, *, side: int = 480, quality: int = 85) -> None:
    """Write a JPEG of the picture, at most `side` pixels on its long side."""
    save_jpeg(shrink(open_image(path), side), out, quality=quality)


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


def perceptual_hash(pixels: Pixels) -> str:
    """Hash a picture to 16 hex digits that differ in few bits between copies of it.

    DCT hash: grey, 32x32, the 8x8 lowest frequencies against their median. Compare by Hamming
    distance: <= 5 the same picture, <= 10 probably; never with hashes of another library.
    """
    import cv2

    grey = cv2.cvtColor(shrink(pixels, 512), cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].flatten()
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if b else '0' for b in bits), 2):016x}"


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
    return np.asarray(picture.convert("RGB"), np.uint8)


def _bomb() -> Permanent:
    megapixels = MAX_PIXELS // 1_000_000
    return Permanent(f"The picture has more than {megapixels} megapixels.", code="pixel_bomb", field="image")
