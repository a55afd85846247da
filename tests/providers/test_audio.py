"""A take's own sound: who makes it, how each vendor is asked for it, what it costs, and that it is there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests

from core.errors import Rejected
from core.settings import VendorSettings
from media.probe import probe
from providers.base import Handle
from providers.fal import Fal
from providers.kling import Kling
from providers.kling_legacy import KlingLegacy
from providers.replicate import Replicate
from providers.runway import Runway
from providers.veo_vertex import VeoVertex
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, CHECKED_ON, SHOPS, open_at
from tests.simulated import VendorHere

KEY = "key-0123456789"


@dataclass(frozen=True)
class Switch:
    """A model with a switch: where it stands in the request, what it says, and the price of a second."""

    adapter: type
    model: str
    path: tuple[str, ...]
    on: Any
    off: Any
    silent: int
    sounding: int
    """As the vendor bills it, told or not."""
    known: bool = True
    """Whether our card has the price with sound."""


SWITCHES = (
    Switch(Fal, "fal-ai/kling-video/v3/standard/text-to-video", ("generate_audio",), True, False, 84, 126),
    Switch(Fal, "fal-ai/kling-video/v3/pro/text-to-video", ("generate_audio",), True, False, 112, 168),
    Switch(Fal, "fal-ai/veo3.1", ("generate_audio",), True, False, 200, 400),
    Switch(
        Replicate, "kwaivgi/kling-v3-video", ("input", "generate_audio"), True, False, 84, 168, known=False
    ),
    Switch(Replicate, "google/veo-3.1", ("input", "generate_audio"), True, False, 200, 400, known=False),
    Switch(Runway, "veo3.1", ("audio",), True, False, 200, 400),
    Switch(Runway, "veo3.1_fast", ("audio",), True, False, 100, 150),
    Switch(Runway, "seedance2", ("audio",), True, False, 360, 720, known=False),
    Switch(Kling, "kling-3.0", ("settings", "audio"), "native", "off", 84, 126),
    Switch(Kling, "kling-2.6", ("settings", "audio"), "native", "off", 42, 105, known=False),
    Switch(KlingLegacy, "kling-v3", ("sound",), "on", "off", 84, 126),
    Switch(KlingLegacy, "kling-v2-6", ("sound",), "on", "off", 42, 105, known=False),
)
every_switch = pytest.mark.parametrize("switch", SWITCHES, ids=lambda s: f"{s.adapter.slug}:{s.model}")
SILENT = [
    (Kling, "kling-3.0-turbo"),
    (Kling, "kling-2.5-turbo"),
    (KlingLegacy, "kling-v2-5-turbo"),
    (Runway, "gen4.5"),
    (Replicate, "kwaivgi/kling-v2.5-turbo-pro"),
]


def opened(adapter: type, base: str, url: str, model: str) -> Any:
    own = VendorSettings(api_key=KEY, url=base, project="films", prices_checked_on=CHECKED_ON)
    return open_at(adapter, own, url, model=model)


def buy(switch: Switch, vendor: VendorHere, ask, out) -> Any:
    """Order, poll and fetch one film; what was charged for it."""
    adapter = opened(switch.adapter, f"{vendor.url}/{switch.adapter.slug}", vendor.url, switch.model)
    sent = adapter.submit(ask, f"token-{out.stem}")
    [answer] = adapter.poll([Handle(sent.vendor_id, sent.receipt, adapter.model)])
    adapter.fetch(answer, out)
    return adapter, vendor.bill()["tasks"][-1]["charged"]


@every_switch
def test_a_film_has_sound_when_that_is_asked_for_and_is_billed_for_it(vendor, tmp_path, switch):
    model = switch.adapter.table.find(switch.model)
    seconds = model.seconds_for(ASK.frames / ASK.fps)
    for audio, rate in ((False, switch.silent), (True, switch.sounding)):
        ask = replace(ASK, audio=audio)
        out = tmp_path / f"{audio}.mp4"
        adapter, charged = buy(switch, vendor, ask, out)
        assert probe(out).has_audio is audio
        assert charged == rate * 1000 * seconds
        quoted = adapter.quote(ask)
        assert quoted.known is (model.price is not None and (switch.known or not audio))
        if quoted.known:
            assert quoted.amount == charged
        else:
            assert quoted.amount <= charged
            assert "not known" in quoted.basis


@every_switch
def test_the_switch_stands_where_the_vendor_looks_for_it_and_nothing_else_changes(switch):
    answer = {"id": "1", "request_id": "1", "code": 0, "data": {"id": "1", "task_id": "1"}}
    with Loopback(lambda _: Reply(201, json.dumps(answer).encode())) as server:
        adapter = opened(switch.adapter, server.url, server.url, switch.model)
        for audio in (False, True):
            adapter.submit(replace(ASK, audio=audio), "token-1")
    silent, sounding = (json.loads(ask.body) for ask in server.asks)
    assert (taken(silent, switch.path), taken(sounding, switch.path)) == (switch.off, switch.on)
    if "2.6" in switch.model or "2-6" in switch.model:  # makes sound at 1080p alone
        assert {taken(silent, where) for where in (("settings", "resolution"), ("mode",))} & {"720p", "std"}
        assert {taken(sounding, where) for where in (("settings", "resolution"), ("mode",))} & {
            "1080p",
            "pro",
        }
    assert silent == sounding


def taken(body: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Take a field out of a request."""
    for name in path[:-1]:
        body = body.get(name, {})
    return body.pop(path[-1], None)


