"""Slack and Telegram against the simulated vendors, judged by Slack's own client."""

from __future__ import annotations

import json

import pytest

from core.errors import Misconfigured, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.redact import redact
from core.settings import Settings, VendorSettings
from providers.base import Context
from providers.slack import Slack
from providers.telegram import Telegram
from tests.loopback import Loopback, Reply
from tests.simulated import VendorHere
from tests.simulator.clients import essence

ADAPTERS = {"slack": Slack, "telegram": Telegram}
OWN = {
    "slack": {"api_key": "xoxb-0123456789abcdef", "recipient": "C123"},
    "telegram": {"api_key": "123456:ABC-DEF_0123", "recipient": "-100123"},
}


def adapter(slug, url, host, **own):
    http = HttpClient(allow=[host], retry_for=0, sleep=lambda _: None, timeout=(5, 10))
    said = VendorSettings(**{**OWN[slug], "url": url, **own})
    return ADAPTERS[slug](Context(http, Settings(), own=said))


class Vendor(VendorHere):
    def adapter(self, slug, **own):
        return adapter(slug, f"{self.url}/{slug}", f"127.0.0.1:{self.port}", **own)

    def said(self):
        return [task["prompt"] for task in self.bill()["tasks"]]


@pytest.fixture
def vendor(tmp_path):
    with Vendor(tmp_path) as here:
        yield here


@pytest.mark.parametrize("slug", ADAPTERS)
def test_people_are_told_with_a_link(vendor, slug):
    vendor.adapter(slug).notify("The film “Rain” succeeded.", "https://films.example/jobs/7")
    (said,) = vendor.said()
    assert said.startswith("The film “Rain” succeeded.\n")
    assert "https://films.example/jobs/7" in said


@pytest.mark.parametrize("slug", ADAPTERS)
def test_a_long_text_is_cut_and_its_link_is_whole(vendor, slug):
    vendor.adapter(slug).notify("x" * 9000, "https://films.example/jobs/7")
    (said,) = vendor.said()
    assert len(said) <= 4096
    assert said.rstrip(">").endswith("https://films.example/jobs/7")


def test_words_that_slack_would_read_as_commands_are_only_words(vendor):
    vendor.adapter("slack").notify("<!channel> a < b & c")
    assert vendor.said() == ["&lt;!channel&gt; a &lt; b &amp; c"]


@pytest.mark.parametrize(
    ("slug", "fault", "error", "wait"),
    [
        ("slack", "throttled", Retryable, None),
        ("slack", "throttled-wait", Retryable, 1.0),
        ("slack", "busy", Retryable, None),
        ("slack", "broke", Misconfigured, None),
        ("slack", "used-up", Misconfigured, None),
        ("slack", "moderated", Rejected, None),
        ("slack", "down-before", Unconfirmed, None),
        ("telegram", "throttled", Retryable, 1.0),
        ("telegram", "broke", Misconfigured, None),
        ("telegram", "used-up", Misconfigured, None),
        ("telegram", "moderated", Misconfigured, None),
        ("telegram", "down-before", Unconfirmed, None),
        *((slug, name, Unconfirmed, None) for slug in ADAPTERS for name in ("reset-after", "garbage-after")),
    ],
)
def test_trouble_is_sorted(vendor, slug, fault, error, wait):
    vendor.order(fault)
    with pytest.raises(PipelineError) as caught:
        vendor.adapter(slug).notify("Hello.")
    assert type(caught.value) is error
    assert getattr(caught.value, "retry_after", None) == wait
    if (slug, fault) == ("telegram", "moderated"):
        assert "-100987" in caught.value.message


FINAL = ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "channel_not_found")
FINAL += ("not_in_channel", "is_archived", "missing_scope")
LATER = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")


@pytest.mark.parametrize(
    ("word", "error"),
    [
        *((word, Misconfigured) for word in FINAL),
        *((word, Retryable) for word in LATER),
        ("msg_too_long", Rejected),
        ("something_new", Rejected),
        ("", Unconfirmed),
    ],
)
def test_every_word_of_slack_means_what_it_says(word, error):
    reply = Reply(body=json.dumps({"ok": False, "error": word}).encode())
    with Loopback(lambda _: reply) as server, pytest.raises(PipelineError) as caught:
        adapter("slack", server.url, server.host).notify("Hello.")
    assert type(caught.value) is error


@pytest.mark.parametrize("slug", ADAPTERS)
def test_it_is_off_without_a_key_and_a_recipient(slug):
    assert f"{slug.upper()}_API_KEY" in ADAPTERS[slug].usable(VendorSettings())
    assert f"{slug.upper()}_RECIPIENT" in ADAPTERS[slug].usable(VendorSettings(api_key="1:a"))
    assert ADAPTERS[slug].usable(VendorSettings(**OWN[slug])) is None


def test_a_token_stands_in_no_message_and_no_log():
    token = OWN["telegram"]["api_key"]
    assert token not in redact(f"POST /bot{token}/sendMessage HTTP/1.1")
    assert "TELEGRAM_API_KEY" in Telegram.usable(VendorSettings(api_key="no token", recipient="1"))
    with Loopback(lambda _: Reply(status=401, body=b'{"ok":false,"description":"Unauthorized"}')) as server:
        with pytest.raises(Misconfigured) as caught:
            adapter("telegram", server.url, server.host).notify("Hello.")
        assert server.asks[0].path == f"/bot{token}/sendMessage"
    assert token not in caught.value.message


def test_slacks_client_understands_the_simulated_vendor_and_sends_what_we_send(vendor):
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

    client = WebClient(token="any", base_url=f"{vendor.url}/slack/")
    said = client.chat_postMessage(channel="C123", text="Hello.")
    assert said["ok"] is True
    assert said["channel"] == "C123"
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client.chat_postMessage(channel="nowhere", text="Hello.")
    with pytest.raises(SlackApiError, match="invalid_auth"):
        WebClient(token="wrong", base_url=f"{vendor.url}/slack/").chat_postMessage(channel="C1", text="x")

    with Loopback(lambda _: Reply(body=b'{"ok": true, "ts": "1.2"}')) as server:
        token = OWN["slack"]["api_key"]
        WebClient(token=token, base_url=f"{server.url}/").chat_postMessage(channel="C123", text="Hello.")
        adapter("slack", server.url, server.host).notify("Hello.")
        theirs, ours = server.asks
    assert essence(ours) == essence(theirs)
    assert json.loads(ours.body) == json.loads(theirs.body)
