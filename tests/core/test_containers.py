"""What a file begins with, by real files of each kind."""

from __future__ import annotations

import pytest

from core.containers import HEAD, describe_head, video_type
from media.ffmpeg import run as ffmpeg

KINDS = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
}


@pytest.mark.parametrize(("ending", "mime"), KINDS.items())
def test_a_video_is_told_by_its_first_bytes_whatever_it_is_called(tmp_path, ending, mime):
    path = tmp_path / f"clip.{ending}"
    codec = ["-c:v", "libvpx"] if ending == "webm" else ["-c:v", "mpeg4"]
    ffmpeg(["-f", "lavfi", "-i", "color=s=32x32:d=0.2:r=10", *codec], out=path, timeout=60)
    assert video_type(path.read_bytes()[:HEAD]) == mime


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a WAV sound"),
        (b"\0\0\0\x1cftypavif", "a picture or a sound"),
        (b"<!DOCTYPE html>", "a web page or XML"),
        (b"", None),
        (b"\0" * HEAD, None),
    ],
)
def test_what_is_no_video_is_called_by_what_it_seems_to_be(head, what):
    assert video_type(head) is None
    assert describe_head(head) == what
