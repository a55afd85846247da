"""Failpoints: a process dies, stalls or fails exactly where and as often as it was told."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from core import failpoints
from core.errors import Retryable
from core.settings import get_settings


@pytest.fixture
def armed(settings, monkeypatch):
    monkeypatch.setenv("FAILPOINTS", "true")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


def test_an_order_is_obeyed_once_and_can_be_seen_to_have_been(armed):
    failpoints.arm(armed, "claim.after", "fail")
    assert not failpoints.reached(armed, "claim.after")
    failpoints.reach("save.after_commit")
    with pytest.raises(Retryable, match=r"claim\.after"):
        failpoints.reach("claim.after")
    assert failpoints.reached(armed, "claim.after")
    failpoints.reach("claim.after")


def test_an_order_for_one_job_leaves_the_others_alone(armed):
    failpoints.arm(armed, "claim.after", "fail", job="a")
    failpoints.reach("claim.after", "b")
    with pytest.raises(Retryable):
        failpoints.reach("claim.after", "a")


def test_a_withdrawn_order_is_not_obeyed(armed):
    failpoints.arm(armed, "claim.after", "fail")
    failpoints.disarm(armed)
    failpoints.reach("claim.after")
    assert not failpoints.reached(armed, "claim.after")


def test_a_stalled_process_goes_on_later(armed, monkeypatch):
    monkeypatch.setattr(failpoints, "STALL_SECONDS", 0.2)
    failpoints.arm(armed, "claim.after", "stall")
    began = time.monotonic()
    failpoints.reach("claim.after")
    assert time.monotonic() - began >= 0.2


def test_kill_ends_the_process_as_kill_9_does(armed):
    failpoints.arm(armed, "claim.after", "kill")
    code = "from core.failpoints import reach; reach('claim.after'); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (-9, "")


@pytest.mark.parametrize("environment", [{"FAILPOINTS": "false"}, {"CALLSHEET_ENV": "production"}])
def test_nothing_is_obeyed_where_they_are_off_or_in_production(armed, monkeypatch, environment):
    failpoints.arm(armed, "claim.after", "fail")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    failpoints.reach("claim.after")
    assert not failpoints.reached(armed, "claim.after")
