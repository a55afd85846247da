"""What is known of burnt-in text survives being kept in a file."""

from __future__ import annotations

import numpy as np

from media.burnt_text import BurntText, Found, TextKind, load_found


def test_what_was_found_is_read_back_as_it_was(tmp_path):
    rng = np.random.default_rng(1)
    mask = ((rng.random((7, 19)) > 0.5) * 255).astype(np.uint8)
    path = np.array([[3, 4], [2, 4], [1, 5]], np.int32)
    still = BurntText(5, 9, 30, 40, mask, mask // 2 * 2, TextKind.SUBTITLE, "Où est-il ?", 0.9)
    moving = BurntText(0, 2, 3, 4, mask, mask, TextKind.TICKER, path=path)
    found = Found(320, 180, 20, 23.976, (still, moving), (8,), ("a note",))
    found.save(tmp_path / "found.npz")
    again = load_found(tmp_path / "found.npz")
    assert (again.width, again.height, again.frames, again.fps) == (320, 180, 20, 23.976)
    assert (again.cuts, again.notes) == ((8,), ("a note",))
    for before, after in zip(found.texts, again.texts, strict=True):
        assert (before.first, before.last, before.x, before.y) == (after.first, after.last, after.x, after.y)
        assert (before.kind, before.words, before.confidence) == (after.kind, after.words, after.confidence)
        assert np.array_equal(before.mask, after.mask)
        assert np.array_equal(before.strokes > 0, after.strokes > 0)
    assert again.texts[0].path is None
    assert again.texts[1].corner(2) == (1, 5)
