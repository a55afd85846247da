from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from core.errors import Retryable
from media.burnt_text import BurntText, Found, TextKind
from media.inpaint import fill_text
from media.trimming import trim

WIDTH, HEIGHT = 160, 96


def scenery(seed=3, width=400, height=240):
    """A picture with detail at every scale, as photographs have."""
    draw = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.float32)
    for size in (2, 4, 8, 16, 32):
        small = draw.normal(0, 1, (height // size + 2, width // size + 2)).astype(np.float32)
        picture += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) * size**0.7
    return 118 + picture * 28 / picture.std()


def film(count, *, move=(0.0, 0.0), peak=255, chroma=2, noise=1.0, seed=3):
    """Frames of a camera moving over scenery: planes, whatever the subsampling."""
    world = cv2.GaussianBlur(scenery(seed), (0, 0), 0.8)
    draw = np.random.default_rng(seed + 1)
    frames = []
    for number in range(count):
        matrix = np.float32([[1, 0, 100 + move[0] * number], [0, 1, 60 + move[1] * number]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        luma = cv2.warpAffine(world, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
        size = (WIDTH // chroma, HEIGHT // chroma)
        planes = (luma, cv2.resize(luma * 0.4 + 70, size), cv2.resize(160 - luma * 0.3, size))
        kind = np.uint16 if peak > 255 else np.uint8
        frames.append(
            tuple(
                np.clip(np.rint((plane + draw.normal(0, noise, plane.shape)) * peak / 255), 0, peak).astype(
                    kind
                )
                for plane in planes
            )
        )
    return frames


def words(text="Words", scale=0.8):
    """Strokes of a word, and its mask."""
    picture = np.zeros((40, 120), np.uint8)
    cv2.putText(picture, text, (8, 28), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 3)
    return cv2.dilate(picture, np.ones((5, 5))) // 255 * 255


def line(first, last, *, x=20, y=40, mask=None, kind=TextKind.SUBTITLE, path=None):
    mask = words() if mask is None else mask
    return BurntText(first, last, x, y, mask, mask.copy(), kind, path=path)


def found(texts, count, cuts=()):
    return Found(WIDTH, HEIGHT, count, 25.0, tuple(texts), tuple(cuts))


def mask_of(text, number, shape=(HEIGHT, WIDTH)):
    whole = np.zeros(shape, bool)
    if text.first <= number <= text.last:
        x, y = text.corner(number)
        part = whole[max(0, y) : y + text.mask.shape[0], max(0, x) : max(0, x + text.mask.shape[1])]
        piece = text.mask[max(0, -y) :, max(0, -x) :][: part.shape[0], : part.shape[1]] > 0
        part |= piece
    return whole


def burn(frames, texts):
    """Write white over the masks, in all planes."""
    burnt = []
    for number, frame in enumerate(frames):
        masks = np.zeros((HEIGHT, WIDTH), bool)
        for text in texts:
            masks |= mask_of(text, number)
        planes = []
        for plane in frame:
            step = HEIGHT // plane.shape[0]
            small = masks.reshape(plane.shape[0], step, plane.shape[1], step).any((1, 3))
            planes.append(np.where(small, 1023 if plane.dtype == np.uint16 else 255, plane))
        burnt.append(tuple(plane.astype(frame[0].dtype) for plane in planes))
    return burnt


def error(clean, frames, texts, plane=0, numbers=None):
    """Root of the mean square inside the masks."""
    squares = []
    for number in range(len(frames)) if numbers is None else numbers:
        for text in texts:
            mask = mask_of(text, number)
            step = HEIGHT // frames[number][plane].shape[0]
            small = mask[::step, ::step]
            squares.append((clean[number][plane].astype(float) - frames[number][plane])[small] ** 2)
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def telea(burnt, texts):
    out = []
    for number, frame in enumerate(burnt):
        mask = np.any([mask_of(text, number) for text in texts], axis=0)
        out.append((cv2.inpaint(frame[0], mask.astype(np.uint8), 3, cv2.INPAINT_TELEA), *frame[1:]))
    return out


def test_nothing_outside_of_the_masks_is_touched_and_frames_without_text_are_given_as_they_came():
    frames = film(20, move=(1.3, 0.4))
    texts = [line(5, 14)]
    burnt = burn(frames, texts)
    before = [tuple(plane.copy() for plane in frame) for frame in burnt]

    clean = list(fill_text(iter(burnt), found(texts, 20)))

    assert len(clean) == 20
    for number in range(20):
        mask = mask_of(texts[0], number)
        small = mask.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).any((1, 3))
        for plane, area in zip(range(3), (mask, small, small), strict=True):
            assert np.array_equal(clean[number][plane][~area], burnt[number][plane][~area])
            assert np.array_equal(burnt[number][plane], before[number][plane]), "the input was written into"
        assert (clean[number][0][mask] != burnt[number][0][mask]).mean() > 0.9 if mask.any() else True
    assert clean[0] is burnt[0]


@pytest.mark.parametrize(
    ("peak", "chroma"), [(255, 2), (1023, 2), (255, 1)], ids=["8 bit", "10 bit", "4:4:4"]
)
def test_what_stood_behind_a_line_over_a_still_scene_comes_back_to_within_noise(peak, chroma):
    frames = film(24, peak=peak, chroma=chroma)
    texts = [line(8, 15)]

    clean = list(fill_text(iter(burn(frames, texts)), found(texts, 24)))

    for plane in range(3):
        assert error(clean, frames, texts, plane) < 2.2 * peak / 255


def test_nothing_is_taken_from_beyond_a_cut():
    one, other = film(12), film(12, seed=40)
    texts = [line(0, 11)]
    burnt = burn(one, texts) + other

    alone = list(fill_text(iter(burnt[:12]), found(texts, 12)))
    beside = list(fill_text(iter(burnt), found(texts, 24, cuts=[12])))

    assert all(np.array_equal(a[0], b[0]) for a, b in zip(alone, beside[:12], strict=True))


def test_a_mark_that_never_goes_is_filled_better_than_by_telea():
    frames = film(10)
    texts = [line(0, 9, kind=TextKind.WATERMARK)]
    burnt = burn(frames, texts)

    clean = list(fill_text(iter(burnt), found(texts, 10)))

    assert error(clean, frames, texts) < 0.95 * error(telea(burnt, texts), frames, texts)


def test_a_line_that_scrolls_past_both_edges_is_filled_in_every_frame():
    frames = film(40)
    path = np.array([[170 - 8 * n, 40] for n in range(40)], np.int32)
    texts = [line(0, 39, path=path, kind=TextKind.TICKER)]
    burnt = burn(frames, texts)

    clean = list(fill_text(iter(burnt), found(texts, 40)))

    assert error(clean, frames, texts) < 6


def test_a_mask_over_everything_leaves_the_frame_as_it_is():
    frames = film(3)
    texts = [line(0, 2, x=0, y=0, mask=np.full((HEIGHT, WIDTH), 255, np.uint8))]

    clean = list(fill_text(iter(frames), found(texts, 3)))

    assert all(np.array_equal(a[0], b[0]) for a, b in zip(clean, frames, strict=True))


def test_a_mask_of_more_pixels_than_opencv_has_rows_is_filled_along_the_motion():
    small = film(8, move=(3, 0))
    frames = [tuple(cv2.resize(plane, None, fx=4, fy=4) for plane in frame) for frame in small]
    texts = [line(2, 5, x=60, y=60, mask=np.full((160, 260), 255, np.uint8))]

    clean = list(fill_text(iter(frames), Found(WIDTH * 4, HEIGHT * 4, 8, 25.0, tuple(texts))))

    assert len(clean) == 8
    assert not np.array_equal(clean[3][0], frames[3][0])


def test_what_a_line_hides_from_a_moving_camera_is_taken_from_where_it_is_seen():
    frames = film(40, move=(4, 0))
    texts = [line(4, 35)]
    burnt = burn(frames, texts)

    clean = list(fill_text(iter(burnt), found(texts, 40)))
    spatial = list(fill_text(iter(burnt), found(texts, 40), quality="fast"))

    inside = range(8, 32)
    assert error(clean, frames, texts, numbers=inside) < 0.6 * error(
        telea(burnt, texts), frames, texts, numbers=inside
    )
    assert error(clean, frames, texts, numbers=inside) < 0.7 * error(spatial, frames, texts, numbers=inside)


def test_a_mask_drawn_too_wide_is_trimmed():
    frames = film(30, move=(0.7, 0.2))
    tight = line(0, 29, kind=TextKind.WATERMARK)
    broad = line(0, 29, mask=cv2.dilate(tight.mask, np.ones((5, 5))), kind=TextKind.WATERMARK)
    pictures = np.stack([frame[0] for frame in burn(frames, [tight])]).astype(np.float32)
    true, wide = mask_of(tight, 0), mask_of(broad, 0)

    kept, _ = trim(wide, pictures)

    assert (kept & true).sum() > 0.99 * true.sum()
    assert (kept & ~true).sum() < 0.5 * (wide & ~true).sum()


def test_it_tells_how_far_it_is_and_stops_when_told_to():
    frames = film(20)
    texts = [line(5, 14)]
    heard = []
    list(fill_text(iter(burn(frames, texts)), found(texts, 20), on_progress=heard.append))
    assert heard == list(range(1, 21))

    with pytest.raises(Retryable):
        list(fill_text(iter(frames), found(texts, 20), should_stop=lambda: True))


def test_only_as_many_frames_as_its_window_are_taken_ahead_of_those_given():
    taken = itertools.count()
    held = 0
    texts = [line(100, 109), line(600, 640)]
    frames = film(4)

    def source():
        for number in range(1200):
            next(taken)
            yield frames[number % 4]

    for number, _ in enumerate(fill_text(source(), found(texts, 1200))):
        held = max(held, taken.__reduce__()[1][0] - number)
    assert held <= 281
