"""Flower as people meet it: a real one beside real messages, behind its login, after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.commands.processes import child_environment, command_lines
from core.settings import ROOT
from tasks import pipeline
from tests.services.makers import make_house, make_job
from tests.tasks.conftest import point_at

LOGIN = ("studio", "of-this-test-alone")
SECONDS = 60.0


class Process:
    """One process of the Procfile, killed without a word and started again."""

    def __init__(self, name: str, log: Path) -> None:
        self._name, self._log = name, log
        self.start()

    def start(self) -> None:
        environment = child_environment(os.environ)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command_lines(environment)[self._name], cwd=ROOT, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)


@pytest.fixture
def flower(settings, monkeypatch, tmp_path) -> Iterator[tuple[str, Process]]:
    """A Flower of the test's own: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("FLOWER_PORT", str(port))
    monkeypatch.setenv("FLOWER_BASIC_AUTH", ":".join(LOGIN))
    process = Process("flower", tmp_path / "flower.log")
    address = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{address}/healthcheck"))
    yield address, process
    process.kill()


@pytest.fixture
def worker(flower, tmp_path) -> Iterator[None]:
    """A worker for the first steps of a film, started once somebody listens."""
    process = Process("worker-io", tmp_path / "worker-io.log")
    yield
    process.kill()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def until(look):
    deadline = time.monotonic() + SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def tasks_of(address: str, job_id) -> list[dict]:
    """What the task list shows of a job, found by its id as a person would."""
    answer = requests.get(f"{address}/api/tasks", params={"search": str(job_id)}, auth=LOGIN, timeout=10)
    assert answer.status_code == 200, answer.text
    return [task for task in answer.json().values() if task["state"] == "SUCCESS"]


def test_flower_shows_a_job_s_steps_by_name_and_attempt_and_keeps_them_when_it_is_killed(
    flower, worker, settings
):
    address, process = flower
    point_at(settings)
    job_id = make_job(make_house(), stop_after="write")
    pipeline.advance(job_id)
    shown = until(lambda: len(found := tasks_of(address, job_id)) == 2 and found)
    assert {task["name"] for task in shown} == {"write_script", "break_down"}
    assert all(f"'job': '{job_id}', 'attempt': 1" in task["kwargs"] for task in shown)
    assert str(job_id)[-8:] not in requests.get(f"{address}/metrics", timeout=10).text  # no series per job

    seen = time.time()
    until(lambda: any(p.stat().st_mtime > seen for p in settings.var_dir.glob("flower.db*")))
    process.kill()
    process.start()
    until(lambda: answers(f"{address}/healthcheck"))
    kept = {task["uuid"] for task in tasks_of(address, job_id)}
    assert kept == {task["uuid"] for task in shown}
    assert requests.get(f"{address}/task/{min(kept)}", auth=LOGIN, timeout=10).status_code == 200


def test_flower_asks_for_its_login_and_changes_nothing(flower):
    address, _ = flower
    for path in ("/tasks", "/workers", "/api/tasks", "/api/workers"):
        assert requests.get(f"{address}{path}", timeout=10).status_code == 401
    sent = requests.post(f"{address}/api/task/async-apply/tick", json={}, auth=LOGIN, timeout=10)
    assert sent.status_code == 403
