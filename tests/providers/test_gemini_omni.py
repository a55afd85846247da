"""Gemini Omni: every word of an interaction, its refusals, its films and its callbacks."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import providers.gemini_omni
from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings
from media.probe import probe
from providers.base import Answer, AnswerState, Context, Handle
from providers.gemini_omni import GeminiOmni
from providers.models import read
from simulator.webhooks import SECRET, sign_standard
from tests.loopback import Loopback, Reply
from tests.providers.reference import wait_for
from tests.providers.shops import ASK, GEMINI_OMNI, open_at, picture
from tests.simulated import VendorHere

URI = "https://generativelanguage.googleapis.com/v1beta/files/xyz:download?alt=media"
FILM = {"type": "video", "mime_type": "video/mp4", "uri": URI}
WORDS = {"type": "text", "text": "I can't help with that."}
TOKENS = {"output_tokens_by_modality": [{"modality": "video", "tokens": 46336}]}


def at(server, secret=None, **more):
    own = GEMINI_OMNI.own(server.url, webhook_secret=secret)
    return open_at(GeminiOmni, own, server.url, **more)


def says(body, status=200):
    return lambda _: Reply(status, json.dumps(body).encode())


def interaction(status, *parts, **more):
    steps = [{"type": "user_input"}, {"type": "thought"}, {"type": "model_output", "content": list(parts)}]
    return {"id": "v1_abc", "object": "interaction", "status": status, "steps": steps, **more}


@pytest.mark.parametrize(
    ("said", "state", "code", "words"),
    [
        (interaction("queued"), AnswerState.RUNNING, "", ""),
        (interaction("in_progress"), AnswerState.RUNNING, "", ""),
        (interaction("requires_continuation"), AnswerState.RUNNING, "", ""),
        (interaction("reviewing"), AnswerState.RUNNING, "", ""),
        ({"id": "v1_abc"}, AnswerState.RUNNING, "", ""),
        (interaction("completed", FILM, usage=TOKENS), AnswerState.SUCCEEDED, "", ""),
        (interaction("completed", WORDS, FILM), AnswerState.SUCCEEDED, "", ""),
        (interaction("completed", {**FILM, "uri": None, "data": "AAAA"}), AnswerState.SUCCEEDED, "", ""),
        (interaction("completed", WORDS), AnswerState.FAILED, "moderated", "I can't help"),
        (interaction("completed"), AnswerState.FAILED, "moderated", "without a film"),
        (interaction("completed", WORDS, usage=TOKENS), AnswerState.SUCCEEDED, "", ""),
        (interaction("completed", {"type": "video"}, usage=TOKENS), AnswerState.SUCCEEDED, "", ""),
        (interaction("completed", usage="?", steps=7), AnswerState.FAILED, "moderated", "without a film"),
        (
            interaction("failed", errors=[{"code": "internal", "message": "it broke"}]),
            AnswerState.FAILED,
            "vendor_failed",
            "internal: it broke",
        ),
        (
            interaction("failed", errors=[{"message": "blocked by safety filters"}]),
            AnswerState.FAILED,
            "moderated",
            "blocked by safety",
        ),
        (interaction("failed", errors="?"), AnswerState.FAILED, "vendor_failed", "ended as failed"),
        (interaction("incomplete"), AnswerState.FAILED, "vendor_failed", "ended as incomplete"),
        (interaction("budget_exceeded"), AnswerState.FAILED, "vendor_failed", "budget_exceeded"),
        (interaction("requires_action"), AnswerState.FAILED, "vendor_failed", "requires_action"),
        (interaction("cancelled"), AnswerState.FAILED, "cancelled", "cancelled"),
    ],
)
def test_every_status_word_has_its_state_and_completed_needs_a_film(said, state, code, words):
    with Loopback(says(said)) as server:
        [answer] = at(server).poll([Handle("v1_abc")])
    assert (server.asks[0].method, server.asks[0].path) == ("GET", "/v1beta/interactions/v1_abc")
    assert (answer.vendor_id, answer.state) == ("v1_abc", state)
    if state is AnswerState.FAILED:
        assert answer.code == code
        assert words in answer.error


def front(status, word, said, **more):
    return {"error": {"code": status, "message": said, "status": word, **more}}


def own(code, said):
    return {"error": {"code": code, "message": said}}


TWICE = "Multiple authentication credentials received. Please pass only one."
ERRORS = [
    (400, own("invalid_request", "duration"), Rejected, Rejected),
    (400, own("invalid_request", TWICE), Rejected, Retryable),
    (400, front(400, "INVALID_ARGUMENT", TWICE), Rejected, Retryable),
    (400, own("invalid_request", "blocked for safety reasons"), Moderated, Moderated),
    (
        400,
        front(400, "INVALID_ARGUMENT", "no", details=[{"reason": "API_KEY_INVALID"}]),
        Misconfigured,
        Misconfigured,
    ),
    (400, front(400, "FAILED_PRECONDITION", "enable billing"), Misconfigured, Misconfigured),
    (401, own("unauthenticated", "no"), Misconfigured, Misconfigured),
    (402, own("payment_required", "empty"), Misconfigured, Misconfigured),
    (403, front(403, "PERMISSION_DENIED", "no"), Misconfigured, Misconfigured),
    (408, own("timeout", "slow"), Unconfirmed, Retryable),
    (409, own("conflict", "twice"), Permanent, Permanent),
    (429, own("rate_limit", "slow down"), Retryable, Retryable),
    (429, front(429, "RESOURCE_EXHAUSTED", "spend cap reached"), Misconfigured, Misconfigured),
    (500, own("internal", "oops"), Unconfirmed, Retryable),
    (502, {}, Unconfirmed, Retryable),
    (503, front(503, "UNAVAILABLE", "later"), Unconfirmed, Retryable),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["object", "list"])
@pytest.mark.parametrize(("status", "body", "submitted", "polled"), ERRORS)
def test_every_error_is_sorted_and_a_submit_is_never_repeated_when_nobody_knows(
    status, body, submitted, polled, wrapped
):
    with Loopback(says([body] if wrapped else body, status)) as server:
        omni = at(server)
        for error, call in (
            (submitted, lambda: omni.submit(ASK, "t")),
            (polled, lambda: omni.poll([Handle("v1_abc")])),
        ):
            with pytest.raises(error) as caught:
                call()
            assert type(caught.value) is error
            assert GEMINI_OMNI.key not in caught.value.message
    assert [ask.method for ask in server.asks].count("POST") == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, own("invalid_request", "Invalid interaction name: x")), (404, own("not_found", "deleted"))],
)
def test_an_interaction_that_nobody_knows_any_more_has_failed(status, body):
    with Loopback(says(body, status)) as server:
        assert at(server).poll([Handle("x")])[0].state is AnswerState.FAILED


def test_the_request_asks_for_one_shot_in_the_background_with_the_duration_as_text(tmp_path):
    image = picture(tmp_path)
    with Loopback(says({"id": "v1_abc", "status": "queued"})) as server:
        omni = at(server, callback_url="https://films.example/omni")
        assert omni.submit(replace(ASK, move="push in"), "t").vendor_id == "v1_abc"
        omni.submit(replace(ASK, image=image, width=1080, height=1920), "t")
    spoken, begun = (json.loads(ask.body) for ask in server.asks)
    assert spoken == {
        "model": "gemini-omni-1.1-flash",
        "input": "A fox in the snow. Camera: push in. One continuous shot.",
        "background": True,
        "response_format": {
            "type": "video",
            "delivery": "uri",
            "aspect_ratio": "16:9",
            "resolution": "360p",
            "duration": "4s",
        },
        "generation_config": {"video_config": {"task": "text_to_video"}},
        "webhook_config": {"uris": ["https://films.example/omni"]},
    }
    assert begun["generation_config"] == {"video_config": {"task": "image_to_video"}}
    assert (begun["response_format"]["resolution"], begun["response_format"]["aspect_ratio"]) == (
        "1080p",
        "9:16",
    )
    words, shown = begun["input"][0]["content"]
    assert words == {"type": "text", "text": "A fox in the snow. One continuous shot."}
    assert base64.b64decode(shown["data"]) == image.read_bytes()
    assert [ask.headers["x-goog-api-key"] for ask in server.asks] == [GEMINI_OMNI.key] * 2
    assert all("authorization" not in ask.headers and not ask.query for ask in server.asks)


def test_a_retired_model_and_one_without_a_price_are_told(vendor):
    today = date(2026, 11, 21)
    with pytest.raises(Rejected, match=r"Use gemini-omni-1.1-flash") as caught:
        GEMINI_OMNI.open(vendor, model="gemini-omni-flash-preview", today=today).quote(ASK)
    assert caught.value.code == "retired"
    assert not GEMINI_OMNI.open(vendor, model="gemini-omni-1.2-flash", today=today).quote(ASK).known
    with pytest.raises(Rejected, match="3, 4, 5, 6, 7, 8, 9, 10"):
        GEMINI_OMNI.open(vendor, today=today).quote(replace(ASK, frames=24 * 11))


# -- films -------------------------------------------------------------------------------------------


def test_a_film_inside_the_answer_is_not_kept_with_it_and_asked_for_again(vendor, tmp_path):
    omni = GEMINI_OMNI.open(vendor)
    [answer] = omni.poll([Handle(omni.submit(replace(ASK, prompt="A fox, inline"), "t").vendor_id)])
    assert len(json.dumps(answer.raw)) < 1500
    omni.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"


def test_a_question_answered_with_400_about_credentials_is_asked_again(vendor):
    omni = GEMINI_OMNI.open(vendor)
    sent = omni.submit(replace(ASK, prompt="A confused fox"), "t")
    with pytest.raises(Retryable):
        omni.poll([Handle(sent.vendor_id)])
    assert omni.poll([Handle(sent.vendor_id)])[0].state is AnswerState.SUCCEEDED


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"type": "video"}, Permanent),
        ({"type": "text"}, Permanent),
        ({"type": "video", "data": "?!"}, Retryable),
    ],
)
def test_what_was_charged_without_a_film_that_can_be_read_leaves_no_file(tmp_path, part, error):
    said = interaction("completed", part, usage=TOKENS)
    with Loopback(says(said)) as server:
        [answer] = at(server).poll([Handle("v1_abc")])
        assert answer.state is AnswerState.SUCCEEDED
        with pytest.raises(error):
            at(server).fetch(answer, tmp_path / "take.mp4")
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_not_sent_where_a_link_leads(tmp_path):
    with (
        Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as stranger,
        Loopback(says({})) as server,
    ):
        http = HttpClient(allow=[server.host, stranger.host], retry_for=0)
        omni = GeminiOmni(Context(http, Settings(), own=GEMINI_OMNI.own(server.url)))
        said = interaction("completed", {**FILM, "uri": f"{stranger.url}/v1beta/files/xyz:download"})
        omni.fetch(Answer("v1_abc", AnswerState.SUCCEEDED, raw=said), tmp_path / "take.mp4")
    assert "x-goog-api-key" not in stranger.asks[0].headers
    assert server.asks == []


def test_a_link_into_a_private_network_is_not_followed(tmp_path):
    said = interaction("completed", {**FILM, "uri": "http://127.0.0.1:1/files/xyz"})
    with Loopback(says({})) as server, pytest.raises(Permanent) as caught:
        at(server).fetch(Answer("v1_abc", AnswerState.SUCCEEDED, raw=said), tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


def test_a_vendor_that_wants_no_background_is_waited_for_in_the_call(tmp_path):
    text = Path(providers.gemini_omni.__file__).with_suffix(".toml").read_text()
    (tmp_path / "gemini_omni.toml").write_text(
        text.replace("quality = 4", "quality = 4\nwire = { background = false }", 1)
    )

    class Waiting(GeminiOmni):
        table = read(tmp_path / "gemini_omni.toml")

    vendor = VendorHere(tmp_path, task_seconds=1.5)
    try:
        url = f"{vendor.url}/gemini_omni"
        omni = open_at(Waiting, GEMINI_OMNI.own(url), vendor.url, timeout=(5, 1))
        sent = omni.submit(ASK, "t")
        assert omni.poll([Handle(sent.vendor_id)])[0].state is AnswerState.SUCCEEDED
    finally:
        vendor.close()


# -- cancelling --------------------------------------------------------------------------------------


def test_a_running_film_may_be_cancelled_and_the_next_poll_says_so(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        omni = GEMINI_OMNI.open(vendor)
        handle = Handle(omni.submit(ASK, "t").vendor_id)
        assert omni.cancel(handle) is False, "what was made until then may be charged"
        [answer] = omni.poll([handle])
        assert (answer.state, answer.code) == (AnswerState.FAILED, "cancelled")
        assert omni.cancel(handle) is False
        assert omni.cancel(Handle("nobody")) is False
    finally:
        vendor.close()


# -- callbacks -----------------------------------------------------------------------------------------


def test_a_callback_to_an_address_of_ours_is_signed_with_a_published_key(vendor):
    with Loopback(lambda _: Reply()) as door:
        omni = GEMINI_OMNI.open(vendor, callback_url=f"{door.url}/omni")
        sent = omni.submit(replace(ASK, prompt="fault-callback-twice"), "t")
        first, again = wait_for(door, 2)
    news = omni.parse_callback(first.headers, first.body, time.time())
    assert (news.answers, news.ask) == ((), (sent.vendor_id,))
    assert omni.parse_callback(again.headers, again.body, time.time()).event_id == news.event_id
    with pytest.raises(Rejected) as caught:
        omni.parse_callback(first.headers, first.body, time.time() + 3600)
    assert caught.value.code == "stale_callback"
    other = jwt.encode(
        {"iat": int(time.time())},
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        algorithm="RS256",
        headers=jwt.get_unverified_header(first.headers["webhook-signature"]),
    )
    for headers in ({**first.headers, "webhook-signature": other}, {**first.headers, "webhook-id": ""}, {}):
        with pytest.raises(Rejected):
            omni.parse_callback(headers, first.body, time.time())


EVENT = b'{"type":"interaction.completed","version":"v1","timestamp":"2026-11-01T12:00:00Z","data":{"id":"v1_abc"}}'
EXAMPLE = (
    "whsec_ZXhhbXBsZS1zaWduaW5nLWtleS0zMi1ieXRlcy1sb25n",
    {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1760000000",
        "webhook-signature": "v1,Fo43TcoyEWSCr1neDvkIj4NSbDvo/bC8o8jUt4l7Mbs=",
    },
)


def test_a_registered_callback_is_signed_with_its_secret():
    secret, headers = EXAMPLE
    with Loopback(says({})) as server:
        news = at(server, secret).parse_callback(headers, EVENT, 1760000000.0)
        assert (news.event_id, news.ask) == ("msg_1", ("v1_abc",))
        with pytest.raises(Rejected):
            at(server, secret).parse_callback(headers, EVENT + b" ", 1760000000.0)
        with pytest.raises(Rejected, match="no webhook secret"):
            at(server).parse_callback(headers, EVENT, 1760000000.0)


@pytest.mark.parametrize(
    ("kind", "asks"),
    [
        ("interaction.completed", True),
        ("interaction.failed", True),
        ("interaction.cancelled", True),
        ("interaction.requires_action", True),
        ("video.generated", True),
        ("batch.succeeded", False),
    ],
)
def test_every_event_about_a_film_is_a_reason_to_ask(kind, asks):
    body = json.dumps({"type": kind, "data": {"id": "v1_abc", "error_code": "x"}}).encode()
    with Loopback(says({})) as server:
        news = at(server, SECRET).parse_callback(sign_standard("e", body, 1e9), body, 1e9)
    assert (news.answers, news.ask) == ((), ("v1_abc",) if asks else ())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"type": "interaction.completed"}', b"\xff"])
def test_an_event_about_nothing_is_refused(body):
    with Loopback(says({})) as server, pytest.raises(Rejected):
        at(server, SECRET).parse_callback(sign_standard("e", body, 1e9), body, 1e9)


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": "?"}, []])
def test_without_published_keys_nobody_can_tell_who_signed(keys):
    with Loopback(says(keys)) as server, pytest.raises(PipelineError):
        at(server).parse_callback({"webhook-id": "e", "webhook-signature": "a.b.c"}, EVENT, time.time())
