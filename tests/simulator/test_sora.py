"""OpenAI's own client judges the simulated video API, and sends what our adapter sends."""

from __future__ import annotations

import time
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP

import openai
import pytest
import requests
from openai import OpenAI

from core.settings import VendorSettings
from media.probe import probe
from providers.base import Handle
from providers.sora import Sora
from simulator.webhooks import SECRET
from tests.loopback import Ask, Loopback, Reply
from tests.providers.shops import SORA, open_at, picture
from tests.simulator.clients import essence

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
WORDS = {"model": "sora-2", "prompt": "A paper boat on a rainy street", "seconds": "8", "size": "1280x720"}


def client(url: str, key: str = SORA.key) -> OpenAI:
    return OpenAI(api_key=key, base_url=url, max_retries=0, webhook_secret=SECRET)


def test_the_client_makes_a_film_reads_it_lists_it_and_deletes_it(vendor, tmp_path):
    judge = client(f"{vendor.url}/sora/v1")
    made = judge.videos.create_and_poll(**WORDS)
    assert (made.status, made.seconds, made.size, made.progress) == ("completed", "8", "1280x720", 100)
    judge.videos.download_content(made.id).write_to_file(tmp_path / "film.mp4")
    assert round(probe(tmp_path / "film.mp4").duration) == 8
    assert vendor.bill()["total"] == 800_000
    another = judge.videos.create(**WORDS)
    assert [video.id for video in judge.videos.list(limit=1)] == [another.id, made.id], "page by page"
    assert judge.videos.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        judge.videos.retrieve(made.id)


def test_the_client_begins_with_a_picture_of_the_films_pixels(vendor, tmp_path):
    judge = client(f"{vendor.url}/sora/v1")
    fits, other = picture(tmp_path, "fits.png", pixels=(1280, 720)), picture(tmp_path, "other.png")
    assert judge.videos.create(**WORDS, input_reference=fits).status == "completed"
    with pytest.raises(openai.BadRequestError, match="must match"):
        judge.videos.create(**WORDS, input_reference=other)


def test_the_client_reads_why_a_film_failed(vendor):
    made = client(f"{vendor.url}/sora/v1").videos.create_and_poll(**{**WORDS, "prompt": "fault-failed"})
    assert (made.status, made.error.code) == ("failed", "moderation_blocked")


@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"prompt": "fault-broke"}, openai.RateLimitError, "insufficient_quota"),
        ({"prompt": "fault-moderated"}, openai.BadRequestError, "moderation_blocked"),
        ({"prompt": "fault-down-before"}, openai.InternalServerError, "server_error"),
        ({"prompt": ""}, openai.BadRequestError, None),
        ({"seconds": "5"}, openai.BadRequestError, None),
        ({"size": "1920x1080"}, openai.BadRequestError, None),
        ({"size": "1792x1024"}, openai.BadRequestError, None),
        ({"model": "sora-9"}, openai.BadRequestError, None),
    ],
)
def test_the_client_reads_the_refusals(vendor, changed, error, code):
    with pytest.raises(error) as caught:
        client(f"{vendor.url}/sora/v1").videos.create(**{**WORDS, **changed})
    assert caught.value.code == code
    assert caught.value.request_id
    assert vendor.bill()["tasks"] == []


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({}, None),
        ({"seconds": 8}, "seconds"),
        ({"input_reference": {"image_url": "https://x.test/a.png"}}, None),
        ({"input_reference": {"image_url": "https://x.test/a.png", "file_id": "file_1"}}, "input_reference"),
        ({"input_reference": "https://x.test/a.png"}, "input_reference"),
        ({"length": "8"}, "length"),
    ],
)
def test_what_the_client_cannot_say_in_json_is_judged_too(vendor, changed, param):
    answer = requests.post(
        f"{vendor.url}/sora/v1/videos",
        json={**WORDS, **changed},
        headers={"Authorization": "Bearer k"},
        timeout=5,
    )
    assert answer.status_code == (200 if param is None else 400)
    assert answer.json().get("error", {}).get("param") == param


def test_the_client_is_refused_without_a_key(vendor):
    with pytest.raises(openai.AuthenticationError):
        client(f"{vendor.url}/sora/v1", key="wrong").videos.create(**WORDS)


def test_the_client_finds_the_events_signature_good(vendor):
    judge = client(f"{vendor.url}/sora/v1")
    with Loopback(lambda _: Reply()) as inbox:
        requests.post(f"{vendor.url}/sora/_dashboard", json={"webhook": f"{inbox.url}/news"}, timeout=5)
        made = judge.videos.create(**WORDS)
        deadline = time.monotonic() + 10
        while not inbox.asks:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    event = judge.webhooks.unwrap(inbox.asks[0].body, inbox.asks[0].headers)
    assert (event.type, event.data.id) == ("video.completed", made.id)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        judge.webhooks.unwrap(inbox.asks[0].body + b" ", inbox.asks[0].headers)


@pytest.mark.parametrize("shown", [False, True])
def test_the_client_sends_what_our_adapter_sends(tmp_path, shown):
    path = picture(tmp_path, "reference.png", pixels=(1280, 720))
    ask = replace(SORA.request, image=path) if shown else SORA.request
    with Loopback(lambda _: Reply(body=b'{"id": "video_1", "status": "completed"}')) as server:
        ours = open_at(Sora, VendorSettings(api_key=SORA.key, url=server.url), server.url)
        handle = Handle(ours.submit(ask, "token-1").vendor_id)
        ours.fetch(ours.poll([handle])[0], tmp_path / "take.mp4")
        mine = list(server.asks)
        server.asks.clear()

        judge = client(f"{server.url}/v1")
        told = {"prompt": ask.prompt, "model": "sora-2", "seconds": "4", "size": "1280x720"}
        judge.videos.create(**told, **({"input_reference": path} if shown else {}))
        judge.videos.retrieve("video_1")
        judge.videos.download_content("video_1")
    assert [essence(one) for one in mine] == [essence(one) for one in server.asks]
    assert _parts(mine[0]) == _parts(server.asks[0])


def _parts(ask: Ask) -> list[tuple[str | None, str | None, str | None, bytes]]:
    """Name, file name, type and content of each part of a form."""
    head = f"Content-Type: {ask.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + ask.body)
    return sorted(
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part["content-type"],
            part.get_payload(decode=True),
        )
        for part in form.iter_parts()
    )
