"""What a clip has to be for its text to be removed, and what is said of every other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Permanent
from media import ingest
from media.ffmpeg import run
from media.ingest import inspect


def refusal_of(path: Path) -> Permanent:
    with pytest.raises(Permanent) as e:
        inspect(path)
    return e.value


def test_a_clip_is_described_as_it_is_coded(make_clip) -> None:
    facts = inspect(make_clip("sound.mp4", sound=True))

    assert (facts.format, facts.codec, facts.width, facts.height) == ("mp4", "h264", 320, 180)
    assert (facts.pix_fmt, facts.planes, facts.fps, facts.frames) == ("yuv420p", "yuv420p", 25.0, 25)
    assert facts.duration == pytest.approx(1.0)
    assert (facts.sounds, facts.copies, facts.notes) == (1, True, ())


@pytest.mark.parametrize(
    ("name", "format_", "codec"),
    [
        ("a.mov", "mov", "libx264"),
        ("a.mkv", "matroska", "libx264"),
        ("a.avi", "avi", "mpeg4"),
        ("a.webm", "webm", "libvpx"),
    ],
)
def test_containers_are_told_by_what_is_in_them(
    make_clip, tmp_path, name: str, format_: str, codec: str
) -> None:
    clip = (
        make_clip(name, "-c:v", codec, "-deadline", "realtime")
        if codec == "libvpx"
        else make_clip(name, "-c:v", codec)
    )
    unnamed = tmp_path / "clip.bin"
    unnamed.write_bytes(clip.read_bytes())

    assert inspect(unnamed).format == format_


def test_pictures_of_other_kinds_are_worked_on_as_the_nearest_and_it_is_said(make_clip) -> None:
    facts = inspect(make_clip("rgb.mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp10le"))

    assert (facts.planes, facts.deep) == ("yuv444p10le", True)
    assert "yuv444p10le" in facts.notes[0]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert refusal_of(tmp_path / "a.mp4").code == "not_media"


def test_a_web_page_is_refused_by_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("<html></html>")
    assert "HTML" in refusal_of(tmp_path / "a.mp4").message


def test_sound_and_pictures_are_not_clips(speech: Path, photo: Path, tmp_path: Path) -> None:
    cover = tmp_path / "song.m4a"
    art = ["-f", "image2", "-i", str(photo), "-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "mjpeg"]
    run(["-i", str(speech), *art, "-disposition:v", "attached_pic", "-f", "mp4"], out=cover, timeout=20)

    for path in (speech, photo, cover):
        assert refusal_of(path).code == "wrong_kind"


def test_an_animated_gif_is_refused_with_what_to_send(make_clip) -> None:
    error = refusal_of(make_clip("a.gif", "-c:v", "gif", "-pix_fmt", "pal8", seconds=0.2))
    assert error.code == "unsupported_format"
    assert "GIF" in error.message
    assert "mp4" in error.message


def test_an_encrypted_clip_is_refused(make_clip, tmp_path: Path) -> None:
    locked = tmp_path / "locked.mp4"
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"]
    kid = ["-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"]
    run(["-i", str(make_clip("sound.mp4", sound=True)), "-c", "copy", *key, *kid], out=locked, timeout=20)

    assert refusal_of(locked).code == "encrypted"


@pytest.mark.parametrize("alpha", [("a.mov", "prores_ks", "yuva444p10le"), ("a2.webm", "libvpx", "yuva420p")])
def test_a_clip_with_transparency_is_refused(make_clip, alpha: tuple[str, str, str]) -> None:
    name, codec, pix_fmt = alpha
    clip = make_clip(f"clear-{name}", "-c:v", codec, "-pix_fmt", pix_fmt, "-auto-alt-ref", "0", seconds=0.2)
    error = refusal_of(clip)
    assert error.code == "unsupported_format"
    assert "transparency" in error.message


def test_too_large_and_too_small_pictures_are_refused_with_the_limit(make_clip) -> None:
    large = refusal_of(make_clip("8k.mkv", "-c:v", "mpeg4", "-s", "7680x64", seconds=0.1))
    assert (large.code, "4096" in large.message) == ("too_large", True)
    small = refusal_of(make_clip("dot.mkv", "-c:v", "ffv1", "-s", "1x1", seconds=0.1))
    assert (small.code, "32" in small.message) == ("too_small", True)


def test_a_clip_of_many_hours_is_refused_with_the_limit(make_clip) -> None:
    slow = make_clip("slow.mkv", "-vf", "setpts=N*1800/TB", "-fps_mode", "vfr", "-g", "1")
    error = refusal_of(slow)
    assert error.code == "too_long"
    assert f"{ingest.SECONDS_MAX // 3600} hours" in error.message


@pytest.mark.parametrize("faststart", [False, True])
def test_a_clip_that_is_cut_off_is_refused(make_clip, tmp_path: Path, faststart: bool) -> None:
    whole = make_clip(f"whole{faststart}.mp4", *(["-movflags", "+faststart"] if faststart else []), seconds=2)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert refusal_of(cut).code == "corrupt_media"
