"""The speech adapters against simulated vendors on a real socket, judged by the vendors' own clients."""

from __future__ import annotations

import base64
import json
from datetime import date

import pytest

from core.errors import (
    Invalid,
    Misconfigured,
    Moderated,
    Permanent,
    PipelineError,
    Rejected,
    Retryable,
    Unconfirmed,
)
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from providers import elevenlabs as eleven
from providers import openai_speech
from providers.base import Context, SpeechRequest
from providers.coqui import Coqui
from providers.elevenlabs import ElevenLabs
from providers.openai_speech import OpenAISpeech
from providers.piper import Piper
from simulator.voice import say, wav
from tests.loopback import Loopback, Reply
from tests.providers.shops import CHECKED_ON
from tests.providers.speaking import check_speech
from tests.simulated import VendorHere

TODAY = date(2026, 11, 21)  # before these models retire
TEXT = "The lighthouse stands on a rock. Every night its lamp is lit."
RACHEL = "21m00Tcm4TlvDq8ikWAM"
ADAPTERS = {"openai_speech": OpenAISpeech, "elevenlabs": ElevenLabs, "piper": Piper, "coqui": Coqui}
PAID = ("openai_speech", "elevenlabs")


class Vendor(VendorHere):
    def adapter(self, slug, *, key="k", **own):
        http = HttpClient(
            allow=[f"127.0.0.1:{self.port}"], retry_for=0, sleep=lambda _: None, timeout=(5, 60)
        )
        said = VendorSettings(api_key=key, url=f"{self.url}/{slug}", prices_checked_on=CHECKED_ON, **own)
        return ADAPTERS[slug](Context(http, Settings(), own=said, today=TODAY))

    def tasks(self):
        return self.bill()["tasks"]


@pytest.fixture
def vendor(tmp_path):
    with Vendor(tmp_path / "vendor") as here:
        yield here


def here(adapter, server, **own):
    http = HttpClient(allow=[server.host], retry_for=0, sleep=lambda _: None)
    said = VendorSettings(**{"api_key": "the-key", "url": server.url, "prices_checked_on": CHECKED_ON, **own})
    return adapter(Context(http, Settings(), own=said))


@pytest.mark.parametrize("slug", ADAPTERS)
def test_every_vendor_speaks_a_text_and_times_its_words(vendor, slug, tmp_path):
    speaker = vendor.adapter(slug)
    speech = speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    check_speech(speech, TEXT)
    assert speech.voice
    assert speech.model == speaker.model
    assert len(vendor.tasks()) == 1


@pytest.mark.parametrize("slug", PAID)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Retryable),
        ("throttled-wait", Retryable),
        ("busy", Retryable),
        ("broke", Misconfigured),
        ("used-up", Misconfigured),
        *((name, Unconfirmed) for name in ("down-before", "reset-after", "garbage-after", "down-after")),
    ],
)
def test_trouble_says_whether_the_call_may_have_been_billed(vendor, slug, fault, error, tmp_path):
    vendor.order(fault)
    with pytest.raises(PipelineError) as caught:
        vendor.adapter(slug, voice=None).speak(SpeechRequest(TEXT, voice=voice_of(slug)), tmp_path / "a.wav")
    assert type(caught.value) is error
    assert len(vendor.tasks()) == fault.endswith("-after")
    if fault == "throttled-wait":
        assert caught.value.retry_after == 1.0
    assert list(tmp_path.glob("*.wav")) == []


def voice_of(slug):
    return {"openai_speech": "coral", "elevenlabs": RACHEL}.get(slug)


