"""Replicate's own client judges the simulated predictions, and sends what our adapter sends."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import httpx
import pytest
import replicate
from replicate.exceptions import ReplicateError
from replicate.webhook import Webhooks

from core.settings import VendorSettings
from media.probe import probe
from providers.base import Handle
from providers.replicate import Replicate
from simulator.webhooks import SECRET
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, REPLICATE, open_at, picture
from tests.simulated import VendorHere
from tests.simulator.clients import essence

MODEL = "kwaivgi/kling-v2.5-turbo-pro"
INPUT = {"prompt": "A fox in the snow", "duration": 5, "aspect_ratio": "16:9"}


def client(url: str, key: str = REPLICATE.key) -> replicate.Client:
    return replicate.Client(key, base_url=url)


def test_the_client_runs_a_model_and_gets_a_film(vendor, tmp_path):
    judge = client(f"{vendor.url}/replicate")
    made = judge.models.predictions.create(MODEL, INPUT)
    made.wait()
    assert (made.status, made.model, made.error) == ("succeeded", MODEL, None)
    (tmp_path / "film.mp4").write_bytes(httpx.get(made.output).content)
    assert round(probe(tmp_path / "film.mp4").duration) == 5
    assert vendor.bill()["total"] == 5 * 70_000
    assert judge.predictions.get(made.id).output == made.output


def test_the_client_names_an_official_model_as_a_version(vendor):
    assert client(f"{vendor.url}/replicate").predictions.create(MODEL, INPUT).status == "succeeded"


def test_the_client_stops_a_prediction(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        made = client(f"{vendor.url}/replicate").models.predictions.create(MODEL, INPUT)
        assert made.status == "starting"
        made.cancel()
        assert made.status == "canceled"
        assert vendor.bill()["total"] == 0
    finally:
        vendor.close()


def test_the_client_sends_a_file_and_makes_a_film_of_it(vendor, tmp_path):
    judge = client(f"{vendor.url}/replicate")
    file = judge.files.create(picture(tmp_path, "picture.png", 1 << 20))
    assert (file.content_type, file.size) == ("image/png", 1 << 20)
    shown = {"prompt": "It moves", "start_image": file.urls["get"], "mode": "pro", "duration": 5}
    assert judge.models.predictions.create("kwaivgi/kling-v2.1", shown).status == "succeeded"
    assert vendor.bill()["total"] == 5 * 90_000


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"prompt": "fault-moderated"}, 422),
        ({"prompt": "fault-broke"}, 402),
        ({"prompt": "fault-throttled-wait"}, 429),
        ({"duration": "5"}, 422),
        ({"duration": 6}, 422),
        ({"aspect_ratio": "4:3"}, 422),
        ({"prompt": ""}, 422),
        ({"length": 5}, 422),
        ({"start_image": "no link"}, 422),
        ({"start_image": "data:image/png;base64," + "A" * (256 << 10)}, 422),
    ],
)
def test_the_client_reads_the_refusals(vendor, changed, status):
    with pytest.raises(ReplicateError) as caught:
        client(f"{vendor.url}/replicate").models.predictions.create(MODEL, {**INPUT, **changed})
    assert caught.value.status in (status, None), "a 429 says its status in the head alone"
    assert caught.value.detail
    assert vendor.bill()["tasks"] == []


def test_the_client_is_refused_without_a_key_and_for_a_model_that_is_not_there(vendor):
    with pytest.raises(ReplicateError) as caught:
        client(f"{vendor.url}/replicate", key="wrong").models.predictions.create(MODEL, INPUT)
    assert caught.value.status == 401
    with pytest.raises(ReplicateError) as caught:
        client(f"{vendor.url}/replicate").models.predictions.create("nobody/nothing", INPUT)
    assert caught.value.status == 404


def test_the_client_finds_the_callbacks_signature_good(vendor):
    judge = client(f"{vendor.url}/replicate")
    with Loopback(lambda _: Reply()) as inbox:
        made = judge.models.predictions.create(
            MODEL, INPUT, webhook=f"{inbox.url}/news", webhook_events_filter=["completed"]
        )
        deadline = time.monotonic() + 10
        while not inbox.asks:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    [letter] = inbox.asks
    Webhooks.validate(  # raises where it is not good
        headers=letter.headers,
        body=letter.body.decode(),
        secret=judge.webhooks.default.secret(),
        tolerance=300,
    )
    assert json.loads(letter.body)["id"] == made.id


@pytest.mark.parametrize("model", [MODEL, "google/veo-3.1"])
@pytest.mark.parametrize("webhook", [None, "https://house.example/api/v1/callbacks/replicate?a=b"])
def test_the_client_sends_what_our_adapter_sends(webhook, model):
    audio = model != MODEL
    told = {"webhook": webhook, "webhook_events_filter": ["completed"]} if webhook else {}
    with Loopback(_answers) as server:
        ours = open_at(
            Replicate,
            VendorSettings(api_key=REPLICATE.key, webhook_secret=SECRET, url=server.url),
            server.url,
            callback_url=webhook,
            model=model,
        )
        handle = Handle(ours.submit(replace(ASK, audio=audio), "token-1").vendor_id)
        ours.poll([handle])
        ours.cancel(handle)
        mine = list(server.asks)
        server.asks.clear()

        judge = client(server.url)
        asked = json.loads(mine[0].body)["input"]
        assert asked.get("generate_audio", False) is audio
        made = judge.models.predictions.create(model, asked, **told)
        judge.predictions.get(made.id)
        judge.predictions.cancel(made.id)
    names = ("content-type", "prefer")
    assert [essence(one, *names) for one in mine] == [essence(one, *names) for one in server.asks]
    assert [_json(one) for one in mine] == [_json(one) for one in server.asks]


def test_the_client_sends_a_file_as_our_adapter_does(tmp_path):
    path = picture(tmp_path, "picture.png", 1 << 20)
    with Loopback(_answers) as server:
        ours = open_at(Replicate, VendorSettings(api_key=REPLICATE.key, url=server.url), server.url)
        ours.submit(replace(ASK, image=path), "token-1")
        mine = server.asks[0]
        client(server.url).files.create(path)
        theirs = server.asks[-1]
    assert essence(mine) == essence(theirs)
    assert _parts(mine) == _parts(theirs)


def _answers(ask) -> Reply:
    if ask.path == "/v1/files":
        facts = {"name": "x", "content_type": "x", "size": 1, "etag": "", "checksums": {}, "metadata": {}}
        return Reply(
            201,
            json.dumps(
                {"id": "f-1", "created_at": "", "urls": {"get": "https://x.test/f"}, **facts}
            ).encode(),
        )
    said = {"id": "p-1", "model": MODEL, "version": "hidden", "status": "starting", "input": {}, "urls": {}}
    return Reply(201 if ask.method == "POST" else 200, json.dumps(said).encode())


def _json(ask) -> object:
    return json.loads(ask.body) if ask.body else None


def _parts(ask) -> list[bytes]:
    """A multipart body without its boundary, whose words are the client's own choice."""
    boundary = ask.headers["content-type"].partition("boundary=")[2].encode()
    return sorted(part.strip(b"\r\n-") for part in ask.body.split(b"--" + boundary))
