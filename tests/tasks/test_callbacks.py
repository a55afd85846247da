"""Callbacks over real HTTP: a simulated vendor signs and calls the API's door, rows tell what became of it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from sqlalchemy import select, update
from werkzeug.serving import make_server

from app import create_app
from core.settings import get_settings
from db.callbacks import CallbackEvent
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from providers.base import Answer, AnswerState
from providers.published_keys import PublishedKeys
from services import callbacks, submissions
from services.slots import in_seconds
from simulator.fal import sign
from tasks import wiring
from tests.services.buying import REQUEST, hold_of, make_submission, see
from tests.services.buying import send as take_to_the_wire
from tests.tasks.conftest import call, now, send

MODEL = "fal-ai/kling-video/v3/standard/text-to-video"


@contextmanager
def serving(settings):
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def door(house, settings):
    """The API's door for fal, on a port of its own."""
    with serving(settings) as url:
        yield f"{url}/api/v1/callbacks/fal"


@pytest.fixture
def vendor(door, simulated, monkeypatch):
    monkeypatch.setattr("providers.fal._KEYS", PublishedKeys())
    settings = {
        "FAL_API_KEY": "0bd4:simulated", "FAL_URL": "{here}/fal", "FAL_MODEL": MODEL,
        "PUBLIC_URL": door.removesuffix("/api/v1/callbacks/fal"), "POLL_SECONDS": "5",
    }  # fmt: skip
    with simulated(settings, task_seconds=0.2) as here:
        yield here


@pytest.fixture
def buy(house, vendor):
    def make(words="A fox"):
        return make_submission(
            house, provider="fal", model=MODEL, endpoint=f"{vendor.url}/fal", quote=420_000,
            request=REQUEST | {"prompt": words, "width": 1280, "height": 720, "frames": 120},
        )  # fmt: skip

    return make


def events():
    with reading() as session:
        return session.scalars(select(CallbackEvent).order_by(CallbackEvent.id)).all()


def until(find, seconds=10.0):
    ends = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < ends, "the vendor has not called"
        time.sleep(0.02)
    return found


def heard():
    return until(events)


def tell(door, request_id, body=None, at=None, **headers):
    """Call the door as the vendor does."""
    sent = (
        body
        or json.dumps(
            {
                "request_id": request_id,
                "status": "OK",
                "payload": {"video": {"url": "https://fal.media/a.mp4"}},
            }
        ).encode()
    )
    return requests.post(door, sent, headers=sign(request_id, sent, at or time.time()) | headers, timeout=10)


def take_all():
    """Do what beat does when messages were lost."""
    with transaction() as session:
        open_ones = CallbackEvent.next_try_at.is_not(None)
        session.execute(update(CallbackEvent).where(open_ones).values(next_try_at=in_seconds(0)))
    call("take_callbacks")


def test_a_take_is_known_to_be_made_without_one_poll(vendor, buy, broker):
    bought = buy()
    send(bought)
    (event,) = heard()
    message = until(lambda: next((m for m in broker.messages() if m.task == "take_callback"), None))
    call("take_callback", *message.args)
    row = see(bought.id)
    assert (row.state, row.polls) == (SubmissionState.ANSWERED, 0)
    assert hold_of(bought).captured == vendor.bill()["total"]
    assert events()[0].outcome == "taken"
    for _ in range(2):
        call("take_callback", *message.args)
        take_all()
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert hold_of(bought).captured == vendor.bill()["total"]
    assert event.event_id == row.vendor_id


def test_a_failure_is_told_too_and_releases_the_money(vendor, buy):
    bought = buy("fault-failed")
    send(bought)
    heard()
    take_all()
    assert see(bought.id).state is SubmissionState.FAILED
    assert hold_of(bought).state is HoldState.RELEASED