@pytest.mark.parametrize("slug", ["piper", "coqui"])
def test_an_own_server_in_trouble_may_be_asked_again(vendor, slug, tmp_path):
    vendor.order("down-before")
    speaker = vendor.adapter(slug)
    with pytest.raises(Retryable):
        speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    check_speech(speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav"), TEXT)


@pytest.mark.parametrize("slug", ADAPTERS)
def test_what_switches_it_on_is_named(slug):
    adapter = ADAPTERS[slug]
    needed = f"{slug.upper()}_API_KEY" if slug in PAID else f"{slug.upper()}_URL"
    assert needed in adapter.usable(VendorSettings())
    assert adapter.usable(VendorSettings(api_key="k", url="http://x")) is None
    assert adapter.local is (slug not in PAID)


@pytest.mark.parametrize("slug", PAID)
def test_a_wrong_key_names_the_setting_and_not_the_key(vendor, slug, tmp_path):
    with pytest.raises(Misconfigured, match=f"{slug.upper()}_API_KEY"):
        vendor.adapter(slug, key="wrong").speak(SpeechRequest(TEXT, voice=voice_of(slug)), tmp_path / "a.wav")


def test_openai_is_paid_by_the_character_as_quoted(vendor, tmp_path):
    speaker = vendor.adapter("openai_speech")
    speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    assert vendor.bill()["total"] == speaker.quote(len(TEXT)).amount == len(TEXT) * 15
    assert vendor.adapter("openai_speech", model="gpt-4o-mini-tts").quote(10).known is False
    assert vendor.adapter("elevenlabs").quote(10).known is False


def test_texts_over_the_vendors_limit_go_out_in_pieces(vendor, tmp_path, monkeypatch):
    monkeypatch.setattr(openai_speech, "LIMIT", 40)
    check_speech(vendor.adapter("openai_speech").speak(SpeechRequest(TEXT), tmp_path / "a.wav"), TEXT)
    assert [task["prompt"] for task in vendor.tasks()] == [
        "The lighthouse stands on a rock.",
        "Every night its lamp is lit.",
    ]


def test_what_openai_refuses_for_its_policy_is_moderated(vendor, tmp_path):
    vendor.order("moderated")
    with pytest.raises(Moderated):
        vendor.adapter("openai_speech").speak(SpeechRequest(TEXT), tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("status", "error", "headers", "expected"),
    [
        (400, {"code": "invalid_value", "param": "input"}, {}, Rejected),
        (400, {"code": "x", "param": "voice"}, {}, Rejected),
        (401, {"code": "invalid_api_key"}, {}, Misconfigured),
        (403, {}, {}, Misconfigured),
        (404, {"code": "model_not_found"}, {}, Misconfigured),
        (408, {}, {}, Unconfirmed),
        (409, {}, {}, Retryable),
        (422, {}, {}, Rejected),
        (429, {"code": "rate_limit_exceeded"}, {}, Retryable),
        (429, {"code": "rate_limit_exceeded"}, {"x-should-retry": "false"}, Permanent),
        (429, {"code": "insufficient_quota"}, {}, Misconfigured),
        (429, {"code": "billing_not_active"}, {}, Misconfigured),
        (500, {}, {}, Unconfirmed),
        (503, {}, {"x-should-retry": "true"}, Unconfirmed),
    ],
)
def test_openai_refusals_are_sorted(status, error, headers, expected, tmp_path):
    reply = Reply(status=status, body=json.dumps({"error": error}).encode(), headers=headers)
    with Loopback(lambda _: reply) as server, pytest.raises(PipelineError) as caught:
        here(OpenAISpeech, server).speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        (400, {"status": "max_character_limit_exceeded", "message": "m"}, Rejected),
        (401, {"status": "invalid_api_key", "message": "m"}, Misconfigured),
        (401, {"status": "quota_exceeded", "message": "m"}, Misconfigured),
        (403, {"status": "x", "message": "m"}, Misconfigured),
        (404, {"status": "voice_not_found", "message": "m"}, Invalid),
        (422, [{"loc": ["body", "text"], "msg": "Field required", "type": "missing"}], Rejected),
        (429, {"status": "system_busy", "message": "m"}, Retryable),
        (500, {"status": "x", "message": "m"}, Unconfirmed),
        (502, None, Unconfirmed),
    ],
)
def test_elevenlabs_refusals_are_sorted(status, detail, expected, tmp_path):
    reply = Reply(status=status, body=json.dumps({"detail": detail}).encode())
    with Loopback(lambda _: reply) as server, pytest.raises(PipelineError) as caught:
        here(ElevenLabs, server).speak(SpeechRequest(TEXT, voice="v"), tmp_path / "a.wav")
    assert type(caught.value) is expected


@pytest.mark.parametrize("slug", ["openai_speech", "elevenlabs", "piper"])
def test_a_voice_nobody_has_is_refused_by_name(vendor, slug, tmp_path):
    with pytest.raises(Invalid) as caught:
        vendor.adapter(slug).speak(SpeechRequest(TEXT, voice="nobody"), tmp_path / "a.wav")
    assert caught.value.field == "voice"
    assert vendor.tasks() == []


def test_elevenlabs_words_have_the_times_of_their_characters(vendor, tmp_path):
    speech = vendor.adapter("elevenlabs").speak(SpeechRequest(TEXT, voice=RACHEL), tmp_path / "a.wav")
    _, _, words = say(TEXT)
    assert [word.start for word in speech.words] == pytest.approx([w.start for w in words], abs=0.01)
    silent = vendor.adapter("elevenlabs").speak(SpeechRequest(TEXT, voice="silent"), tmp_path / "b.wav")
    check_speech(silent, TEXT)


@pytest.mark.parametrize(
    "alignment",
    [
        None,
        {},
        {"characters": ["H"], "character_start_times_seconds": [], "character_end_times_seconds": []},
        {
            "characters": ["H", "o"],
            "character_start_times_seconds": [0, 1],
            "character_end_times_seconds": [1, 2],
        },
        {
            "characters": ["H", "i"],
            "character_start_times_seconds": [0, None],
            "character_end_times_seconds": [1, 2],
        },
    ],
)
def test_an_alignment_that_does_not_spell_the_text_is_not_used(alignment):
    assert eleven._times("Hi", alignment) is None


