"""Uploads in, signed links out."""

from __future__ import annotations

import hashlib
import io
import json
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from app import create_app
from db.assets import Blob
from db.session import reading
from tests.app.conftest import KeyedClient

BYTES = b"\0\0\0\x18ftypisom\0\0\2\0" + bytes(range(256)) * 39 + bytes(240)
REGIONS = json.dumps([{"x": 0, "y": 0.8, "width": 1, "height": 0.2}])


def send(client, content=BYTES, name="moon.mp4", mime="video/mp4", **fields):
    return client.post("/api/v1/uploads", data={"file": (io.BytesIO(content), name, mime), **fields})


def process(client, content=BYTES, headers=None, **fields):
    data = {"file": (io.BytesIO(content), "moon.mp4", "video/mp4"), "regions": REGIONS, **fields}
    return client.post("/api/v1/upload-and-process", data=data, headers=headers)


@pytest.fixture
def link(client):
    job = process(client).json
    page = client.get(f"/api/v1/assets/{job['params']['asset_id']}/renditions").json
    parts = urlsplit(page["items"][0]["url"])
    return f"{parts.path}?{parts.query}"


def test_an_upload_is_stored_under_its_digest_and_waits_for_a_worker(client):
    answer = send(client, licence="CC-BY-4.0", creator="Ada")
    assert answer.status_code == 202, answer.text
    assert answer.json["state"] == "inspecting"
    assert answer.json["rights"] == {"licence": "CC-BY-4.0", "creator": "Ada"}
    with reading() as session:
        assert session.scalars(select(Blob.sha256)).all() == [hashlib.sha256(BYTES).hexdigest()]
    assert client.get(answer.headers["Location"]).json["filename"] == "moon.mp4"


def test_silence_about_rights_means_own_work(client):
    assert send(client).json["rights"] == {"licence": "LicenseRef-Own"}


def test_an_upload_can_be_announced_and_filled_later(client):
    made = client.post(
        "/api/v1/uploads/announce", json={"filename": "moon.png", "mime": "image/png", "size": len(BYTES)}
    )
    assert made.status_code == 201, made.text
    assert made.json["state"] == "created"
    address = made.json["content_url"]
    short = client.put(address, data=BYTES[:-1])
    assert short.status_code == 422
    assert client.put(address, data=BYTES).status_code == 202
    assert client.put(address, data=BYTES).status_code == 202
    assert client.put(address, data=BYTES + b"!").status_code == 409


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"content": b""}, 422, "file"),
        ({"mime": "text/html"}, 422, "mime"),
        ({"source_url": "javascript:alert(1)"}, 422, "source_url"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_bad_uploads_name_their_field(client, change, status, field):
    answer = send(client, **change)
    assert answer.status_code == status, answer.text
    assert field in answer.json["errors"]


def test_an_upload_without_a_file_or_not_as_multipart_is_refused(client):
    answer = client.post("/api/v1/uploads", data={"licence": "CC0-1.0"}, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert client.post("/api/v1/uploads", json={}).status_code == 415


def test_a_file_beyond_the_limit_is_413_and_leaves_nothing(settings, house):
    app = create_app(settings.model_copy(update={"max_upload_bytes": 1000}))
    app.test_client_class = KeyedClient
    client = app.test_client()
    client.key = house.key
    answer = send(client)
    assert answer.status_code == 413
    assert answer.json["code"] == "too_large"
    with reading() as session:
        assert session.scalars(select(Blob.sha256)).all() == []
    assert list((settings.var_dir / "scratch").glob("upload-*")) == []


def test_names_with_paths_lose_their_paths(client):
    assert send(client, name="../../etc/passwd.mp4").json["filename"] == "passwd.mp4"


def test_upload_and_process_starts_a_job_once_per_key(client):
    first = process(client, headers={"Idempotency-Key": "one"})
    assert first.status_code == 202, first.text
    assert first.json["kind"] == "text_removal"
    again = process(client, headers={"Idempotency-Key": "one"})
    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    other_bytes = process(client, content=BYTES + b"!", headers={"Idempotency-Key": "one"})
    assert other_bytes.status_code == 409


@pytest.mark.parametrize(
    "regions", ["", "no json", "{}", '[{"x": 0.9, "y": 0, "width": 0.2, "height": 1}]', "[" * 50_000]
)
def test_bad_regions_are_refused_and_leave_no_upload(client, regions):
    answer = process(client, regions=regions)
    assert answer.status_code == 422, answer.text
    assert client.get("/api/v1/uploads").json["items"] == []


def test_a_signed_link_gives_the_bytes_without_a_key(anonymous, link):
    answer = anonymous.get(link)
    assert answer.status_code == 200, answer.text
    assert answer.data == BYTES
    assert answer.mimetype == "video/mp4"
    assert "moon.mp4" in answer.headers["Content-Disposition"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 9), ("bytes=10-", 10, 10239), ("bytes=-5", 10235, 10239)],
)
def test_a_range_gives_that_part(anonymous, link, asked, start, end):
    answer = anonymous.get(link, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.data == BYTES[start : end + 1]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{len(BYTES)}"


def test_a_part_goes_on_only_with_the_file_it_began_with(anonymous, link):
    head = anonymous.head(link)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(BYTES))
    assert head.headers["Accept-Ranges"] == "bytes"
    part = {"Range": "bytes=100-"}
    same = anonymous.get(link, headers={**part, "If-Range": head.headers["ETag"]})
    assert (same.status_code, same.data) == (206, BYTES[100:])
    another = anonymous.get(link, headers={**part, "If-Range": '"another"'})
    assert (another.status_code, another.data) == (200, BYTES)


def test_a_range_beyond_the_end_is_416(anonymous, link):
    answer = anonymous.get(link, headers={"Range": "bytes=99999-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BYTES)}"


def test_known_bytes_are_not_sent_again(anonymous, link):
    tag = anonymous.get(link).headers["ETag"]
    assert anonymous.get(link, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    ("old", "new"), [("signature=", "signature=0"), ("moon", "sun"), ("expires=", "expires=9")]
)
def test_a_changed_link_is_refused(anonymous, link, old, new):
    answer = anonymous.get(link.replace(old, new))
    assert answer.status_code == 403


@pytest.mark.parametrize("key", ["../../etc/passwd", "%2e%2e/secret_key", "blobs//x", ".incoming/x"])
def test_no_link_climbs_out_of_the_store(anonymous, key):
    answer = anonymous.get(f"/api/v1/files/{key}?expires=9999999999&signature=00")
    assert answer.status_code in {403, 404, 422, 308}
    assert "root:" not in answer.text


def test_a_rendition_leads_to_its_signed_link(client, link):
    job = client.get("/api/v1/jobs").json["items"][0]
    page = client.get(f"/api/v1/assets/{job['params']['asset_id']}/renditions").json
    for address in ("renditions/{}/download", "files/{}"):
        answer = client.get("/api/v1/" + address.format(page["items"][0]["id"]))
        assert answer.status_code == 302
        assert "signature=" in answer.headers["Location"]
