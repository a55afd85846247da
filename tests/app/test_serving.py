"""The application as gunicorn serves it: threads, real sockets, an open stream beside other calls."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
import requests

from core.settings import ROOT
from tests.app.seed import seed_house


@pytest.fixture
def served(settings, unused_port):
    address = f"127.0.0.1:{unused_port}"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "--config", "/dev/null", "--worker-class", "gthread",
            "--workers", "1", "--threads", "8", "--bind", address, "app:create_app()",
        ],
        cwd=ROOT, env=os.environ.copy(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    base = f"http://{address}/api/v1"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{base}/health", timeout=2).ok:
                break
        except requests.ConnectionError:
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


def test_importing_the_package_is_light():
    code = "import sys, app; print(sorted({'flask', 'sqlalchemy', 'celery'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
