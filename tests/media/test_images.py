from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import Permanent, Retryable
from media.images import (
    hamming,
    open_image,
    perceptual_hash,
    perceptual_hash_of,
    perceptual_hashes,
    save_jpeg,
    shrink,
)


def test_a_turned_photograph_is_opened_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").shape == (40, 20, 3)


def test_a_broken_picture_is_refused(photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:4000])
    with pytest.raises(Permanent) as e:
        open_image(cut)
    assert e.value.code == "corrupt_media"


def test_a_pixel_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (8_000, 8_000)).save(bomb)
    assert bomb.stat().st_size < 200_000
    with pytest.raises(Permanent) as e:
        open_image(bomb)
    assert e.value.code == "pixel_bomb"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_kind_of_pixels_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    Image.new(mode, (8, 6)).save(path)
    pixels = open_image(path)
    assert (pixels.shape, pixels.dtype) == ((6, 8, 3), np.uint8)


def test_a_copy_has_nearly_the_same_hash_and_another_picture_has_not(photo: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.jpg"
    save_jpeg(shrink(open_image(photo), 300), small, quality=60)
    one, copy = (perceptual_hash(open_image(p)) for p in (photo, small))
    other = perceptual_hash(np.flip(open_image(photo), axis=0).copy())
    assert len(one) == 16
    assert hamming(one, copy) <= 5
    assert hamming(one, other) > 10


def test_a_full_disk_while_saving_leaves_nothing_and_may_be_tried_again(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(Retryable) as e:
        save_jpeg(open_image(photo), tmp_path / "t.jpg")
    assert e.value.code == "disk_full"
    assert list(tmp_path.iterdir()) == []


def test_crops_of_a_picture_have_a_hash_in_common_and_another_picture_has_not(photo: Path) -> None:
    pixels = open_image(photo)
    for edge in (0.025, 0.05):
        y, x = round(360 * edge), round(640 * edge)
        cropped = perceptual_hashes(pixels[y : 360 - y, x : 640 - x].copy())
        assert min(hamming(one, cropped[0]) for one in perceptual_hashes(pixels)) <= 5
    mirrored = perceptual_hashes(np.flip(pixels, axis=1).copy())
    assert min(hamming(one, other) for one in mirrored for other in perceptual_hashes(pixels)) > 11


@pytest.mark.parametrize("plain", ["flat", "noise", "sky", "black"])
def test_a_plain_picture_has_no_hash(tmp_path: Path, plain: str) -> None:
    rng = np.random.default_rng(1)
    sky = np.repeat(np.linspace(80, 220, 360)[:, None], 640, axis=1)[:, :, None]
    grounds = {"flat": 128.0, "noise": rng.normal(128, 6, (360, 640, 3)), "sky": sky, "black": 0.0}
    noise = rng.normal(0, 2 if plain != "flat" else 0, (360, 640, 1))
    pixels = np.clip(np.broadcast_to(grounds[plain] + noise, (360, 640, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert perceptual_hashes(pixels) == ()
    assert perceptual_hash_of(tmp_path / "a.png") is None


def test_a_file_has_the_hash_of_its_pixels(photo: Path) -> None:
    assert perceptual_hash_of(photo) == perceptual_hash(open_image(photo))
