from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from core.errors import Permanent
from media.ffmpeg import run
from media.probe import probe, probe_many


def test_a_clip_is_described_with_its_sound(make_clip) -> None:
    seen = probe(make_clip("sound.mp4", sound=True))
    assert (seen.kind, seen.width, seen.height, seen.fps, seen.frames) == ("clip", 320, 180, 25.0, 25)
    assert seen.duration == pytest.approx(1.0)
    assert seen.has_audio
    assert not seen.vfr


def test_a_clip_without_sound_says_so(make_clip) -> None:
    assert not probe(make_clip("plain.mp4")).has_audio


def test_a_phone_clip_is_measured_upright(make_clip, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    run(["-display_rotation", "90", "-i", str(make_clip("plain.mp4")), "-c", "copy"], out=turned, timeout=20)
    seen = probe(turned)
    assert (seen.width, seen.height) == (180, 320)
    assert seen.rotation in (90, 270)


def test_wide_pixels_are_counted_as_shown(make_clip) -> None:
    assert probe(make_clip("wide.mp4", "-vf", "setsar=2")).width == 640


def test_variable_frame_rate_is_noticed(make_clip) -> None:
    uneven = make_clip("vfr.mp4", "-vf", "select='lt(n,10)+not(mod(n,4))'", "-fps_mode", "vfr", seconds=2)
    assert probe(uneven).vfr


def test_a_missing_frame_rate_is_measured_or_zero_but_never_an_error(make_clip) -> None:
    raw = make_clip("raw.h264", "-f", "h264")
    seen = probe(raw)
    assert seen.kind == "clip"
    assert 0 <= seen.fps < 1000
    still = make_clip("one.mkv", "-frames:v", "1", "-f", "matroska")
    assert probe(still).frames == 1


def test_a_web_page_named_jpg_is_refused_by_what_it_is(tmp_path: Path) -> None:
    page = tmp_path / "photo.jpg"
    page.write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    with pytest.raises(Permanent) as e:
        probe(page)
    assert e.value.code == "not_media"
    assert "HTML" in e.value.message


@pytest.mark.parametrize("faststart", [False, True])
def test_a_cut_off_clip_is_refused(make_clip, tmp_path: Path, faststart: bool) -> None:
    whole = make_clip(f"whole{faststart}.mp4", *(["-movflags", "+faststart"] if faststart else []), seconds=2)
    cut = tmp_path / "cut.mp4"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(Permanent) as e:
        probe(cut)
    assert e.value.code == "corrupt_media"
    assert "cut off" in e.value.message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(Permanent, match="empty"):
        probe(tmp_path / "a.png")


def test_a_turned_photograph_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    seen = probe(tmp_path / "a.jpg")
    assert (seen.kind, seen.width, seen.height) == ("image", 20, 40)


def test_many_files_are_answered_in_order_and_a_bad_one_spoils_nothing(
    make_clip, photo: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<html></html>")
    odd = tmp_path / "it's [odd], name.mp4"
    shutil.copy(make_clip("plain.mp4"), odd)
    image, bad, clip = probe_many([photo, page, odd])
    assert getattr(image, "kind", None) == "image"
    assert isinstance(bad, Permanent)
    assert getattr(clip, "kind", None) == "clip"


def test_sound_alone_is_audio(speech: Path) -> None:
    seen = probe(speech)
    assert (seen.kind, seen.sample_rate, seen.channels) == ("audio", 22_050, 1)
    assert seen.duration == pytest.approx(2.0)
