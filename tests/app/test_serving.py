"""The application as gunicorn serves it: threads, real sockets, an open stream beside other calls."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
import simple_websocket
from tusclient.client import TusClient

from core.settings import ROOT
from db.assets import Upload
from db.session import reading
from tests.app.seed import seed_house


@pytest.fixture
def served(settings, unused_port):
    address = f"127.0.0.1:{unused_port}"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "--config", "/dev/null", "--worker-class", "gthread",
            "--workers", "1", "--threads", "8", "--bind", address, "app:create_app()",
        ],
        cwd=ROOT, env=os.environ | {"UPLOAD_SILENCE_SECONDS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    base = f"http://{address}/api/v1"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{base}/health", timeout=2).ok:
                break
        except requests.RequestException:
            time.sleep(0.1)
    yield base
    process.terminate()
    process.wait(20)


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_stream_stays_open_while_others_are_served(served, house):
    job_id = seed_house(house)["job_id"]
    headers = {"X-API-Key": house.key}
    with requests.get(
        f"{served}/jobs/{job_id}/events",
        headers={**headers, "Accept": "text/event-stream"},
        stream=True,
        timeout=20,
    ) as stream:
        lines = stream.iter_lines(decode_unicode=True)
        assert next(lines) == "retry: 2000"
        assert requests.get(f"{served}/jobs", headers=headers, timeout=10).status_code == 200
        assert requests.post(f"{served}/jobs/{job_id}/cancel", headers=headers, timeout=10).status_code == 202
        seen = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert "job.cancelling" in seen
    assert seen[-1] == "end"


def listen(served, path, house, **more):
    """Open a WebSocket, with the key in a header."""
    address = served.replace("http://", "ws://") + path
    return simple_websocket.Client(address, headers={"X-API-Key": house.key}, **more)


def messages(line, *, until="end"):
    seen = []
    while not seen or seen[-1]["event"] != until:
        text = line.receive(timeout=20)
        assert text is not None, seen
        seen.append(json.loads(text))
    return seen


def test_a_websocket_follows_a_job_from_where_one_left_off_to_its_end(served, house, other):
    job_id = seed_house(house)["job_id"]
    headers = {"X-API-Key": house.key}
    line = listen(served, f"/jobs/{job_id}/ws", house)
    first = messages(line, until="progress")
    assert [m["event"] for m in first][:2] == ["job.queued", "job.waiting"]
    assert first[-1]["data"]["waits_for"] == "reviewer"
    line.close()
    later = listen(served, f"/jobs/{job_id}/ws?after_id={first[-2]['id']}", house, subprotocols=["callsheet"])
    assert later.subprotocol == "callsheet"
    assert messages(later, until="progress")[0]["event"] == "progress"
    assert requests.get(f"{served}/jobs", headers=headers, timeout=10).status_code == 200
    assert requests.post(f"{served}/jobs/{job_id}/cancel", headers=headers, timeout=10).status_code == 202
    rest = messages(later)
    assert next(m["id"] for m in rest if "id" in m) == first[-2]["id"] + 1
    assert {"job.cancelling", "job.cancelled", "end"} <= {m["event"] for m in rest}
    with pytest.raises(simple_websocket.ConnectionClosed):
        later.receive(timeout=20)
    by_protocol = simple_websocket.Client(
        served.replace("http://", "ws://") + f"/jobs/{job_id}/ws",
        subprotocols=["callsheet", f"key.{house.key}"],
    )
    assert messages(by_protocol)[-1]["event"] == "end"
    with pytest.raises(simple_websocket.ConnectionError) as refused:
        listen(served, f"/jobs/{job_id}/ws", other)
    assert refused.value.status_code == 404
    assert requests.get(f"{served}/jobs/{job_id}/ws", timeout=10).status_code == 401
    plain = requests.get(f"{served}/jobs/{job_id}/ws", headers=headers, timeout=10)
    assert (plain.status_code, plain.headers["Upgrade"]) == (426, "websocket")


def test_a_websocket_tells_what_happens_in_a_project_and_goes_on_after_an_id(served, house, other):
    ids = seed_house(house)
    address = served.removesuffix("/api/v1").replace("http://", "ws://") + f"/ws/{ids['project_id']}"
    line = simple_websocket.Client(address, headers={"X-API-Key": house.key})
    assert messages(line, until="progress")[-1]["data"]["job_id"] == str(ids["job_id"])
    film = {"kind": "film", "params": {"text": "Moon"}, "project_id": str(ids["project_id"])}
    made = requests.post(f"{served}/jobs", json=film, headers={"X-API-Key": house.key}, timeout=10).json()[
        "id"
    ]
    queued = messages(line, until="job.queued")[-1]
    assert queued["data"]["job_id"] == made
    line.close()
    again = simple_websocket.Client(
        f"{address}?after_id={queued['id'] - 1}", headers={"X-API-Key": house.key}
    )
    assert messages(again, until="job.queued")[-1]["id"] == queued["id"]
    again.close()
    with pytest.raises(simple_websocket.ConnectionError) as refused:
        simple_websocket.Client(address, headers={"X-API-Key": other.key})
    assert refused.value.status_code == 404


def send_raw(served, method, path, house, *, length, body, **headers):
    """Begin a request whose body does not come as announced; returns the open connection."""
    host, port = urlsplit(served).netloc.split(":")
    line = socket.create_connection((host, int(port)), timeout=20)
    told = {"Host": host, "X-API-Key": house.key, "Content-Length": length, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    line.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return line


def test_an_upload_survives_silence_and_a_cut_and_a_tus_client_ends_it(served, house, tmp_path):
    content = b"\0\0\0\x18ftypisom\0\0\2\0" + random.Random(3).randbytes(1_000_000)
    clip = tmp_path / "moon.mp4"
    clip.write_bytes(content)
    key = {"X-API-Key": house.key}
    client = TusClient(f"{served}/uploads/tus", headers=key)
    made = client.uploader(str(clip), metadata={"filename": "moon.mp4", "filetype": "video/mp4"})
    url = made.create_url()
    path = urlsplit(url).path
    piece = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}

    silent = send_raw(
        served,
        "PATCH",
        path,
        house,
        length=len(content),
        body=content[:300_000],
        **piece,
        **{"Upload-Offset": 0},
    )
    assert b" 204 " in silent.recv(100)  # it ends by itself, and says how far it is
    silent.close()
    kept = int(requests.head(url, headers=key, timeout=10).headers["Upload-Offset"])
    assert 280_000 < kept <= 300_000

    rest = {"length": len(content) - kept, "body": content[kept:500_000], "Upload-Offset": kept}
    cut = send_raw(served, "PATCH", path, house, **rest, **piece)
    time.sleep(0.5)
    cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cut.close()  # a reset, as when a cable is pulled and somebody notices
    deadline = time.monotonic() + 10
    while (at := int(requests.head(url, headers=key, timeout=10).headers["Upload-Offset"])) == kept:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert kept < at <= 500_000

    again = client.uploader(str(clip), url=url, chunk_size=200_000)
    assert again.offset == at
    again.upload()
    upload = requests.get(url.removesuffix("/content"), headers=key, timeout=10).json()
    assert (upload["state"], upload["received"]) == ("inspecting", len(content))
    with reading() as session:
        row = session.get_one(Upload, UUID(upload["id"]))
        assert row.blob_sha256 == hashlib.sha256(content).hexdigest()


def test_a_form_in_which_nothing_comes_any_more_is_answered(served, house):
    path = urlsplit(served).path + "/upload-and-process"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    begun = b'--x\r\nContent-Disposition: form-data; name="file"; filename="moon.mp4"\r\n\r\nftyp'
    line = send_raw(served, "POST", path, house, length=100_000, body=begun, **form)
    assert b" 408 " in line.recv(2000)
    line.close()


def test_importing_the_package_is_light():
    code = "import sys, app; print(sorted({'flask', 'sqlalchemy', 'celery'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