def test_twice_told_is_once_taken_and_answered_alike(vendor, buy, door):
    bought = buy("fault-callback-twice")
    vendor_id = send(bought).vendor_id
    heard()
    again = tell(door, vendor_id)
    assert (again.status_code, again.json()) == (200, {"ok": True})
    assert len(events()) == 1
    take_all()
    assert see(bought.id).state is SubmissionState.ANSWERED


@pytest.mark.parametrize("spoil", ["body", "signature", "old", "unsigned"])
def test_what_the_vendor_did_not_sign_is_refused_and_not_kept(vendor, buy, door, spoil):
    vendor_id = send(buy("fault-callback-lost")).vendor_id
    good = json.dumps({"request_id": vendor_id, "status": "ERROR", "error": "x"}).encode()
    headers = sign(vendor_id, good, time.time() - (3600 if spoil == "old" else 0))
    if spoil == "signature":
        headers["X-Fal-Webhook-Signature"] = "00" * 64
    if spoil == "unsigned":
        headers = {}
    answer = requests.post(door, good + (b" " if spoil == "body" else b""), headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] in {"bad_signature", "stale_callback", "unsigned"}
    assert events() == []


def test_a_forged_letter_changes_nothing_and_the_poll_finds_the_truth(vendor, buy):
    bought = buy("fault-callback-forged")
    send(bought)
    time.sleep(0.6)
    assert events() == []
    now(bought)
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.ANSWERED


@pytest.mark.parametrize("name", ["nobody", "local", "espeak", "runway", "callbacks", "%2e%2e"])
def test_who_does_not_call_back_here_has_no_door(vendor, door, name):
    answer = requests.post(door.replace("fal", name), b"{}", timeout=10)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_body_that_is_too_large_is_not_read(vendor, door):
    answer = tell(door, "x", b"x" * (256 * 1024 + 1))
    assert answer.status_code == 413
    assert events() == []


def test_news_that_comes_before_the_vendors_id_is_written_down_waits_for_it(vendor, buy, door):
    """The sender has the vendor's answer in its hands and has not committed it yet."""
    bought = buy()
    sent = take_to_the_wire(bought)
    assert tell(door, "early-1").status_code == 200
    take_all()
    (event,) = events()
    assert event.outcome is None
    assert event.next_try_at is not None
    from tasks.submit import note_accepted

    note_accepted(sent.id, "early-1")
    take_all()
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert events()[0].outcome == "taken"


def test_a_vendor_whose_answer_was_lost_is_recognised_by_the_token_it_calls_back_with(vendor, buy):
    """fal can be asked for nothing but its own ids, and this one nobody has."""
    bought = buy("fault-reset-after")
    row = send(bought)
    assert (row.state, row.vendor_id, row.next_poll_at) == (SubmissionState.UNCONFIRMED, None, None)
    (event,) = heard()
    take_all()
    row = see(bought.id)
    assert (row.state, row.vendor_id) == (SubmissionState.ANSWERED, event.event_id)
    assert hold_of(bought).captured == vendor.bill()["total"] > 0
    assert len(vendor.bill()["tasks"]) == 1
    take_all()
    assert see(bought.id).state is SubmissionState.ANSWERED


def test_one_whose_sender_may_still_write_the_id_down_is_left_to_it(vendor, buy, door):
    bought = buy()
    token = take_to_the_wire(bought).client_token
    assert tell(f"{door}?token={token}", "of-a-dead-sender").status_code == 200
    take_all()
    assert (see(bought.id).state, see(bought.id).vendor_id) == (SubmissionState.SENDING, None)
    with transaction() as session:
        submissions.park(session, bought.id)
    take_all()
    row = see(bought.id)
    assert (row.state, row.vendor_id) == (SubmissionState.ANSWERED, "of-a-dead-sender")


