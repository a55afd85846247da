"""fal's own client judges the simulated queue, and sends what our adapter sends."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property

import fal_client
import httpx
import pytest
from fal_client import FalClientHTTPError

from core.settings import VendorSettings
from media.probe import probe
from providers.base import Handle
from providers.fal import Fal
from tests.loopback import Ask, Loopback, Reply
from tests.providers.shops import ASK, FAL, open_at, picture
from tests.simulated import VendorHere
from tests.simulator.clients import Detour, essence

MODEL = "fal-ai/kling-video/v3/pro/text-to-video"
INPUT = {"prompt": "A fox in the snow", "duration": "5", "aspect_ratio": "16:9"}


class Client(fal_client.SyncClient):
    """The vendor's client; only where its requests go is ours."""

    url: str = ""

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(
            transport=Detour({"queue.fal.run": self.url}), headers={"Authorization": self._auth.header_value}
        )


def client(url: str, key: str = FAL.key) -> Client:
    made = Client(key=key)
    object.__setattr__(made, "url", url)
    return made


def test_the_client_submits_waits_and_gets_a_film(vendor, tmp_path):
    handle = client(f"{vendor.url}/fal").submit(MODEL, INPUT)
    assert isinstance(handle.status(with_logs=True), fal_client.Completed)
    made = handle.get()
    (tmp_path / "film.mp4").write_bytes(httpx.get(made["video"]["url"]).content)
    assert round(probe(tmp_path / "film.mp4").duration) == 5
    assert probe(tmp_path / "film.mp4").has_audio, "the vendor's sound is on unless it is switched off"
    assert vendor.bill()["total"] == 5 * 168_000


def test_the_client_sees_the_queue_move_and_stops_a_request(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        handle = client(f"{vendor.url}/fal").submit(MODEL, INPUT)
        assert handle.status() == fal_client.Queued(position=2)
        handle.cancel()
        ended = handle.status()
        assert isinstance(ended, fal_client.Completed)
        assert ended.error_type == "client_cancelled"
        with pytest.raises(FalClientHTTPError) as caught:
            handle.get()
        assert (caught.value.status_code, caught.value.error_type) == (499, "client_cancelled")
    finally:
        vendor.close()


def test_the_client_finds_a_request_by_the_models_name_as_our_adapter_does_without_a_receipt(vendor):
    judge = client(f"{vendor.url}/fal")
    sent = FAL.open(vendor).submit(ASK, "token-1")
    result = judge._client.get(  # the client's own way to make addresses
        fal_client.client.SyncRequestHandle.from_request_id(
            judge._client, FAL.open(vendor).model, sent.vendor_id
        ).response_url
    )
    assert result.json()["video"]["url"].endswith(".mp4")


@pytest.mark.parametrize(
    ("changed", "status", "kind"),
    [
        ({"prompt": "fault-moderated"}, 422, None),
        ({"prompt": "fault-broke"}, 403, "user_locked"),
        ({"duration": 5}, 422, None),
        ({"duration": "16"}, 422, None),
        ({"aspect_ratio": "4:3"}, 422, None),
        ({"prompt": ""}, 422, None),
        ({"length": 5}, 422, None),
    ],
)
def test_the_client_reads_the_refusals(vendor, changed, status, kind):
    with pytest.raises(FalClientHTTPError) as caught:
        client(f"{vendor.url}/fal").submit(MODEL, {**INPUT, **changed})
    assert (caught.value.status_code, caught.value.error_type) == (status, kind)
    assert vendor.bill()["tasks"] == []


def test_the_client_is_refused_without_a_key_and_for_a_model_that_is_not_there(vendor):
    with pytest.raises(FalClientHTTPError) as caught:
        client(f"{vendor.url}/fal", key="wrong").submit(MODEL, INPUT)
    assert caught.value.status_code == 401
    with pytest.raises(FalClientHTTPError) as caught:
        client(f"{vendor.url}/fal").submit("fal-ai/nobody", INPUT)
    assert caught.value.status_code == 404


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("webhook", [None, "https://house.example/api/v1/callbacks/fal?a=b&c=d e"])
def test_the_client_sends_what_our_adapter_sends(tmp_path, shown, webhook, audio):
    ask = replace(ASK, image=picture(tmp_path) if shown else None, audio=audio)
    with Loopback(_answers) as server:
        ours = open_at(Fal, VendorSettings(api_key=FAL.key, url=server.url), server.url, callback_url=webhook)
        sent = ours.submit(ask, "token-1")
        handle = Handle(sent.vendor_id, sent.receipt)
        ours.poll([handle])
        ours.cancel(handle)
        mine = list(server.asks)
        server.asks.clear()

        model = "fal-ai/kling-video/v3/standard/image-to-video" if shown else Fal.models[0]
        theirs = client(server.url).submit(model, json.loads(mine[0].body), webhook_url=webhook)
        theirs.status()
        client(server.url)._client.get(theirs.response_url)
        theirs.cancel()

    assert json.loads(mine[0].body)["generate_audio"] is audio
    assert [essence(one, "content-type") for one in mine] == [
        essence(one, "content-type") for one in server.asks
    ]
    assert [json.loads(one.body) if one.body else None for one in mine] == [
        json.loads(one.body) if one.body else None for one in server.asks
    ]


def _answers(ask: Ask) -> Reply:
    base = f"http://{ask.headers['host']}/fal-ai/kling-video/requests/r-1"
    addresses = {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}
    said = {"request_id": "r-1", **addresses, "status": "COMPLETED", "logs": None}
    return Reply(body=json.dumps({"video": {"url": "x"}} if ask.path.endswith("r-1") else said).encode())
