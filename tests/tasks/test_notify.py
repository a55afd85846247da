"""People are told when a job ends or waits for them, each notifier by itself, and never of what has passed."""

from __future__ import annotations

from uuid import uuid4

import pytest
import requests

from db.work import JobState, WaitsFor
from tasks import pipeline
from tests.services.makers import make_job
from tests.tasks.conftest import call, change_job


@pytest.fixture
def people(simulated):
    """A channel and a chat at simulated vendors."""
    settings = {
        "SLACK_API_KEY": "xoxb-any",
        "SLACK_URL": "{here}/slack",
        "SLACK_RECIPIENT": "C123",
        "TELEGRAM_API_KEY": "123:any",
        "TELEGRAM_URL": "{here}/telegram",
        "TELEGRAM_RECIPIENT": "-100123",
        "PUBLIC_URL": "https://films.example.org/",
    }
    with simulated(settings) as here:
        yield here


def told(people):
    return [(task["vendor"], task["prompt"]) for task in people.bill()["tasks"]]


def waiting(broker):
    return [m.kwargs for m in broker.messages() if m.task == "notify_people"]


def job_that_failed(house):
    job_id = make_job(house)
    change_job(job_id, state=JobState.FAILED, finished_at=_now(), error_message="narrate shot 1: no voice")
    return job_id


def _now():
    from sqlalchemy import func

    return func.now()


@pytest.mark.parametrize("slug", ["slack", "telegram"])
def test_a_job_that_failed_is_told_with_its_reason_and_a_link(house, people, slug):
    job_id = job_that_failed(house)
    call("notify_people", slug, str(job_id), "failed")
    ((vendor, text),) = told(people)
    assert vendor == slug
    assert "has failed. narrate shot 1: no voice" in text
    assert f"https://films.example.org/api/v1/jobs/{job_id}" in text


def test_what_is_no_longer_so_is_not_told(house, people):
    job_id = make_job(house)
    change_job(job_id, state=JobState.WAITING, waits_for=WaitsFor.BUDGET, waits_reason="It lacks 1 USD.")
    call("notify_people", "slack", str(job_id), "reviewer")
    call("notify_people", "slack", str(uuid4()), "failed")
    assert told(people) == []
    call("notify_people", "slack", str(job_id), "budget")
    assert "waits for money. It lacks 1 USD." in told(people)[0][1]


def test_a_message_that_was_not_taken_is_sent_later_and_one_nobody_knows_of_is_not(house, people, broker):
    job_id = job_that_failed(house)
    broker.clear()
    order = {"submit": ["throttled-wait", "reset-after"], "vendor": "slack"}
    assert requests.post(f"{people.url}/_faults", json=order, timeout=5).ok
    call("notify_people", "slack", str(job_id), "failed")
    (later,) = waiting(broker)
    assert later == {"notifier": "slack", "job": str(job_id), "news": "failed", "tries": 1}
    assert told(people) == []
    broker.clear()
    call("notify_people", "slack", str(job_id), "failed", 1)
    assert waiting(broker) == []
    assert len(told(people)) == 1


def test_a_notifier_that_never_takes_it_is_given_up(house, people, broker):
    job_id = job_that_failed(house)
    broker.clear()
    assert requests.post(
        f"{people.url}/_faults", json={"submit": ["throttled"], "vendor": "slack"}, timeout=5
    ).ok
    call("notify_people", "slack", str(job_id), "failed", 5)
    assert waiting(broker) == []


def test_every_notifier_with_a_recipient_hears_once_when_a_job_comes_to_wait(house, people, broker):
    job_id = make_job(house, params={"script": "A fox."}, gates=["script"])
    pipeline.advance(job_id)
    finish_open_steps(job_id)
    broker.clear()
    for _ in range(3):
        pipeline.advance(job_id)
    heard = [(m["notifier"], m["news"]) for m in waiting(broker)]
    assert sorted(heard) == [("slack", "reviewer"), ("telegram", "reviewer")]


def test_nobody_hears_where_no_recipient_is_set(house, people, broker, monkeypatch):
    for name in ("SLACK_RECIPIENT", "TELEGRAM_RECIPIENT"):
        monkeypatch.delenv(name)
    job_id = make_job(house, params={"script": "A fox."}, gates=["script"])
    pipeline.advance(job_id)
    finish_open_steps(job_id)
    pipeline.advance(job_id)
    assert waiting(broker) == []


def finish_open_steps(job_id):
    from tests.tasks.test_pipeline import finish_phase

    finish_phase(job_id)
