"""Pictures hashed, and hashed and scored, a second, against the imagehash package's pHash of the same files.

Every way opens the file itself: decoding is most of the work, and a way that spared it would judge nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bench.measuring import Measured, median

COUNT = 24
SIZE = (1920, 1280)


def measure(folder: Path, rounds: int) -> Measured:
    import imagehash

    from media.images import open_image, perceptual_hash, perceptual_hashes
    from media.quality import score_image

    files = _make(folder)

    def theirs(path: Path) -> None:
        with Image.open(path) as picture:
            imagehash.phash(picture)

    def hashed(path: Path) -> None:
        perceptual_hash(open_image(path))

    def scored(path: Path) -> None:
        pixels = open_image(path)
        perceptual_hashes(pixels)
        score_image(path, width=SIZE[0], height=SIZE[1], pixels=pixels)

    ways: dict[str, Callable[[Path], None]] = {"imagehash": theirs, "hashed": hashed, "scored": scored}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):  # the first turn warms what is loaded
        for name, way in ways.items():
            began = time.perf_counter()
            for path in files:
                way(path)
            if turn:
                rates[name].append(len(files) / (time.perf_counter() - began))
    pairs = {
        name: [one / other for one, other in zip(rates[name], rates["imagehash"], strict=True)]
        for name in ("hashed", "scored")
    }
    return Measured(
        ratios={
            "hash_vs_imagehash": median(pairs["hashed"]),
            "hash_and_score_vs_imagehash": median(pairs["scored"]),
        },
        figures={
            "hashed_per_second": median(rates["hashed"]),
            "hashed_and_scored_per_second": median(rates["scored"]),
            "imagehash_per_second": median(rates["imagehash"]),
            "pictures": COUNT,
            "width": SIZE[0],
            "height": SIZE[1],
        },
    )


def _make(folder: Path) -> list[Path]:
    """Photographs of nothing: soft shapes with grain, as JPEG."""
    dice = np.random.default_rng(1)
    files = []
    for number in range(COUNT):
        shapes = Image.fromarray(dice.integers(20, 235, (9, 14, 3), np.uint8)).resize(
            SIZE, Image.Resampling.BICUBIC
        )
        grain = dice.normal(0, 5, (SIZE[1], SIZE[0], 1))
        pixels = np.clip(np.asarray(shapes, np.float32) + grain, 0, 255).astype(np.uint8)
        files.append(folder / f"{number}.jpg")
        Image.fromarray(pixels).save(files[-1], quality=88)
    return files
