"""Kling's older API: key pairs that sign tokens, two addresses, and words of its own."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import date

import jwt
import pytest
import requests

from core.errors import Misconfigured, Moderated, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from media.probe import probe
from providers.base import AnswerState, Context, Handle, VideoRequest
from providers.kling_legacy import KlingLegacy, sign_key_pair
from simulator import kling_legacy, webhooks
from tests.loopback import Loopback, Reply
from tests.providers.reference import picture, wait_for

TODAY = date(2026, 11, 21)
ACCESS, SECRET = "AK-simulated", kling_legacy.SECRET
ASK = VideoRequest("shot", "A fox in the snow", width=426, height=240, fps=24, frames=96)


def open_at(
    url, *, key=ACCESS, secret=SECRET, webhook_secret=None, timeout=(5, 60), **context
) -> KlingLegacy:
    host = url.removeprefix("http://").partition("/")[0]
    http = HttpClient(allow=[host], retry_for=0, sleep=lambda _: None, timeout=timeout)
    own = VendorSettings(api_key=key, api_secret=secret, webhook_secret=webhook_secret, url=url)
    return KlingLegacy(Context(http, Settings(), own=own, today=TODAY, **context))


def here(vendor, **more) -> KlingLegacy:
    return open_at(f"{vendor.url}/kling_legacy", **more)


def asking(words, **more):
    return replace(ASK, prompt=words, **more)


# A short secret, as in the vendor's example, is warned of by the library that signs.
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_the_vendors_rule_for_tokens_gives_the_worked_example():
    assert sign_key_pair("AKexample0001", "SKexampleSecret0001", 1760000000) == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJpc3MiOiJBS2V4YW1wbGUwMDAxIiwiZXhwIjoxNzYwMDAxODAwLCJuYmYiOjE3NTk5OTk5OTV9."
        "RbfiKz9ddFNHy_76PtVqrwFnCT-yb57VekuMtoHUY2A"
    )


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_take_is_bought_with_a_key_pair_or_an_api_key(vendor, tmp_path, secret):
    kling = here(vendor, secret=secret)
    sent = kling.submit(ASK, "token-1")
    [answer] = kling.poll([Handle(sent.vendor_id, sent.receipt)])
    assert answer.state is AnswerState.SUCCEEDED
    assert answer.cost == kling.quote(ASK).amount == 5 * 42_000 == vendor.bill()["total"]
    kling.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"


@pytest.mark.parametrize("model", [model.id for model in KlingLegacy.table.all if not model.retired(TODAY)])
@pytest.mark.parametrize("shown", [False, True])
def test_every_model_makes_films_from_words_and_from_a_picture(vendor, tmp_path, model, shown):
    kling = here(vendor, model=model)
    for width, height in ((426, 240), (720, 1280), (1920, 1080), (480, 480)):
        ask = asking("A fox", width=width, height=height, image=picture(tmp_path) if shown else None)
        sent = kling.submit(ask, f"token-{width}-{height}")
        [answer] = kling.poll([Handle(sent.vendor_id, sent.receipt)])
        assert answer.cost == kling.quote(ask).amount


def test_the_request_is_in_the_older_words(tmp_path):
    image = picture(tmp_path)
    done = Reply(
        body=json.dumps({"code": 0, "data": {"task_id": "831", "task_status": "submitted"}}).encode()
    )
    with Loopback(lambda _: done) as server:
        kling = open_at(server.url, callback_url="https://films.example/k", webhook_secret=webhooks.SECRET)
        assert kling.submit(ASK, "token-1").receipt == {"kind": "text2video"}
        assert kling.submit(replace(ASK, image=image, width=1080, height=1920), "token-2").receipt == {
            "kind": "image2video"
        }
    spoken, begun = server.asks
    claims = jwt.decode(spoken.headers["authorization"].removeprefix("Bearer "), SECRET, ["HS256"])
    assert claims["iss"] == ACCESS
    assert claims["exp"] - claims["nbf"] == 1805
    common = {
        "model_name": "kling-v2-6",
        "prompt": "A fox in the snow",
        "duration": "5",
        "sound": "off",
        "callback_url": "https://films.example/k",
    }
    assert (spoken.path, json.loads(spoken.body)) == (
        "/v1/videos/text2video",
        {**common, "mode": "std", "aspect_ratio": "16:9", "external_task_id": "token-1"},
    )
    assert (begun.path, json.loads(begun.body)) == (
        "/v1/videos/image2video",
        {
            **common,
            "mode": "pro",
            "image": base64.b64encode(image.read_bytes()).decode(),
            "external_task_id": "token-2",
        },
    )


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("fault", ["hang-after", "reset-after", "down-after", "garbage-after"])
def test_a_lost_answer_is_found_by_our_token_at_either_address_and_polled_without_a_receipt(
    vendor, tmp_path, fault, shown
):
    kling = here(vendor, timeout=(5, 1 if fault.startswith("hang") else 60))
    with pytest.raises(Unconfirmed):
        kling.submit(asking(f"fault-{fault}", image=picture(tmp_path) if shown else None), "token-1")
    found = kling.lookup("token-1")
    assert found.vendor_id == vendor.bill()["tasks"][0]["vendor_id"]
    assert kling.poll([Handle(found.vendor_id)])[0].state is AnswerState.SUCCEEDED
    assert len(vendor.bill()["tasks"]) == 1


def test_a_submit_that_was_lost_before_it_arrived_is_not_found(vendor):
    kling = here(vendor)
    with pytest.raises(Unconfirmed):
        kling.submit(asking("fault-reset-before"), "token-1")
    assert kling.lookup("token-1") is None
    assert kling.poll([Handle("999")])[0].state is AnswerState.RUNNING


@pytest.mark.parametrize(
    ("spoken", "begun", "found"),
    [
        ((404, 1203), (404, 1203), None),
        ((400, 1201), (200, 0), "831"),
        ((404, 1203), (200, 0), "831"),
        ((400, 1201), (404, 1203), Rejected),
        ((404, 1203), (401, 1002), Misconfigured),
        ((429, 1302), (404, 1203), Retryable),
    ],
)
def test_only_a_vendor_that_says_so_has_no_such_task(spoken, begun, found):
    def answer(ask):
        status, code = spoken if "/text2video/" in ask.path else begun
        task = {"task_id": "831", "task_status": "processing"} if status == 200 else None
        return Reply(status, json.dumps({"code": code, "message": "", "data": task}).encode())

    with Loopback(answer) as server:
        kling = open_at(server.url)
        if isinstance(found, type):
            with pytest.raises(found):
                kling.lookup("token-1")
            return
        answered = kling.lookup("token-1")
    assert (answered.vendor_id if answered else None) == found


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Retryable),
        ("throttled-wait", Retryable),
        ("busy", Retryable),
        ("broke", Misconfigured),
        ("used-up", Misconfigured),
        ("moderated", Moderated),
    ],
)
def test_a_refusal_is_sorted_by_its_code(vendor, fault, error):
    with pytest.raises(error):
        here(vendor).submit(asking(f"fault-{fault}"), "token-1")
    assert vendor.bill()["tasks"] == []


@pytest.mark.parametrize(
    ("pair", "code", "error"),
    [
        ({"secret": "another secret of thirty-two bytes!"}, "kling_1002", Misconfigured),
        ({"secret": None, "key": "wrong"}, "kling_1002", Misconfigured),
    ],
)
def test_a_pair_that_the_vendor_does_not_know_names_the_setting(vendor, pair, code, error):
    with pytest.raises(error, match="KLING_LEGACY_API_KEY") as caught:
        here(vendor, **pair).submit(ASK, "token-1")
    assert caught.value.code == code


@pytest.mark.parametrize(("ahead", "code"), [(3600, 1003), (-3600, 1004)])
def test_a_token_of_a_wrong_clock_is_refused_and_the_next_one_may_be_better(vendor, ahead, code):
    token = sign_key_pair(ACCESS, SECRET, time.time() + ahead)
    refused = requests.get(
        f"{vendor.url}/kling_legacy/v1/videos/text2video/1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    assert (refused.status_code, refused.json()["code"]) == (401, code)
    with (
        Loopback(lambda _: Reply(401, refused.content)) as server,
        pytest.raises(Retryable, match="clock") as caught,
    ):
        open_at(server.url).submit(ASK, "token-1")
    assert caught.value.code == f"kling_{code}"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("submitted", AnswerState.RUNNING),
        ("processing", AnswerState.RUNNING),
        ("succeed", AnswerState.SUCCEEDED),
        ("succeeded", AnswerState.SUCCEEDED),
        ("failed", AnswerState.FAILED),
        ("reviewing", AnswerState.RUNNING),
        (None, AnswerState.RUNNING),
    ],
)
def test_every_status_word_has_its_state(word, state):
    task = {"task_id": "831", "task_status": word, "task_status_msg": "...risk control..."}
    with Loopback(lambda _: Reply(body=json.dumps({"code": 0, "data": task}).encode())) as server:
        [answer] = open_at(server.url).poll([Handle("831", {"kind": "text2video"})])
    assert (answer.vendor_id, answer.state) == ("831", state)
    assert answer.error == ("...risk control..." if state is AnswerState.FAILED else None)


def test_what_the_vendor_would_refuse_is_refused_here(vendor, tmp_path):
    kling = here(vendor)
    for ask, words, field in (
        (asking("x" * 2501), "2500", "prompt"),
        (replace(ASK, frames=24 * 11), "5, 10", "frames"),
        (replace(ASK, image=picture(tmp_path, more=10_000_001)), "10000000", "reference"),
        (replace(ASK, clip=tmp_path / "a.mp4"), "no clips", "reference"),
    ):
        with pytest.raises(Rejected, match=words) as caught:
            kling.quote(ask)
        assert caught.value.field == field
    with pytest.raises(Rejected, match=r"retired kling-v1 .* Use kling-v2-6"):
        here(vendor, model="kling-v1").quote(ASK)
    assert "kling-v2-6" in KlingLegacy.usable(VendorSettings(api_key="k", model="kling-3.0"))
    assert "KLING_LEGACY_API_KEY" in KlingLegacy.usable(VendorSettings())
    assert "submits" not in vendor.bill()["calls"]


def test_a_signed_callback_is_believed_in_the_older_words(vendor, tmp_path):
    with Loopback(lambda _: Reply()) as door:
        kling = here(vendor, callback_url=f"{door.url}/k", webhook_secret=webhooks.SECRET)
        sent = kling.submit(ASK, "token-1")
        [ask] = wait_for(door, 1)
    assert json.loads(ask.body)["task_status"] == "succeed"
    [answer] = kling.parse_callback(ask.headers, ask.body, time.time()).answers
    assert (answer.vendor_id, answer.state, answer.cost) == (
        sent.vendor_id,
        AnswerState.SUCCEEDED,
        5 * 42_000,
    )
    kling.fetch(answer, tmp_path / "take.mp4")
    with pytest.raises(Rejected):
        kling.parse_callback(ask.headers, ask.body + b" ", time.time())
