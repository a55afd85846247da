"""A clip sent through the real door, cleaned, followed and saved: in one call, and as an upload that broke off."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import simple_websocket
from tusclient.client import TusClient

from media.ffmpeg import run as ffmpeg
from media.probe import probe
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PARAMS = {"regions": [{"x": 0.22, "y": 0.68, "width": 0.56, "height": 0.22}]}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A short clip with a bright burnt-in bar."""
    path = tmp_path_factory.mktemp("clips") / "Nacht über Köln.mp4"
    picture = "color=c=gray:s=320x180:d=1:r=24,drawbox=x=80:y=130:w=160:h=24:c=white:t=fill"
    ffmpeg(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p"], out=path, timeout=60)
    return path


def follow(studio: Studio, job_id: str) -> list[dict]:
    """Listen to a job until it has ended, coming back once in the middle."""
    address = f"{studio.base.replace('http://', 'ws://')}/jobs/{job_id}/ws"
    key = {"X-API-Key": studio.http.headers["X-API-Key"]}
    seen: list[dict] = []
    line = simple_websocket.Client(f"{address}?after_id=0", headers=key)
    while not seen or seen[-1]["event"] != "end":
        text = line.receive(timeout=90)
        assert text is not None, seen
        seen.append(json.loads(text))
        if len([m for m in seen if "id" in m]) == 2 and "id" in seen[-1]:
            line.close()
            line = simple_websocket.Client(f"{address}?after_id={seen[-1]['id']}", headers=key)
    return seen


def test_a_clip_sent_in_one_call_comes_back_clean_under_its_own_name(studio, clip, tmp_path):
    form = {"params": json.dumps(PARAMS), "timeout_minutes": "30"}
    with clip.open("rb") as file:
        answer = studio.http.post(
            f"{studio.base}/upload-and-process", files={"file": (clip.name, file)}, data=form, timeout=60
        )
    assert answer.status_code == 202, answer.text
    told = follow(studio, answer.json()["id"])
    numbers = [message["id"] for message in told if "id" in message]
    assert numbers == list(range(1, len(numbers) + 1))
    assert told[-2]["data"]["progress"] == 1.0
    job = studio.get(f"/jobs/{answer.json()['id']}")
    assert job["state"] == "succeeded", job
    assert (job["display_name"], job["actual_credits_used"]) == (clip.name, 0)
    address = f"{studio.base}/jobs/{job['id']}/download"
    whole = studio.http.get(address, timeout=20)
    assert "Nacht%20%C3%BCber%20K%C3%B6ln%20%28clean%29.mp4" in whole.headers["Content-Disposition"]
    part = requests.get(job["downloads"]["cleaned"], headers={"Range": "bytes=100-199"}, timeout=20)
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    saved = tmp_path / "clean.mp4"
    saved.write_bytes(whole.content)
    assert abs(probe(saved).duration - probe(clip).duration) < 0.1


def test_an_upload_that_broke_off_goes_on_and_becomes_a_job(studio, clip):
    key = {"X-API-Key": studio.http.headers["X-API-Key"]}
    client = TusClient(f"{studio.base}/uploads/tus", headers=key)
    began = client.uploader(
        str(clip), chunk_size=1000, metadata={"filename": clip.name, "filetype": "video/mp4"}
    )
    began.upload(stop_at=2000)
    upload_id = urlsplit(began.url).path.split("/")[-2]
    early = studio.post("/upload-and-process", {"upload_id": upload_id, "params": PARAMS})
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    client.uploader(str(clip), url=began.url).upload()
    job = studio.post(
        "/upload-and-process", {"upload_id": upload_id, "params": PARAMS, "display_name": "Later"}
    )
    assert job.status_code == 202, job.text
    done = studio.state_of(job.json()["id"], "succeeded")
    assert done.display_name == "Later"

    def described():
        shown = studio.get(f"/assets/{done.params['asset_id']}")
        return shown["media"] if shown["media"]["width"] else None

    asset = studio.until(described, seconds=30, why="the clip to be looked into", pause=0.2)
    assert (asset["width"], asset["height"], round(asset["duration"])) == (320, 180, 1)


def test_a_file_that_only_begins_like_a_video_fails_its_job_with_a_reason(studio):
    sent = b"\0\0\0\x18ftypisom\0\0\2\0" + bytes(5000)
    answer = studio.http.post(
        f"{studio.base}/upload-and-process",
        files={"file": ("broken.mp4", sent)},
        data={"params": json.dumps(PARAMS)},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    job = studio.state_of(answer.json()["id"], "failed")
    assert job.error_message
    assert studio.get(f"/jobs/{job.id}")["downloads"] == {}
