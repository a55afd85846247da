"""GhostCut's adapter against the simulated vendor on a real socket, and its signatures against the guide's."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from core.errors import Misconfigured, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from media.ffmpeg import run as ffmpeg
from media.probe import probe
from providers.base import AnswerState, Context, Handle, RemovalRequest
from providers.ghostcut import GhostCut, _read
from providers.ghostcut_wire import sign
from simulator.ghostcut import SECRET
from tests.loopback import Loopback, Reply
from tests.simulated import VendorHere

EXAMPLE_SECRET = "0123456789abcdef0123456789abcdef"
BOX = (0.1, 0.7, 0.8, 0.2, 0.0, None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "blob"
    picture = "color=c=gray:s=320x180:d=2:r=24,drawbox=x=80:y=130:w=160:h=24:c=white:t=fill"
    args = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=440:d=2", "-c:v", "libx264"]
    ffmpeg(
        [*args, "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mp4"], out=path.with_suffix(".mp4"), timeout=60
    )
    return path.with_suffix(".mp4").rename(path)


@pytest.fixture
def ask(clip):
    return RemovalRequest("", clip, 320, 180, 2.0, regions=(BOX,))


class Vendor(VendorHere):
    def adapter(self, *, key="k", secret=SECRET, model=None, callback=None, **client) -> GhostCut:
        wanted = {"retry_for": 0, "sleep": lambda _: None, "timeout": (5, 60), **client}
        own = VendorSettings(api_key=key, api_secret=secret, url=f"{self.url}/ghostcut")
        http = HttpClient(allow=[f"127.0.0.1:{self.port}"], **wanted)
        return GhostCut(Context(http, Settings(), own=own, model=model, callback_url=callback))


@pytest.fixture
def vendor(tmp_path):
    with Vendor(tmp_path) as here:
        yield here


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        ('{"idWorks":[476993630]}', "af2974330a26045b44a06d7cc0495af5"),
        (
            (
                '{"urls":["https://cdn.example.com/a.mp4"],"names":["a.mp4"],"resolution":"1080p",'
                '"needChineseOcclude":1,"videoInpaintLang":"all",'
                '"callback":"https://hooks.example.com/ghostcut"}'
            ),
            "de66be3ff0e5067463aa9b891f77c80d",
        ),
        (
            (
                '{"id":476993630,"processStatus":1,"processProgress":100.0,'
                '"videoUrl":"https://cdn.example.com/out.mp4"}'
            ),
            "c954f3f854da18312995c64ac224ae60",
        ),
    ],
)
def test_bodies_are_signed_as_in_the_guides_examples(body, signature):
    assert sign(body.encode(), EXAMPLE_SECRET) == signature


def test_the_bytes_that_are_signed_are_the_bytes_that_are_sent():
    said = {"code": 1000, "body": {"content": []}}
    with Loopback(lambda _: Reply(body=json.dumps(said).encode())) as server:
        own = VendorSettings(api_key="the-key", api_secret=EXAMPLE_SECRET, url=server.url)
        GhostCut(Context(HttpClient(allow=[server.host]), Settings(), own=own)).poll([Handle("476993630")])
        (sent,) = server.asks
    assert (sent.method, sent.path) == ("POST", "/v-w-c/gateway/ve/work/status")
    assert sent.headers["appkey"] == "the-key"
    assert sent.headers["appsign"] == sign(sent.body, EXAMPLE_SECRET)
    assert json.loads(sent.body)["idWorks"] == [476993630]
    assert b" " not in sent.body


def test_a_clip_is_uploaded_cleaned_and_brought_home_at_what_the_vendor_charged(vendor, ask, tmp_path):
    ghost = vendor.adapter()
    sent = ghost.submit(ask, "token-1")
    [answer] = ghost.poll([Handle(sent.vendor_id)])
    assert (answer.state, answer.progress) == (AnswerState.SUCCEEDED, 1.0)
    (line,) = vendor.bill()["tasks"]
    assert answer.cost == line["charged"] == 170_000
    assert line["currency"] == ghost.quote(ask).currency == "PTS"
    assert answer.cost <= ghost.quote(ask).amount == 1_000_000
    ghost.fetch(answer, tmp_path / "out.mp4")
    seen = probe(tmp_path / "out.mp4")
    assert (seen.kind, seen.width, round(seen.duration), seen.has_audio) == ("clip", 320, 2, True)


def test_a_clip_that_can_be_reached_is_read_by_its_link(vendor, ask, clip):
    with Loopback(lambda _: Reply(body=clip.read_bytes(), mime="video/mp4")) as server:
        ghost = vendor.adapter()
        sent = ghost.submit(replace(ask, url=f"{server.url}/a.mp4"), "token-1")
        assert [one.path for one in server.asks] == ["/a.mp4"]
    [answer] = ghost.poll([Handle(sent.vendor_id)])
    assert answer.state is AnswerState.SUCCEEDED


def test_a_link_that_leads_nowhere_fails_in_the_vendors_words(vendor, ask):
    ghost = vendor.adapter()
    sent = ghost.submit(replace(ask, url="http://127.0.0.1:9/gone.mp4"), "token-1")
    [answer] = ghost.poll([Handle(sent.vendor_id)])
    assert answer.state is AnswerState.FAILED
    assert "(3)" in answer.error
    assert "下载失败" in answer.error


def test_many_are_polled_with_one_call_and_in_the_order_asked(vendor, ask):
    ghost = vendor.adapter()
    ids = [ghost.submit(ask, f"token-{n}").vendor_id for n in range(3)]
    wanted = [*reversed(ids), "999"]
    answers = ghost.poll([Handle(one) for one in wanted])
    assert [answer.vendor_id for answer in answers] == wanted
    assert answers[-1].state is AnswerState.RUNNING
    assert vendor.bill()["calls"]["polls"] == 1


@pytest.mark.parametrize("fault", ["reset-after", "garbage-after", "down-after", "down-before"])
def test_an_order_whose_outcome_nobody_knows_is_unconfirmed_and_not_looked_up(vendor, ask, fault):
    vendor.order(fault)
    ghost = vendor.adapter()
    with pytest.raises(Unconfirmed):
        ghost.submit(ask, "token-1")
    assert not ghost.can_look_up


@pytest.mark.parametrize(
    ("fault", "error", "wait"), [("throttled-wait", Retryable, 1.0), ("busy", Retryable, None)]
)
def test_a_vendor_that_takes_no_more_now_took_nothing(vendor, ask, fault, error, wait):
    vendor.order(fault)
    with pytest.raises(error) as caught:
        vendor.adapter().submit(ask, "token-1")
    assert (caught.value.code, caught.value.retry_after) == ("throttled", wait)
    assert vendor.bill()["tasks"] == []


CODES = {
    **dict.fromkeys((2001, 2003, 2004, 3007), (Misconfigured, Misconfigured)),
    **dict.fromkeys((2002, 3003), (Permanent, Permanent)),
    **dict.fromkeys((3001, 3002, 9999), (Unconfirmed, Retryable)),
    3006: (Retryable, Retryable),
    **dict.fromkeys((3008, 4001, 4002, 4003, 4004), (Rejected, Rejected)),
    7777: (Unconfirmed, Retryable),
}


@pytest.mark.parametrize(("code", "errors"), CODES.items())
@pytest.mark.parametrize("status", [200, 400])
def test_a_refusal_is_sorted_by_the_code_in_its_body(ask, code, errors, status):
    if code == 7777 and status == 400:
        errors = (Rejected, Rejected)
    body = json.dumps({"code": code, "msg": "no"}).encode()
    with Loopback(lambda _: Reply(status=status, body=body)) as server:
        http = HttpClient(allow=[server.host], retry_for=0, sleep=lambda _: None)
        own = VendorSettings(api_key="k", api_secret="s", url=server.url)
        ghost = GhostCut(Context(http, Settings(), own=own))
        with pytest.raises(PipelineError) as caught:
            ghost.submit(replace(ask, url="https://cdn.example.com/a.mp4"), "token-1")
        assert type(caught.value) is errors[0]
        if code == 3003:
            [answer] = ghost.poll([Handle("1")])
            assert answer.state is AnswerState.RUNNING
            return
        with pytest.raises(PipelineError) as caught:
            ghost.poll([Handle("1")])
        assert type(caught.value) is errors[1]


def test_one_id_that_the_vendor_does_not_know_hides_no_other():
    def answer(asked):
        ids = json.loads(asked.body)["idWorks"]
        if 2 in ids:
            return Reply(body=b'{"code": 3003, "msg": "id does not exist"}')
        return Reply(body=b'{"code": 1000, "body": {"content": [{"id": "1", "processStatus": 0}]}}')

    with Loopback(answer) as server:
        own = VendorSettings(api_key="k", api_secret="s", url=server.url)
        ghost = GhostCut(Context(HttpClient(allow=[server.host]), Settings(), own=own))
        answers = ghost.poll([Handle("1"), Handle("2")])
    assert [(a.state, a.error is None) for a in answers] == [
        (AnswerState.RUNNING, True),
        (AnswerState.RUNNING, False),
    ]


FAILED = (2, 3, 5, 14, 16, 26, 98, 99, 100, 24, 27, 29, 30, 31, 32, 28, 73, 83, 18, 23, 43, 111)
FAILED += (6, 7, 13, 20, 21, 22, 500)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((code, AnswerState.RUNNING) for code in (-3, -2, -1, 0, -9, None, "new")),
        (1, AnswerState.SUCCEEDED),
        *((code, AnswerState.FAILED) for code in FAILED),
    ],
)
def test_every_status_of_the_guide_means_what_it_says(status, state):
    answer = _read({"id": 7, "processStatus": status, "processProgress": 100.0, "paidPoint": 1.5})
    assert (answer.vendor_id, answer.state) == ("7", state)
    assert answer.cost == (1_500_000 if status == 1 else None)
    assert (answer.error is not None) == (state is AnswerState.FAILED)
    assert answer.code == {28: "moderated", 83: "locked"}.get(status, "vendor_failed")
    if status in (73, 83):
        assert "Top up" in answer.error


@pytest.mark.parametrize("said", [None, "", "a lot", -1, "NaN"])
def test_points_are_never_guessed(said):
    assert _read({"id": 7, "processStatus": 1, "paidPoint": said}).cost is None


def test_a_callback_is_believed_when_it_is_signed_and_told_apart_by_id_and_status(vendor):
    ghost = vendor.adapter(secret=EXAMPLE_SECRET)
    body = (
        b'{"id":476993630,"processStatus":1,"processProgress":100.0,'
        b'"videoUrl":"https://cdn.example.com/out.mp4"}'
    )
    headers = {"callback-sign": "c954f3f854da18312995c64ac224ae60"}
    told = ghost.parse_callback(headers, body, 0.0)
    assert told.event_id == "476993630:1"
    (answer,) = told.answers
    assert (answer.vendor_id, answer.state) == ("476993630", AnswerState.SUCCEEDED)
    for forged in (body + b" ", body.replace(b"1,", b"0,", 1)):
        with pytest.raises(Rejected):
            ghost.parse_callback(headers, forged, 0.0)
    with pytest.raises(Rejected):
        ghost.parse_callback({}, body, 0.0)


def test_the_simulated_vendor_calls_back_as_the_vendor_signs(vendor, ask):
    with Loopback(lambda _: Reply(body=b"ok")) as server:
        ghost = vendor.adapter(callback=f"{server.url}/ghostcut")
        vendor.order("callback-twice")
        sent = ghost.submit(ask, "token-1")
        deadline = time.monotonic() + 20
        while len(server.asks) < 2:
            assert time.monotonic() < deadline, "it did not call twice"
            time.sleep(0.02)
        first, second = (ghost.parse_callback(a.headers, a.body, 0.0) for a in server.asks)
    assert first.event_id == second.event_id == f"{sent.vendor_id}:1"


@pytest.mark.parametrize(
    ("model", "regions", "field"),
    [
        ("advanced_lite", (), "regions"),
        ("advanced_lite", (BOX,) * 11, "regions"),
        ("advanced", (), "regions"),
        ("advanced", ((0, 0, 0.5, 0.5, 0.0, None),), "regions"),
        ("advanced_large_box", ((0, 0, 0.8, 0.5, 0.0, None),), "regions"),
        ("advanced_full", (BOX,), "regions"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_anything_is_sent(vendor, ask, model, regions, field):
    with pytest.raises(Rejected) as caught:
        vendor.adapter(model=model).quote(replace(ask, regions=regions))
    assert caught.value.field == field
    assert "submits" not in vendor.bill()["calls"]


@pytest.mark.parametrize(("model", "regions"), [("basic", ()), ("advanced", (BOX,)), ("advanced_full", ())])
def test_regions_to_keep_are_taken_only_where_the_guide_has_masks_for_them(vendor, ask, model, regions):
    corner = (0.0, 0.0, 0.2, 0.1, 1.0, None)
    with pytest.raises(Rejected, match="keeps regions"):
        vendor.adapter(model=model).quote(replace(ask, regions=regions, keep=(corner,)))
    order = vendor.adapter()._order(replace(ask, keep=(corner,)), "https://example.test/a.mp4", "a.mp4")
    kinds = [(mask["type"], mask["start"], mask["end"]) for mask in json.loads(order["videoInpaintMasks"])]
    assert kinds == [("remove", 0.0, 99999), ("keep", 1.0, 99999)]
    assert order["needChineseOcclude"] == 2


def test_clips_that_are_too_long_and_languages_nobody_looks_for_are_refused(vendor, ask):
    for wrong in (replace(ask, duration=901.0), replace(ask, language="xx"), replace(ask, size=10**9)):
        with pytest.raises(Rejected):
            vendor.adapter().quote(wrong)


@pytest.mark.parametrize(
    ("model", "regions"),
    [
        ("basic", ()),
        ("basic", (BOX, (0, 0, 0.1, 0.1, 1.0, 2.0))),
        ("advanced_lite", (BOX,)),
        ("advanced", (BOX,)),
        ("advanced_large_box", ((0, 0, 0.5, 0.5, 0.0, None),)),
        ("advanced_full", ()),
    ],
)
def test_every_model_takes_what_it_says_it_takes(vendor, ask, model, regions):
    assert vendor.adapter(model=model).submit(replace(ask, regions=regions), "token-1").vendor_id
    assert vendor.bill()["tasks"][0]["model"] == model


def test_it_is_off_without_both_halves_of_its_key():
    assert "GHOSTCUT_API_KEY" in GhostCut.usable(VendorSettings())
    assert "GHOSTCUT_API_SECRET" in GhostCut.usable(VendorSettings(api_key="k"))
    assert GhostCut.usable(VendorSettings(api_key="k", api_secret="s")) is None
    assert "basic" in GhostCut.usable(VendorSettings(api_key="k", api_secret="s", model="better"))


def test_a_wrong_secret_names_the_settings_and_not_the_secret(vendor, ask):
    with pytest.raises(Misconfigured, match="GHOSTCUT_API_SECRET") as caught:
        vendor.adapter(secret="hush-hush").submit(ask, "token-1")
    assert caught.value.code == "ghostcut_2004"
    assert "hush-hush" not in str(caught.value)


def test_a_price_reckoned_from_one_example_is_not_called_known(vendor, ask):
    assert [vendor.adapter().quote(replace(ask, duration=s)).amount for s in (0.5, 12, 12.1, 60)] == [
        1_000_000,
        1_000_000,
        2_000_000,
        5_000_000,
    ]
    assert vendor.adapter().quote(ask).known is False
