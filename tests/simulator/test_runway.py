"""Runway's own client judges the simulated API, and sends what our adapter sends."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
import runwayml
from runwayml import RunwayML

from core.settings import VendorSettings
from media.probe import probe
from providers.base import Handle
from providers.runway import Runway
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, RUNWAY, open_at, picture
from tests.simulated import VendorHere
from tests.simulator.clients import essence

WORDS = {"model": "gen4.5", "prompt_text": "A fox in the snow", "ratio": "1280:720", "duration": 5}
SPELT = {"prompt_text": "promptText", "prompt_image": "promptImage"}


def client(url: str, key: str = RUNWAY.key, **more) -> RunwayML:
    return RunwayML(api_key=key, base_url=url, max_retries=0, **more)


def test_the_client_makes_a_film_and_sees_what_it_cost(vendor, tmp_path):
    judge = client(f"{vendor.url}/runway")
    sent = judge.text_to_video.create(**WORDS)
    assert sent.estimated_cost.credits == 60
    made = judge.tasks.retrieve(sent.id)
    assert (made.status, made.cost.credits) == ("SUCCEEDED", 60)
    (tmp_path / "film.mp4").write_bytes(httpx.get(made.output[0]).content)
    assert round(probe(tmp_path / "film.mp4").duration) == 5
    assert vendor.bill()["total"] == 600_000


def test_the_client_begins_with_a_picture_in_either_form(vendor):
    judge = client(f"{vendor.url}/runway")
    uri = "data:image/png;base64,AAAA"
    for shown in (uri, [{"uri": uri, "position": "first"}]):
        asked = {**WORDS, "model": "gen4_turbo", "ratio": "960:960", "prompt_image": shown}
        assert judge.tasks.retrieve(judge.image_to_video.create(**asked).id).status == "SUCCEEDED"


def test_the_client_waits_for_a_failure_and_reads_why(vendor):
    sent = client(f"{vendor.url}/runway").text_to_video.create(**{**WORDS, "prompt_text": "fault-failed"})
    with pytest.raises(runwayml.TaskFailedError) as caught:
        sent.wait_for_task_output(timeout=30)
    assert caught.value.task_details.failure_code == "SAFETY.INPUT.TEXT"
    assert caught.value.task_details.cost.credits == 0


def test_the_client_stops_a_task_that_waits(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        judge = client(f"{vendor.url}/runway")
        sent = judge.text_to_video.create(**WORDS)
        assert judge.tasks.retrieve(sent.id).status == "PENDING"
        assert judge.tasks.delete(sent.id) is None
        ended = judge.tasks.retrieve(sent.id)
        assert (ended.status, ended.cost.credits) == ("CANCELLED", 0)
    finally:
        vendor.close()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"prompt_text": "fault-broke"}, runwayml.BadRequestError),
        ({"prompt_text": "fault-throttled"}, runwayml.RateLimitError),
        ({"prompt_text": "fault-down-before"}, runwayml.InternalServerError),
        ({"prompt_text": "x" * 1001}, runwayml.BadRequestError),
        ({"model": "gen4_turbo"}, runwayml.BadRequestError),
        ({"model": "veo3"}, runwayml.BadRequestError),
        ({"ratio": "16:9"}, runwayml.BadRequestError),
        ({"ratio": "960:960"}, runwayml.BadRequestError),
        ({"duration": 11}, runwayml.BadRequestError),
        ({"duration": "5"}, runwayml.BadRequestError),
        ({"seed": 1 << 32}, runwayml.BadRequestError),
        ({"audio": True}, runwayml.BadRequestError),
        ({"model": "veo3.1", "duration": 4, "audio": "yes"}, runwayml.BadRequestError),
    ],
)
def test_the_client_reads_the_refusals(vendor, changed, error):
    asked = {**WORDS, **changed}
    more = {"extra_body": {"audio": asked.pop("audio")}} if "audio" in asked else {}
    with pytest.raises(error):
        client(f"{vendor.url}/runway").text_to_video.create(**asked, **more)
    assert vendor.bill()["tasks"] == []


def test_the_client_is_refused_without_a_key_and_with_another_version(vendor):
    with pytest.raises(runwayml.AuthenticationError):
        client(f"{vendor.url}/runway", key="wrong").text_to_video.create(**WORDS)
    with pytest.raises(runwayml.BadRequestError, match="X-Runway-Version"):
        client(f"{vendor.url}/runway", runway_version="2023-01-01").text_to_video.create(**WORDS)
    with pytest.raises(runwayml.NotFoundError):
        client(f"{vendor.url}/runway").tasks.retrieve("nobody")


SWITCHED = ("veo3.1", "veo3.1_fast", "seedance2")
ASKED = [(model, shown, False) for model in Runway.models for shown in (False, True)]
ASKED += [(model, shown, True) for model in SWITCHED for shown in (False, True)]


@pytest.mark.parametrize(("model", "shown", "audio"), [a for a in ASKED if a[1] or a[0] != "gen4_turbo"])
def test_the_client_sends_what_our_adapter_sends(tmp_path, model, shown, audio):
    ask = replace(ASK, frames=24 * 5, image=picture(tmp_path) if shown else None, audio=audio)
    with Loopback(_answers) as server:
        ours = open_at(Runway, VendorSettings(api_key=RUNWAY.key, url=server.url), server.url, model=model)
        handle = Handle(ours.submit(ask, "token-1").vendor_id)
        assert ours.cancel(handle) is False
        mine = list(server.asks)
        server.asks.clear()

        judge = client(server.url)
        body = json.loads(mine[0].body)
        asked = {ours: body[theirs] for ours, theirs in SPELT.items() if theirs in body}
        asked |= {name: value for name, value in body.items() if name not in SPELT.values()}
        sent = (judge.image_to_video if shown else judge.text_to_video).create(**asked)
        judge.tasks.retrieve(sent.id)
        judge.tasks.delete(sent.id)
        judge.tasks.retrieve(sent.id)
    assert body.get("audio") is (audio if model in SWITCHED else None)
    names = ("x-runway-version",)
    assert [essence(one, *names) for one in mine] == [essence(one, *names) for one in server.asks]
    assert [one.headers.get("content-type") for one in mine[:1]] == ["application/json"]
    assert mine[0].headers["content-type"] == server.asks[0].headers["content-type"]
    assert json.loads(mine[0].body) == json.loads(server.asks[0].body)


def _answers(ask) -> Reply:
    if ask.method == "DELETE":
        return Reply(204)
    return Reply(
        body=json.dumps({"id": "t-1", "status": "PENDING", "createdAt": "2026-09-01T12:00:00Z"}).encode()
    )
