"""A clip and its job in one call, and uploads that survive a lost connection."""

from __future__ import annotations

import base64
import io
import json
import random
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app import create_app
from core.storage import open_storage
from db.assets import Blob, Clip, Upload
from db.session import reading, transaction
from db.work import Job
from tasks import beat
from tests.app.conftest import KeyedClient

MP4 = b"\0\0\0\x18ftypisom\0\0\2\0" + random.Random(7).randbytes(40_000)
REGION = {"x": 0, "y": 0.8, "width": 1, "height": 0.2}
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {"Content-Type": "application/offset+octet-stream"}
DOOR = "/api/v1/upload-and-process"


def process(client, content=MP4, name="Night at the Möbius.mp4", headers=None, **fields):
    data = {"file": (io.BytesIO(content), name, "video/mp4"), "regions": json.dumps([REGION]), **fields}
    return client.post(DOOR, data=data, headers=headers)


def announce(client, content=MP4, **more):
    said = {"filename": "moon.mp4", "mime": "video/mp4", "size": len(content), **more}
    return client.post("/api/v1/uploads/announce", json=said).json


def send(client, address, content, offset, **headers):
    return client.patch(
        address, data=content, headers={**TUS, **PIECE, "Upload-Offset": str(offset), **headers}
    )


def rows(*tables):
    with reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def stored(settings):
    return [item.key for item in open_storage(settings).list()]


def test_a_form_is_a_job_with_the_clip_and_everything_that_was_said(client):
    answer = process(
        client,
        display_name="For Tuesday",
        timeout_minutes="45",
        priority="3",
        reuse="false",
        keep="EXIT, HOTEL",
    )
    assert answer.status_code == 202, answer.text
    job = answer.json
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["display_name"], job["timeout_minutes"], job["priority"]) == ("For Tuesday", 45.0, 3)
    assert job["deadline_at"] is not None
    assert (job["estimated_credits"], job["actual_credits_used"]) == (0, 0)
    assert job["params"]["regions"][0]["y"] == 0.8
    assert job["params"]["reuse"] is False
    assert job["params"]["keep"] == ["EXIT", "HOTEL"]
    clip = client.get(f"/api/v1/assets/{job['params']['asset_id']}").json
    assert clip["name"] == "Night at the Möbius.mp4"


def test_params_may_come_together_as_json_and_the_job_is_named_after_its_file(client):
    answer = client.post(
        DOOR, data={"file": (io.BytesIO(MP4), "moon.mp4"), "params": json.dumps({"regions": [REGION]})}
    )
    assert answer.status_code == 202, answer.text
    assert answer.json["display_name"] == "moon.mp4"
    both = process(client, params=json.dumps({"regions": []}))
    assert both.status_code == 422
    assert "regions" in both.json["errors"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"regions": "no json"}, "regions"),
        ({"regions": "[" * 50_000}, "regions"),
        ({"regions": '[{"x": 0.9, "y": 0, "width": 0.2, "height": 1}]'}, "params.regions.0.x"),
        ({"colour": "red"}, "colour"),
        ({"params": "[]"}, "params"),
        ({"timeout_minutes": "0"}, "timeout_minutes"),
        ({"source_url": "javascript:alert(1)"}, "source_url"),
        ({"project_id": "mine"}, "project_id"),
    ],
)
def test_what_is_wrong_names_its_field_and_nothing_is_kept(client, settings, fields, field):
    answer = process(client, **fields)
    assert answer.status_code == 422, answer.text
    assert field in answer.json["errors"]
    assert rows(Job, Clip, Upload, Blob) == [0, 0, 0, 0]
    assert stored(settings) == []


@pytest.mark.parametrize(
    ("content", "status", "word"),
    [
        (b"", 422, "empty"),
        (b"%PDF-1.7 " * 99, 415, "PDF"),
        (b"RIFF\0\0\0\0WAVE" * 9, 415, "WAV"),
        (b"x", 415, "video"),
    ],
)
def test_a_file_that_is_no_video_is_refused_and_nothing_is_kept(client, settings, content, status, word):
    answer = process(client, content=content)
    assert answer.status_code == status, answer.text
    assert word in answer.json["detail"]
    assert rows(Job, Clip, Upload, Blob) == [0, 0, 0, 0]
    assert stored(settings) == []
    assert list((settings.var_dir / "scratch").iterdir()) == []


