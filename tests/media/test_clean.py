"""The whole way of a clip: its text is found, what it hides is filled, and it is read once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import Permanent, Retryable
from media.burnt_text import Area, Ask, Found
from media.clean import clean, contact_sheet, find, verify
from media.ffmpeg import run
from media.fonts import install_fonts
from media.frames import pick_frames, read_frames
from media.ingest import inspect

WORDS = "Where did you find it?"


@pytest.fixture(scope="module")
def subtitled(made: Path, photo: Path) -> Path:
    """Three seconds of a picture that moves, with a line from 1.0 to 1.6 s, and sound."""
    path = made / "subtitled.mp4"
    font = install_fonts(made / "fonts") / "FiraGO-Bold.ttf"
    line = f"drawtext=fontfile='{font}':text='{WORDS}':fontsize=30:fontcolor=white:borderw=2:x=70:y=220"
    move = "crop=480:270:x=20+n/2:y=40"
    filters = f"{move},{line}:enable='between(n,20,31)'"
    pictures = ["-f", "image2", "-loop", "1", "-framerate", "20", "-t", "3", "-i", str(photo)]
    sound = ["-f", "lavfi", "-i", "sine=440:d=3", "-c:a", "aac"]
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-pix_fmt", "yuv420p"]
    run([*pictures, *sound, "-vf", filters, *codec], out=path, timeout=60)
    return path


@pytest.fixture(scope="module")
def found(subtitled: Path) -> Found:
    return find(subtitled, Ask())


def test_a_subtitle_is_taken_out_and_nothing_else_changes(
    subtitled: Path, found: Found, tmp_path: Path
) -> None:
    out, told = tmp_path / "out.mp4", []

    done = clean(subtitled, out, found, Ask(), on_progress=told.append)
    proof = verify(subtitled, out, found, Ask())

    assert [text.words.replace(" ", "") for text in found.texts] == [WORDS.replace(" ", "")]
    assert (proof.residue_chars, proof.left, proof.clean, proof.kept) == (0, (), True, True)
    assert proof.texts_checked == 1
    assert proof.frames_checked >= 3
    assert 0 < done.encoded < done.frames == 60
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert proof.flicker is not None
    assert proof.seam is not None
    assert proof.flicker < 3
    assert proof.seam < 2
    assert "tesseract" in " ".join((*proof.readers, *proof.notes))


def test_text_that_is_left_is_reported_with_its_time(subtitled: Path, found: Found) -> None:
    proof = verify(subtitled, subtitled, found, Ask())

    assert not proof.clean
    assert proof.residue_chars >= 15
    assert 1.0 <= proof.left[0].seconds <= 1.6
    assert "find" in proof.left[0].words


def test_a_marked_area_is_read_in_the_clip_itself(subtitled: Path) -> None:
    ask = Ask(clean=(Area(((0.1, 0.75), (0.95, 0.75), (0.95, 0.98), (0.1, 0.98)), 1.0, 1.6),))
    marked = find(subtitled, ask)

    assert [text.words for text in marked.texts] == [""]
    assert not verify(subtitled, subtitled, marked, ask).clean


def test_a_clip_without_text_is_the_same_file(make_clip, tmp_path: Path) -> None:
    plain = make_clip("grey.mp4", "-vf", "hue=s=0,boxblur=20", sound=True)
    none = find(plain, Ask())
    assert none.texts == ()

    done = clean(plain, tmp_path / "out.mp4", none, Ask())

    assert (tmp_path / "out.mp4").read_bytes() == plain.read_bytes()
    assert (done.encoded, done.copied) == (0, 25)


def test_the_sheet_shows_each_moment_before_and_after(subtitled: Path, found: Found, tmp_path: Path) -> None:
    contact_sheet(subtitled, subtitled, found, tmp_path / "sheet.jpg")

    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.width > 2 * 480
        left, right = (np.asarray(sheet.crop((x, 74, x + 600, 400)), float) for x in (28, 664))
    assert np.abs(left - right).max() > 100  # the box around the text
    assert np.abs(left - right).mean() < 10


def test_frames_are_picked_by_their_numbers(subtitled: Path) -> None:
    facts = inspect(subtitled)
    whole = list(read_frames(subtitled, facts))

    picked = dict(pick_frames(subtitled, facts, [59, 0, 25, 26]))

    assert sorted(picked) == [0, 25, 26, 59]
    for number, planes in picked.items():
        assert all(np.array_equal(a, b) for a, b in zip(planes, whole[number], strict=True))


def test_a_wish_to_stop_is_heard_while_looking(subtitled: Path) -> None:
    with pytest.raises(Retryable) as e:
        find(subtitled, Ask(), should_stop=lambda: True)
    assert e.value.code == "stopped"


def damaged(clip: Path, out: Path, share: float) -> Path:
    """Write noise over a share of the bytes in the middle."""
    data = bytearray(clip.read_bytes())
    middle, length = len(data) // 2, int(len(data) * share)
    data[middle : middle + length] = np.random.default_rng(3).bytes(length)
    out.write_bytes(data)
    return out


def test_a_damaged_middle_is_mended_and_said(subtitled: Path, found: Found, tmp_path: Path) -> None:
    broken = damaged(subtitled, tmp_path / "broken.mp4", 0.03)

    seen = find(broken, Ask())
    clean(broken, tmp_path / "out.mp4", seen, Ask())

    assert any("damaged" in note for note in seen.notes)
    assert sum(1 for _ in read_frames(tmp_path / "out.mp4", inspect(tmp_path / "out.mp4"))) == seen.frames


def test_a_clip_that_is_mostly_damaged_is_refused(subtitled: Path, tmp_path: Path) -> None:
    broken = damaged(subtitled, tmp_path / "broken.mp4", 0.48)
    with pytest.raises(Permanent) as e:
        find(broken, Ask())
    assert e.value.code == "corrupt_media"
