"""What adapters share when they ask: pictures, links, and which refusal means what."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

from core.answers import Answer, retry_after
from core.errors import Misconfigured, Permanent, Rejected, Retryable, Unconfirmed
from providers.asking import data_uri, data_uri_length, is_at, mime_of, refusal, size_of, words_for
from providers.base import VideoRequest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(9)


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, body, "https://vendor.test/v1")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 1000])
def test_a_picture_is_text_of_the_length_foretold(tmp_path, length):
    path = tmp_path / "blob"
    path.write_bytes(PNG + bytes(length))
    assert data_uri(path) == "data:image/png;base64," + base64.b64encode(PNG + bytes(length)).decode()
    assert data_uri_length(path) == len(data_uri(path))


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_its_bytes_not_by_its_name(tmp_path, head, mime):
    path = tmp_path / "blob.gif"
    path.write_bytes(head)
    assert mime_of(path) == mime


@pytest.mark.parametrize("head", [b"", b"GIF89a", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_what_is_no_picture_is_refused_with_the_kinds_that_are(tmp_path, head):
    path = tmp_path / "blob.png"
    path.write_bytes(head)
    with pytest.raises(Rejected, match="image/jpeg, image/png, image/webp") as caught:
        mime_of(path)
    assert caught.value.field == "reference"


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://queue.fal.run/x", True),
        ("https://fal.run/x", True),
        ("http://queue.fal.run/x", False),
        ("https://fal.run.evil.test/x", False),
        ("https://evilfal.run/x", False),
        ("https://fal.run@evil.test/x", False),
        ("http://127.0.0.1:8090/fal/x", True),
        ("http://127.0.0.1:8091/fal/x", False),
        ("https://127.0.0.1:8090/fal/x", False),
        ("", False),
    ],
)
def test_a_key_goes_only_where_the_vendor_is(url, ours):
    assert is_at(url, "http://127.0.0.1:8090/fal", "fal.run") is ours


def test_the_cameras_move_is_said_in_words():
    ask = VideoRequest("shot", "A fox. ", width=16, height=9, fps=24, frames=24)
    assert words_for(ask) == "A fox."
    assert words_for(VideoRequest(**{**vars(ask), "move": "auto"})) == "A fox."
    assert words_for(VideoRequest(**{**vars(ask), "move": "push in"})) == "A fox. Camera: push in."


@pytest.mark.parametrize(
    ("status", "write", "repeat", "error"),
    [
        (200, True, None, Unconfirmed),
        (200, False, None, Retryable),
        (400, True, None, Rejected),
        (401, True, None, Misconfigured),
        (402, True, True, Misconfigured),
        (403, False, None, Misconfigured),
        (404, True, None, Misconfigured),
        (408, True, None, Unconfirmed),
        (408, False, None, Retryable),
        (409, True, None, Permanent),
        (409, True, True, Retryable),
        (422, True, None, Rejected),
        (422, True, True, Retryable),
        (429, True, None, Retryable),
        (429, True, False, Permanent),
        (500, True, None, Unconfirmed),
        (500, True, True, Unconfirmed),
        (500, True, False, Unconfirmed),
        (503, False, None, Retryable),
        (503, False, False, Permanent),
    ],
)
def test_a_refusal_is_sorted_by_what_is_certain_first_and_then_by_the_vendors_word(
    status, write, repeat, error
):
    made = refusal("Vendor", answer(status, b"oh no"), write=write, repeat=repeat)
    assert type(made) is error
    assert str(status) in made.message
    assert "oh no" in made.message


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (answer(429, retry_after_ms="1500", Retry_After="9"), 1.5),
        (answer(429, retry_after_ms="soon", Retry_After="9"), 9.0),
        (answer(429, b'{"detail":"Request was throttled. Your rate limit resets in ~30s."}'), 30.0),
        (answer(429, b'{"detail": "Request was throttled. Expected available in 3600 seconds."}'), 3600.0),
        (answer(429, b'{"detail":"slow down"}'), None),
    ],
)
def test_the_wait_is_read_from_headers_and_from_words(given, seconds):
    assert retry_after(given) == seconds
    assert refusal("Vendor", given, write=True).retry_after == seconds


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (3000, 7)])
@pytest.mark.parametrize(
    ("kind", "more"), [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True, "exif": b"Exif" * 99})]
)
def test_the_size_of_a_picture_is_read_from_its_header(tmp_path, size, kind, more):
    Image.new("RGB", size, "teal").save(tmp_path / "picture", kind, **more)
    assert size_of(tmp_path / "picture") == size


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00" * 9, b"GIF89a" * 9]
)
def test_a_picture_without_a_size_is_refused_with_the_field(tmp_path, data):
    (tmp_path / "picture").write_bytes(data)
    with pytest.raises(Rejected) as caught:
        size_of(tmp_path / "picture")
    assert caught.value.field == "reference"