def test_a_sheet_example_of_an_alignment_is_read():
    alignment = {
        "characters": ["H", "i"],
        "character_start_times_seconds": [0.0, 0.12],
        "character_end_times_seconds": [0.12, 0.30],
    }
    assert eleven._times("Hi", alignment) == [(0.0, 0.30)]


def test_piper_speaks_the_language_asked_and_an_older_server_is_asked_at_its_door(vendor, tmp_path):
    assert vendor.adapter("piper").speak(SpeechRequest(TEXT, language="de"), tmp_path / "a.wav").voice == (
        "de_DE-thorsten-medium"
    )
    with pytest.raises(Invalid, match="en_US-lessac-medium"):
        vendor.adapter("piper").speak(SpeechRequest(TEXT, language="ja"), tmp_path / "a.wav")
    rate, samples, _ = say("Hello.")

    def older(asked):
        if asked.path == "/voices":
            return Reply(body=b'["en_US-lessac-medium"]')
        if asked.path == "/synthesize":
            return Reply(status=404, body=b"<h1>Not Found</h1>")
        return Reply(body=wav(rate, samples), mime="audio/wav")

    with Loopback(older) as server:
        check_speech(here(Piper, server).speak(SpeechRequest("Hello."), tmp_path / "b.wav"), "Hello.")
        assert [a.path for a in server.asks] == ["/voices", "/synthesize", "/"]


def test_coqui_is_told_the_speaker_and_the_language(tmp_path):
    rate, samples, _ = say("Hello.")
    with Loopback(lambda _: Reply(body=wav(rate, samples), mime="audio/wav")) as server:
        here(Coqui, server, voice="p225").speak(SpeechRequest("Hello.", language="en-gb"), tmp_path / "a.wav")
        (sent,) = server.asks
    assert sent.body == b"text=Hello.&speaker_id=p225&language_id=en"
    no = Reply(status=400, body=b'{"error": "no speaker"}')
    with Loopback(lambda _: no) as server, pytest.raises(Rejected, match="no speaker"):
        here(Coqui, server).speak(SpeechRequest("Hello."), tmp_path / "a.wav")


# -- the vendors' own clients ----------------------------------------------------------------------


def test_openais_client_understands_the_simulated_vendor_and_sends_what_we_send(vendor, tmp_path):
    from openai import OpenAI, RateLimitError

    client = OpenAI(api_key="k", base_url=f"{vendor.url}/openai_speech", max_retries=0)
    heard = client.audio.speech.create(model="tts-1", voice="coral", input=TEXT, response_format="wav")
    assert heard.content[:4] == b"RIFF"
    vendor.order("throttled")
    with pytest.raises(RateLimitError):
        client.audio.speech.create(model="tts-1", voice="coral", input="More.", response_format="wav")

    rate, samples, _ = say("Hello.")
    with Loopback(lambda _: Reply(body=wav(rate, samples), mime="audio/wav")) as server:
        OpenAI(api_key="the-key", base_url=server.url).audio.speech.create(
            model="tts-1", voice="coral", input="Hello.", response_format="wav", speed=1.5
        )
        here(OpenAISpeech, server).speak(
            SpeechRequest("Hello.", voice="coral", speed=1.5), tmp_path / "a.wav"
        )
        theirs, ours = server.asks
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name]
    assert json.loads(ours.body) == json.loads(theirs.body)


def test_elevenlabs_client_understands_the_simulated_vendor_and_sends_what_we_send(vendor, tmp_path):
    from elevenlabs.client import ElevenLabs as Client
    from elevenlabs.core.api_error import ApiError

    client = Client(api_key="k", base_url=f"{vendor.url}/elevenlabs")
    asked = {"text": TEXT, "model_id": "eleven_multilingual_v2", "output_format": "pcm_24000"}
    heard = client.text_to_speech.convert_with_timestamps(RACHEL, **asked)
    assert "".join(heard.alignment.characters) == TEXT
    assert len(base64.b64decode(heard.audio_base_64)) > 24_000
    assert [voice.voice_id for voice in client.voices.search().voices] == [RACHEL, "silent"]
    with pytest.raises(ApiError):
        client.text_to_speech.convert_with_timestamps("nobody", **asked)

    body = json.dumps({"audio_base64": base64.b64encode(bytes(4800)).decode(), "alignment": None}).encode()
    with Loopback(lambda _: Reply(body=body)) as server:
        Client(api_key="the-key", base_url=server.url).text_to_speech.convert_with_timestamps(RACHEL, **asked)
        here(ElevenLabs, server).speak(SpeechRequest(TEXT, voice=RACHEL), tmp_path / "a.wav")
        theirs, ours = server.asks
    assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
    for name in ("xi-api-key", "content-type"):
        assert ours.headers[name] == theirs.headers[name]
    assert json.loads(ours.body) == json.loads(theirs.body)
