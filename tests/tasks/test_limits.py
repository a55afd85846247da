"""Vendors that take only so much, or do not answer: what is held back, for how long, and what is not."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from redis import Redis

from core.limits import FAILURES_TO_OPEN
from core.settings import get_settings
from db.session import transaction
from db.submissions import SubmissionState
from providers.base import Limits
from providers.kling import Kling
from services import outcomes
from tasks import limits, wiring
from tests.services.buying import hold_of, make_submission, see
from tests.services.makers import at_once
from tests.services.test_polling import at_vendor
from tests.tasks.conftest import call, now, send


@pytest.fixture
def silent(vendor, monkeypatch):
    """A vendor's host that takes every connection and says nothing, until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("ALLOW_PRIVATE_HOSTS", host)
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        yield SimpleNamespace(url=f"http://{host}", close=server.close)


@pytest.fixture
def limited(monkeypatch):
    return lambda **told: monkeypatch.setattr(Kling, "limits", Limits(poll_seconds=2.0, **told))


def cool(redis_url, account="kling"):
    with Redis.from_url(redis_url) as client:
        client.hset(f"callsheet:vendor:{account}:circuit", "until", "1")


def messages(broker):
    return sum(message.task == "send_submission" for message in broker.messages())


def test_a_vendor_has_no_more_in_its_hands_than_it_takes(vendor, buy, limited, broker):
    limited(at_once=2)
    bought = [buy(f"A fox, {n}") for n in range(4)]
    at_once(4, lambda n: send(bought[n]))
    states = [see(one.id).state for one in bought]
    assert sorted(states) == [SubmissionState.INTENDED] * 2 + [SubmissionState.SUBMITTED] * 2
    held = [one for one in bought if see(one.id).state is SubmissionState.INTENDED]
    with transaction() as session:
        assert "It works on 2 at once" in outcomes.why_waiting(session, held[0].job_id)[1]
    broker.clear()
    now(*bought)
    call("mend_submissions")
    assert messages(broker) == 0, "no message for what cannot go out"
    call("poll_submissions")
    now(*held)
    call("mend_submissions")
    assert messages(broker) == 2
    for one in held:
        assert send(one).state is SubmissionState.SUBMITTED
    assert len(vendor.bill()["tasks"]) == 4


def test_calls_beyond_a_vendors_minute_wait_and_are_not_lost(house, vendor, buy, limited):
    limited(per_minute=20)  # three in one go
    bought = [buy(f"A fox, {n}") for n in range(5)]
    rows = [send(one) for one in bought]
    assert [row.state for row in rows].count(SubmissionState.SUBMITTED) == 3
    held = [row for row in rows if row.state is SubmissionState.INTENDED]
    assert {row.sends for row in held} == {0}
    assert all(row.next_poll_at > row.created_at for row in held)
    now(*bought)
    call("poll_submissions")
    assert vendor.bill()["calls"].get("polls", 0) == 0, "polls are calls too"
    assert {see(one.id).polls for one in bought} == {0}


def test_polls_are_spread_over_the_minutes_of_a_vendor_without_batches(house, vendor, limited, monkeypatch):
    limited(per_minute=100)
    monkeypatch.setattr(Kling, "batch", 1)
    at_vendor(house, 40, endpoint=f"{vendor.url}/kling")
    call("poll_submissions")
    assert vendor.bill()["calls"]["polls"] in (11, 12)
    call("poll_submissions")
    assert vendor.bill()["calls"]["polls"] <= 15, "the rest is still due, and asked about as time goes by"


def test_many_calls_go_side_by_side(house, vendor, monkeypatch):
    monkeypatch.setattr(Kling, "batch", 1)
    under_way, most = 0, 0
    lock = threading.Lock()
    poll = Kling.poll

    def counted(self, handles):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        try:
            time.sleep(0.05)
            return poll(self, handles)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(Kling, "poll", counted)
    ids = at_vendor(house, 70, endpoint=f"{vendor.url}/kling")
    call("poll_submissions")
    assert 8 < most <= 32
    assert {see(one).polls for one in ids} == {1}
    assert {see(one).state for one in ids} == {SubmissionState.RUNNING}


def test_a_vendor_that_hangs_holds_up_no_other(house, vendor, silent):
    stuck = at_vendor(house, 1, endpoint=silent.url)
    quick = at_vendor(house, 1, endpoint=f"{vendor.url}/kling")
    poller = threading.Thread(target=call, args=("poll_submissions",))
    poller.start()
    _until(lambda: see(*quick).state is SubmissionState.RUNNING)
    more = at_vendor(house, 1, endpoint=f"{vendor.url}/kling")
    _until(lambda: call("poll_submissions") or see(*more).state is SubmissionState.RUNNING)
    assert poller.is_alive(), "it waits for the one that hangs"
    assert see(*stuck).state is SubmissionState.SUBMITTED
    silent.close()
    poller.join(20)
    assert not poller.is_alive()


def _until(true, seconds=10.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_vendor_that_does_not_answer_is_left_alone_until_a_probe(vendor, buy, redis_url, broker):
    bought = [buy(f"fault-reset-before {n}") for n in range(FAILURES_TO_OPEN + 2)]
    rows = [send(one) for one in bought]
    assert [row.state for row in rows[:FAILURES_TO_OPEN]] == [SubmissionState.UNCONFIRMED] * FAILURES_TO_OPEN
    assert [row.state for row in rows[FAILURES_TO_OPEN:]] == [SubmissionState.INTENDED] * 2
    assert {row.sends for row in rows[FAILURES_TO_OPEN:]} == {0}, "never on the wire, so certainly not bought"
    assert limits.circuit_open("kling")
    assert limits.state("kling").failures == FAILURES_TO_OPEN
    now(*bought)
    broker.clear()
    call("mend_submissions")
    assert messages(broker) == 0
    assert "lookups" not in vendor.bill()["calls"]
    cool(redis_url)
    assert not limits.circuit_open("kling")
    now(*bought)
    call("mend_submissions")  # the first look-up is the probe, it succeeds, and the others follow
    assert limits.state("kling").state == "closed"
    assert vendor.bill()["calls"]["lookups"] == FAILURES_TO_OPEN


def test_refusals_and_throttling_are_answers_and_open_no_circuit(vendor, buy):
    for fault in ("throttled", "broke", "moderated", "throttled", "used-up", "moderated"):
        send(buy(f"fault-{fault}"))
    assert limits.state("kling").state == "closed"
    assert limits.state("kling").failures == 0


def test_what_is_open_at_an_old_address_does_not_close_the_new_one(house, vendor, buy, silent):
    gone = silent.url
    silent.close()
    old = [make_submission(house, endpoint=gone) for _ in range(FAILURES_TO_OPEN)]
    for one in old:
        assert send(one).state is SubmissionState.INTENDED
    assert limits.circuit_open(f"kling@{gone}")
    assert not limits.circuit_open("kling")
    assert send(buy()).state is SubmissionState.SUBMITTED


def test_without_redis_vendors_are_asked_as_before(vendor, buy, limited, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
    limited(per_minute=1, at_once=1)
    first, second = buy("A fox"), buy("An owl")
    monkeypatch.setattr(limits, "redis_url", lambda _: nobody)
    assert send(first).state is SubmissionState.SUBMITTED
    assert send(second).state is SubmissionState.INTENDED, "slots are counted in rows"
    now(first)
    call("poll_submissions")
    assert see(first.id).state is SubmissionState.ANSWERED
    assert hold_of(first).captured == 252_000
    assert send(second).state is SubmissionState.SUBMITTED
