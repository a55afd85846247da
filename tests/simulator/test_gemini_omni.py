"""Google's own client judges the simulated Interactions API, and sends what our adapter sends."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from google import genai
from google.genai import types

from media.probe import probe
from providers.base import AnswerState, Handle
from tests.loopback import Loopback, Reply
from tests.providers.reference import wait_for
from tests.providers.shops import ASK, GEMINI_OMNI, open_at, picture
from tests.simulated import VendorHere
from tests.simulator.clients import essence

MODEL = "gemini-omni-1.1-flash"
FORMAT = {"type": "video", "delivery": "uri", "aspect_ratio": "16:9", "resolution": "360p", "duration": "4s"}


def client_at(url: str, key: str = GEMINI_OMNI.key) -> genai.Client:
    options = types.HttpOptions(base_url=url, api_version="v1beta", retry_options={"attempts": 1})
    return genai.Client(api_key=key, http_options=options)


def ask_for(client, words="A fox in the snow. One continuous shot.", **more):
    wanted = {
        "model": MODEL,
        "input": words,
        "background": True,
        "response_format": FORMAT,
        "generation_config": {"video_config": {"task": "text_to_video"}},
    }
    return client.interactions.create(**{**wanted, **more})


def test_the_client_asks_for_a_film_waits_and_has_it(vendor, tmp_path):
    client = client_at(f"{vendor.url}/gemini_omni")
    made = client.interactions.get(id=ask_for(client).id)
    assert made.status == "completed"
    uri = made.output_video.uri  # the client knows https only
    (tmp_path / "film.mp4").write_bytes(
        client.files.download(file=uri.removesuffix(":download?alt=media").partition("/v1beta/")[2])
    )
    assert round(probe(tmp_path / "film.mp4").duration) == 4
    assert vendor.bill()["total"] == 4 * 30_000


def test_the_client_waits_in_the_call_and_has_the_film_inside_the_answer(vendor):
    client = client_at(f"{vendor.url}/gemini_omni")
    made = ask_for(client, background=False, response_format={**FORMAT, "delivery": "inline"})
    assert made.status == "completed"
    assert made.output_video.data


def test_the_client_understands_a_refusal_a_wrong_key_and_a_cancelled_film(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        client = client_at(f"{vendor.url}/gemini_omni")
        assert client.interactions.cancel(id=ask_for(client).id).status == "cancelled"
        for prompt, key, words in (
            ("fault-moderated", GEMINI_OMNI.key, "safety"),
            ("A fox", "wrong", "API key not valid"),
        ):
            refused = client_at(f"{vendor.url}/gemini_omni", key)
            with pytest.raises(Exception, match=words) as caught:
                ask_for(refused, prompt)
            assert type(caught.value).__module__.startswith("google.genai")
    finally:
        vendor.close()


def test_our_adapter_sends_what_the_client_sends(tmp_path):
    image = picture(tmp_path)
    answer = json.dumps(
        {"id": "v1_abc", "object": "interaction", "model": MODEL, "status": "queued"}
    ).encode()
    with Loopback(lambda _: Reply(body=answer)) as server:
        client = client_at(server.url)
        ask_for(client, webhook_config={"uris": ["https://films.example/omni"]})
        omni = open_at(GEMINI_OMNI.adapter, GEMINI_OMNI.own(server.url), server.url)
        shown = omni._body(replace(ASK, image=image))["input"]
        ask_for(client, shown, generation_config={"video_config": {"task": "image_to_video"}})
        client.interactions.get(id="v1_abc")
        client.interactions.cancel(id="v1_abc")
        told = open_at(
            GEMINI_OMNI.adapter,
            GEMINI_OMNI.own(server.url),
            server.url,
            callback_url="https://films.example/omni",
        )
        told.submit(ASK, "t")
        omni.submit(replace(ASK, image=image), "t")
        omni.poll([Handle("v1_abc")])
        omni.cancel(Handle("v1_abc"))
    theirs, ours = server.asks[:4], server.asks[4:]
    assert theirs[2].query == {"stream": "false"}, "what is so unless it is said"
    theirs[2].query.clear()
    assert [essence(ask, "x-goog-api-key") for ask in ours] == [
        essence(ask, "x-goog-api-key") for ask in theirs
    ]
    assert [json.loads(ask.body) for ask in ours[:2]] == [json.loads(ask.body) for ask in theirs[:2]]


def test_an_address_that_the_client_registers_is_called_with_the_secret_that_it_was_given(vendor):
    with Loopback(lambda _: Reply()) as door:
        client = client_at(f"{vendor.url}/gemini_omni")
        registered = client.webhooks.create(
            name="films", uri=f"{door.url}/omni", subscribed_events=["interaction.completed"]
        )
        sent = GEMINI_OMNI.open(vendor).submit(ASK, "t")
        [ask] = wait_for(door, 1)
    own = GEMINI_OMNI.own(f"{vendor.url}/gemini_omni", webhook_secret=registered.new_signing_secret)
    omni = open_at(GEMINI_OMNI.adapter, own, vendor.url)
    assert omni.parse_callback(ask.headers, ask.body, time.time()).ask == (sent.vendor_id,)
    assert omni.poll([Handle(sent.vendor_id)])[0].state is AnswerState.SUCCEEDED