def test_another_workspaces_project_or_upload_is_404_and_nothing_is_kept(client, other, settings):
    project = other.client.post("/api/v1/projects", json={"name": "Theirs"}).json["id"]
    assert process(client, project_id=project).status_code == 404
    assert rows(Job, Clip, Upload) == [0, 0, 0]
    assert stored(settings) == []
    theirs = announce(other.client)
    ask = {"upload_id": theirs["id"], "params": {"regions": [REGION]}}
    assert client.post(DOOR, json=ask).status_code == 404
    assert client.head(theirs["content_url"], headers=TUS).status_code == 404
    assert send(client, theirs["content_url"], MP4, 0).status_code == 404


# -- piece by piece -------------------------------------------------------------------------------


def test_an_upload_goes_on_where_it_stopped_and_then_becomes_a_job(client, settings):
    made = announce(client)
    address = made["content_url"]
    for begin, end in ((0, 10_000), (10_000, 10_001), (10_001, 30_000)):
        answer = send(client, address, MP4[begin:end], begin)
        assert answer.status_code == 204, answer.text
        assert answer.headers["Upload-Offset"] == str(end)
    where = client.head(address, headers=TUS)
    assert (where.headers["Upload-Offset"], where.headers["Upload-Length"]) == ("30000", str(len(MP4)))
    assert "Upload-Expires" in where.headers
    early = client.post(DOOR, json={"upload_id": made["id"], "params": {"regions": [REGION]}})
    assert (early.status_code, early.json["code"]) == (409, "upload_incomplete")
    assert "30000 of" in early.json["detail"]
    assert client.get(f"/api/v1/uploads/{made['id']}").json["state"] == "receiving"
    assert send(client, address, MP4[30_000:], 30_000).status_code == 204
    shown = client.get(f"/api/v1/uploads/{made['id']}").json
    assert (shown["state"], shown["received"], shown["upload_url"]) == ("inspecting", len(MP4), None)
    with reading() as session:
        blob = session.scalars(select(Blob)).one()
    assert stored(settings) == [blob.storage_key]
    with open_storage(settings).open(blob.storage_key) as file:
        assert file.read() == MP4
    job = client.post(DOOR, json={"upload_id": made["id"], "params": {"regions": [REGION]}})
    assert job.status_code == 202, job.text
    assert job.json["display_name"] == "moon.mp4"
    again = client.post(DOOR, json={"upload_id": made["id"], "params": {"regions": [REGION]}})
    assert again.json["params"]["asset_id"] == job.json["params"]["asset_id"]


def test_a_wrong_offset_is_409_and_more_than_was_announced_413(client):
    address = announce(client)["content_url"]
    assert send(client, address, MP4[:100], 0).status_code == 204
    stale = send(client, address, MP4[:100], 0)
    assert (stale.status_code, stale.json["code"]) == (409, "offset_mismatch")
    assert send(client, address, MP4[:100], 200).status_code == 409
    assert send(client, address, MP4[100:] + b"!", 100).status_code == 413
    assert client.head(address, headers=TUS).headers["Upload-Offset"] == "100"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "video/mp4"}, 415),
        ({"Upload-Offset": "-1"}, 422),
        ({"Upload-Offset": "1e3"}, 422),
        ({"Tus-Resumable": "0.2.2"}, 412),
    ],
)
def test_a_piece_that_is_not_in_the_protocol_is_refused(client, headers, status):
    address = announce(client)["content_url"]
    assert send(client, address, MP4[:10], 0, **headers).status_code == status