@pytest.mark.parametrize("spoil", ["another token", "another vendor", "known", "failed"])
def test_a_token_settles_only_what_is_unknown_at_its_own_vendor(vendor, buy, door, spoil):
    bought = buy()
    token = take_to_the_wire(bought).client_token
    with transaction() as session:
        submissions.park(session, bought.id)
        row = session.get_one(Submission, bought.id)
        if spoil == "another vendor":
            row.provider = "replicate"
        if spoil == "known":
            submissions.mark_submitted(session, bought.id, "known", receipt={}, first_poll=60.0)
    if spoil == "failed":
        with transaction() as session:
            submissions.mark_failed(session, bought.id, code="gone", message="A person said so.")
    before = see(bought.id)
    place = f"{door}?token={'0' * 40 if spoil == 'another token' else token}"
    assert tell(place, "somebodys").status_code == 200
    take_all()
    row = see(bought.id)
    assert (row.state, row.vendor_id) == (before.state, before.vendor_id)
    assert events()[0].outcome is None


def test_news_of_nobody_here_is_dropped_in_the_end(vendor, door):
    assert tell(door, "somebody-elses").status_code == 200
    take_all()
    with transaction() as session:
        session.execute(update(CallbackEvent).values(received_at=in_seconds(-601)))
    take_all()
    (event,) = events()
    assert (event.outcome, event.next_try_at) == ("unknown", None)


def test_old_news_does_not_turn_an_answer_back(vendor, buy, door):
    bought = buy("fault-callback-lost")
    vendor_id = send(bought).vendor_id
    time.sleep(0.3)
    now(bought)
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.ANSWERED
    body = json.dumps({"request_id": vendor_id, "status": "ERROR", "error": "too late"}).encode()
    assert tell(door, vendor_id, body).status_code == 200
    take_all()
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert hold_of(bought).state is HoldState.CAPTURED


def test_news_that_only_points_has_the_submission_asked_about_at_once(vendor, buy, door):
    bought = buy("fault-callback-lost")
    vendor_id = send(bought).vendor_id
    time.sleep(0.3)
    body = json.dumps({"request_id": vendor_id, "status": "OK", "payload_error": "too large"}).encode()
    assert tell(door, vendor_id, body).status_code == 200
    take_all()
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.ANSWERED


def test_a_vendor_that_calls_back_is_asked_rarely_and_one_that_stopped_often_again(vendor, buy):
    first = buy("fault-never")
    before = send(first)
    assert (before.next_poll_at - before.submitted_at).total_seconds() == pytest.approx(10, abs=1)
    send(buy())
    heard()
    row = send(buy("fault-never, again"))
    assert (row.next_poll_at - row.submitted_at).total_seconds() == pytest.approx(60, abs=2)
    with transaction() as session:
        assert callbacks.is_heard(session, "fal")
        session.execute(update(CallbackEvent).values(received_at=in_seconds(-3601)))
        assert not callbacks.is_heard(session, "fal")


def test_callbacks_are_forgotten_when_no_vendor_repeats_them_any_more(vendor, door):
    tell(door, "one")
    tell(door, "two")
    with transaction() as session:
        one = CallbackEvent.event_id == "one"
        session.execute(update(CallbackEvent).where(one).values(received_at=in_seconds(-8 * 24 * 3600)))
    call("forget_callbacks")
    assert [event.event_id for event in events()] == ["two"]


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ("https://films.example.org/", None, "https://films.example.org/api/v1/callbacks/fal"),
        ("http://films.example.org", None, None),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8090/fal", "http://127.0.0.1:8080/api/v1/callbacks/fal"),
        (None, "http://127.0.0.1:8090/fal", None),
    ],
)
def test_a_vendor_is_told_of_a_door_that_it_can_reach(settings, monkeypatch, ours, theirs, told):
    for name, value in {"PUBLIC_URL": ours, "FAL_URL": theirs, "FAL_API_KEY": "0bd4:k"}.items():
        if value:
            monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    assert wiring.open_video("fal")._callback_url == told


def test_an_answer_survives_being_kept(settings):
    from dataclasses import asdict

    from tasks.callbacks import _answer

    answer = Answer("v", AnswerState.FAILED, error="x", raw={"a": [1]}, cost=5, code="moderated")
    assert _answer(json.loads(json.dumps(asdict(answer)))) == answer