@pytest.mark.parametrize(("adapter", "model"), SILENT)
def test_who_makes_no_sound_refuses_it_before_anything_is_sent(vendor, adapter, model):
    shop = opened(adapter, f"{vendor.url}/{adapter.slug}", vendor.url, model)
    assert shop.quote(ASK)
    with pytest.raises(Rejected, match="makes no sound") as caught:
        shop.quote(replace(ASK, audio=True))
    assert (caught.value.code, caught.value.field) == ("no_sound", "audio")
    assert vendor.bill()["calls"] == {}


@pytest.mark.parametrize("slug", ["sora", "veo", "veo_vertex", "gemini_omni"])
def test_who_always_makes_sound_is_asked_as_ever_and_takes_the_same(vendor, tmp_path, slug):
    shop = SHOPS[slug]
    adapter = shop.open(vendor)
    for audio in (False, True):
        ask = replace(shop.request, audio=audio)
        sent = adapter.submit(ask, "token-1")
        [answer] = adapter.poll([Handle(sent.vendor_id, sent.receipt)])
        adapter.fetch(answer, tmp_path / "take.mp4")
        assert probe(tmp_path / "take.mp4").has_audio
        assert adapter.quote(ask) == adapter.quote(shop.request)
    charged = {task["charged"] for task in vendor.bill()["tasks"]}
    assert charged == {adapter.quote(shop.request).amount}


@pytest.mark.parametrize("audio", [False, True])
def test_vertex_is_never_asked_for_silence_whose_price_nobody_knows(audio):
    with Loopback(lambda _: Reply(body=b'{"name": "x/operations/1"}')) as server:
        adapter = opened(VeoVertex, server.url, server.url, "veo-3.1-fast-generate-001")
        adapter.submit(replace(ASK, audio=audio), "token-1")
    assert json.loads(server.asks[0].body)["parameters"]["generateAudio"] is True


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("kling/text-to-video/kling-2.5-turbo", {"prompt": "A fox", "settings": {"audio": "native"}}),
        ("kling/text-to-video/kling-3.0", {"prompt": "A fox", "settings": {"audio": "on"}}),
        ("kling/text-to-video/kling-2.6", {"prompt": "A fox", "settings": {"audio": "native"}}),
        ("kling/text-to-video/kling-3.0-turbo", {"prompt": "A fox", "settings": {"audio": "off"}}),
        ("kling_legacy/v1/videos/text2video", {"prompt": "A", "model_name": "kling-v2-6", "sound": "on"}),
        ("kling_legacy/v1/videos/text2video", {"prompt": "A", "model_name": "kling-v3", "sound": True}),
        (
            "kling_legacy/v1/videos/text2video",
            {"prompt": "A", "model_name": "kling-v2-5-turbo", "mode": "pro", "sound": "on"},
        ),
    ],
)
def test_the_simulated_vendor_refuses_a_switch_that_its_model_does_not_have(vendor, slug, said):
    answer = requests.post(
        f"{vendor.url}/{slug}", json=said, headers={"Authorization": f"Bearer {KEY}"}, timeout=10
    )
    assert (answer.status_code, answer.json()["code"]) == (400, 1201), answer.text
    assert vendor.bill()["tasks"] == []
