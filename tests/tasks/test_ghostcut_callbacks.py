"""GhostCut's callbacks at the API's door: believed when signed, taken once, answered with a body."""

from __future__ import annotations

import json

import pytest
import requests

from core.settings import get_settings
from db.submissions import SubmissionState
from providers.ghostcut_wire import sign
from tasks import wiring
from tests.services.buying import hold_of, make_submission, see, submit
from tests.tasks.test_callbacks import events, serving, take_all

SECRET = "0123456789abcdef0123456789abcdef"
DONE = {"id": 476993630, "processStatus": 1, "paidPoint": 0.25, "videoUrl": "https://cdn.example.com/out.mp4"}


@pytest.fixture
def door(house, settings, monkeypatch):
    monkeypatch.setenv("GHOSTCUT_API_KEY", "k")
    monkeypatch.setenv("GHOSTCUT_API_SECRET", SECRET)
    get_settings.cache_clear()
    wiring.http_client.cache_clear()
    with serving(settings) as url:
        yield f"{url}/api/v1/callbacks/ghostcut"
    wiring.http_client.cache_clear()


def tell(door, said, secret=SECRET):
    body = json.dumps(said).encode()
    return requests.post(door, body, headers={"Callback-Sign": sign(body, secret)}, timeout=10)


def test_a_work_is_known_to_be_done_by_its_callback_however_often_it_comes(house, door):
    bought = make_submission(
        house, provider="ghostcut", model="basic", endpoint="https://api.zhaoli.com", quote=1_000_000
    )
    submit(bought, "476993630")
    for _ in range(3):
        answer = tell(door, DONE)
        assert (answer.status_code, bool(answer.content)) == (200, True), "an empty answer counts as none"
        take_all()
    assert len(events()) == 1
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert hold_of(bought).captured == 250_000


def test_a_forged_callback_is_refused_and_changes_nothing(house, door):
    bought = make_submission(
        house, provider="ghostcut", model="basic", endpoint="https://api.zhaoli.com", quote=1_000_000
    )
    submit(bought, "476993630")
    assert tell(door, DONE, secret="guessed").status_code == 400
    assert requests.post(door, json.dumps(DONE), timeout=10).status_code == 400
    take_all()
    assert events() == []
    assert see(bought.id).state is SubmissionState.SUBMITTED