def test_what_the_protocol_asks_of_a_server_is_told(anonymous, client):
    told = anonymous.options("/api/v1/uploads/tus").headers
    assert (told["Tus-Version"], told["Tus-Extension"]) == ("1.0.0", "creation,expiration,termination")
    assert int(told["Tus-Max-Size"]) == 2 * 1024**3
    said = ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}"
        for name, value in {"filename": "../Möbius.mp4", "filetype": "video/mp4", "creator": "Ada"}.items()
    )
    made = client.post("/api/v1/uploads/tus", headers={**TUS, "Upload-Length": "10", "Upload-Metadata": said})
    assert made.status_code == 201, made.text
    upload = client.get("/api/v1/uploads").json["items"][0]
    assert (upload["filename"], upload["size"], upload["rights"]["creator"]) == ("Möbius.mp4", 10, "Ada")
    assert made.headers["Location"] == upload["content_url"]
    for headers in (
        {"Upload-Length": "0"},
        {"Upload-Length": "x"},
        {"Upload-Length": "9", "Upload-Metadata": "a ?"},
    ):
        assert client.post("/api/v1/uploads/tus", headers=TUS | headers).status_code == 422
    too_large = client.post("/api/v1/uploads/tus", headers={**TUS, "Upload-Length": str(3 * 1024**3)})
    assert too_large.status_code == 413


def test_a_link_sends_one_upload_without_a_key_and_nothing_else(anonymous, client):
    mine, another = announce(client), announce(client)
    link = mine["upload_url"].partition("/api/")[2]
    token = link.partition("?")[2]
    assert send(anonymous, f"/api/{link}", MP4[:50], 0).status_code == 204
    assert anonymous.head(f"/api/{link}", headers=TUS).headers["Upload-Offset"] == "50"
    assert send(anonymous, f"{another['content_url']}?{token}", MP4[:50], 0).status_code == 401
    assert anonymous.get(f"/api/v1/uploads/{mine['id']}?{token}").status_code == 401
    assert send(anonymous, mine["content_url"] + "?token=forged", MP4[:50], 50).status_code == 401


def test_an_unfinished_upload_is_dropped_when_asked_or_when_nobody_goes_on(client, settings):
    given_up, forgotten, fresh = announce(client), announce(client), announce(client)
    for made in (given_up, forgotten, fresh):
        send(client, made["content_url"], MP4[:100], 0)
    assert len(stored(settings)) == 3
    assert client.delete(given_up["content_url"], headers=TUS).status_code == 204
    assert client.head(given_up["content_url"], headers=TUS).status_code == 404
    with transaction() as session:
        late = update(Upload).where(Upload.id == forgotten["id"])
        session.execute(late.values(expires_at=func.now() - timedelta(seconds=1)))
    assert client.head(forgotten["content_url"], headers=TUS).status_code == 410
    assert send(client, forgotten["content_url"], MP4[100:], 100).status_code == 410
    beat.expire_uploads()
    assert [item["id"] for item in client.get("/api/v1/uploads").json["items"]] == [fresh["id"]]
    assert len(stored(settings)) == 1
    assert send(client, fresh["content_url"], MP4[100:], 100).status_code == 204
    assert client.delete(fresh["content_url"], headers=TUS).status_code == 409


def test_a_picture_that_was_uploaded_cannot_be_cleaned(client):
    made = announce(client, content=b"\x89PNG" + bytes(96), filename="moon.png", mime="image/png")
    assert send(client, made["content_url"], b"\x89PNG" + bytes(96), 0).status_code == 204
    answer = client.post(DOOR, json={"upload_id": made["id"], "params": {"regions": [REGION]}})
    assert (answer.status_code, answer.json["code"]) == (415, "not_a_video")
    assert "PNG" in answer.json["detail"]


def test_a_file_beyond_the_limit_is_413_in_a_form_too(settings, house):
    app = create_app(settings.model_copy(update={"max_upload_bytes": 1000}))
    app.test_client_class = KeyedClient
    client = app.test_client()
    client.key = house.key
    assert process(client).status_code == 413
    assert rows(Job, Upload, Blob) == [0, 0, 0]
