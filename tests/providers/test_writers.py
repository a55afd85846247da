"""Both model writers against a server on loopback that speaks their dialects as their vendors document them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid, Misconfigured, Moderated, Permanent, PipelineError, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings
from providers.base import Context, ScriptRequest
from providers.ollama import Ollama
from providers.openai_compatible import OpenAICompatible
from providers.prompts import SCRIPT_SCHEMA, read_script
from tests.loopback import Loopback, Reply

SHOT = {"narration": "The moon rises.", "search_words": ["moon", "night, sky"], "visual_prompt": "A moon.", "camera": "push in", "title": None}  # fmt: skip
SCRIPT = {
    "title": "Looking up",
    "scenes": [{"heading": "Night", "shots": [SHOT, {**SHOT, "camera": "spin"}]}],
}
GOOD = json.dumps(SCRIPT)
REQUEST = ScriptRequest("A film about the moon", target_duration=20, tone="calm")
KEY = "sk-very-secret-0123456789abcdef"


def reply(value, status=200, **headers) -> Reply:
    return Reply(
        status, json.dumps(value).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def chat(content=GOOD, finish="stop", refusal=None) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return reply(
        {"choices": [choice], "usage": {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}}
    )


def llama(content=GOOD, reason="stop") -> Reply:
    return reply({"message": {"role": "assistant", "content": content}, "done": True, "done_reason": reason,
                  "prompt_eval_count": 26, "eval_count": 298})  # fmt: skip


class Vendor:
    """Answers from a list, one by one; the last again and again."""

    def __init__(self, writer, *replies: Reply, **settings) -> None:
        self.writer, self.left, self.settings = writer, list(replies), settings

    def __enter__(self):
        self.server = Loopback(lambda _: self.left.pop(0) if len(self.left) > 1 else self.left[0]).__enter__()
        settings = Settings(
            ollama_url=self.server.url,
            ollama_model="llama3.2",
            openai_compatible_url=f"{self.server.url}/v1",
            openai_compatible_model="gpt-test",
            openai_compatible_key=KEY,
            **self.settings,
        )
        http = HttpClient(allow=[self.server.host], retry_for=0, sleep=lambda _: None, timeout=(1, 1))
        self.adapter = self.writer(Context(http, settings))
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def write(self):
        return self.adapter.write(REQUEST)

    @property
    def bodies(self):
        return [json.loads(ask.body) for ask in self.server.asks]


BOTH = pytest.mark.parametrize(("writer", "say"), [(Ollama, llama), (OpenAICompatible, chat)])


@BOTH
def test_a_model_writes_a_script_with_usage_and_raw_answer(writer, say):
    with Vendor(writer, say()) as vendor:
        draft = vendor.write()
    shots = [shot for _, shot in draft.script.shots]
    assert draft.script.title == "Looking up"
    assert shots[0].search_words == ("moon", "night", "sky")
    assert [shot.camera for shot in shots] == ["push in", None]
    assert set(draft.usage) == {"input", "output"}
    assert len(draft.raw) == 1
    brief = vendor.bodies[0]["messages"][1]["content"]
    assert "20 seconds, that is about 48 words in about 4 shots" in brief
    assert "Tone: calm." in brief


@BOTH
def test_an_answer_that_is_no_script_is_repaired_once(writer, say):
    with Vendor(writer, say('{"title": "x", "scenes": []}'), say()) as vendor:
        draft = vendor.write()
    assert len(draft.raw) == 2
    first, second = vendor.bodies
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert "needs a non-empty list 'scenes'" in second["messages"][-1]["content"]
    assert draft.usage["output"] in (40, 596)


@BOTH
def test_a_second_answer_that_is_no_script_fails_clearly(writer, say):
    with (
        Vendor(writer, say("I would rather not.")) as vendor,
        pytest.raises(Permanent, match="no JSON object") as e,
    ):
        vendor.write()
    assert e.value.code == "bad_answer"
    assert len(vendor.server.asks) == 2


@BOTH
def test_a_truncated_answer_is_asked_for_once_with_more_room(writer, say):
    cut = llama('{"ti', "length") if writer is Ollama else chat('{"ti', "length")
    with Vendor(writer, cut, say()) as vendor:
        vendor.write()
    small, large = (
        body["options"]["num_predict"] if writer is Ollama else body["max_tokens"] for body in vendor.bodies
    )
    assert large > small
    with Vendor(writer, cut) as vendor, pytest.raises(Permanent, match="shorter film"):
        vendor.write()
    assert len(vendor.server.asks) == 2


def test_ollama_is_asked_for_one_answer_by_schema():
    with Vendor(Ollama, llama()) as vendor:
        vendor.write()
    assert vendor.server.asks[0].path == "/api/chat"
    assert vendor.bodies[0]["stream"] is False
    assert vendor.bodies[0]["format"] == SCRIPT_SCHEMA


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (reply({"error": "model 'llama3.2' not found"}, 404), Misconfigured, "ollama pull llama3.2"),
        (reply({"error": "busy"}, 503), Retryable, "busy"),
        (reply({"error": "runner crashed"}), Retryable, "runner crashed"),
        (reply({"error": "boom"}, 500), Retryable, "boom"),
        (reply(["odd"]), Permanent, "no object"),
        (reply({"done": True}), Retryable, "no message"),
    ],
)
def test_ollamas_errors_say_what_to_do(answer, error, message):
    with Vendor(Ollama, answer) as vendor, pytest.raises(error, match=message):
        vendor.write()


def test_the_key_travels_in_its_header_and_strict_schema_is_tried_first():
    with Vendor(OpenAICompatible, chat()) as vendor:
        vendor.write()
    ask = vendor.server.asks[0]
    assert (ask.path, ask.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert vendor.bodies[0]["response_format"]["json_schema"]["strict"] is True


def test_a_simpler_server_is_met_with_simpler_requests():
    refuse = reply(
        {"error": {"message": "response_format is not supported", "param": "response_format"}}, 400
    )
    rename = reply({"error": {"message": "Use 'max_completion_tokens' instead.", "param": "max_tokens"}}, 400)
    with Vendor(
        OpenAICompatible, refuse, rename, reply({"detail": "unknown response_format"}, 422), chat()
    ) as vendor:
        vendor.write()
    formats = [body.get("response_format", {}).get("type") for body in vendor.bodies]
    assert formats == ["json_schema", "json_object", "json_object", None]
    assert "max_completion_tokens" in vendor.bodies[-1]
    assert "max_tokens" not in vendor.bodies[-1]


def test_words_and_fences_around_the_json_are_no_obstacle():
    with Vendor(OpenAICompatible, chat(f"Sure!\n```json\n{GOOD}\n```")) as vendor:
        assert len(vendor.write().raw) == 1


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            reply({"error": {"message": "Bad key", "code": "invalid_api_key"}}, 401),
            Misconfigured,
            "OPENAI_COMPATIBLE_KEY",
        ),
        (reply({"error": "no such model"}, 404), Misconfigured, "no such model.*OPENAI_COMPATIBLE_MODEL"),
        (reply({"error": {"message": "Broke", "code": "insufficient_quota"}}, 429), Misconfigured, "billing"),
        (reply({"error": {"message": "No", "code": "content_policy_violation"}}, 400), Moderated, "No"),
        (reply({"detail": [{"msg": "bad field"}]}, 422), Permanent, "bad field"),
        (
            reply({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400),
            Permanent,
            "too long",
        ),
        (Reply(502, b"<html>Bad gateway</html>", "text/html"), Retryable, "Bad gateway"),
        (reply({"error": "later"}, 429, x_should_retry="false"), Permanent, "later"),
        (chat(None, refusal="I cannot help with that"), Moderated, "I cannot help"),
        (chat("", "content_filter"), Moderated, "filter"),
        (reply({"choices": []}), Retryable, "no choice"),
        (reply({"error": {"message": "upstream"}}), Retryable, "upstream"),
    ],
)
def test_chat_errors_in_every_envelope_say_what_to_do(answer, error, message):
    with Vendor(OpenAICompatible, answer) as vendor, pytest.raises(error, match=message) as caught:
        vendor.write()
    assert type(caught.value) is error
    assert KEY not in str(caught.value)
    assert len(vendor.server.asks) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry_after": "7"}, 7), ({"retry_after_ms": "250"}, 0.25), ({}, None)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_a_server_asks_for_is_kept(headers, seconds, status):
    answer = reply({"error": {"message": "slow down"}}, status, **headers)
    with Vendor(OpenAICompatible, answer) as vendor, pytest.raises(Retryable) as caught:
        vendor.write()
    assert caught.value.retry_after == seconds


def test_a_lost_answer_to_a_paid_call_is_unconfirmed_and_an_unreachable_server_retryable():
    with Vendor(OpenAICompatible, Reply(200, b"{", promise=500)) as vendor, pytest.raises(Unconfirmed):
        vendor.write()
    assert len(vendor.server.asks) == 1
    with pytest.raises(Retryable):
        vendor.write()


@pytest.mark.parametrize("writer", [Ollama, OpenAICompatible])
def test_a_writer_without_its_address_says_which_setting_to_set(writer):
    settings = Settings()
    assert "_URL" in writer.enabled(settings)
    with pytest.raises(Misconfigured, match="_URL"):
        writer(Context(HttpClient(), settings)).write(REQUEST)


def test_what_is_not_priced_says_so():
    with Vendor(OpenAICompatible, chat()) as vendor:
        quote = vendor.adapter.quote(REQUEST)
    assert (quote.known, quote.amount) == (False, 0)
    assert "OPENAI_COMPATIBLE_INPUT_PRICE" in quote.basis


PRICED = {"openai_compatible_input_price": 250_000, "openai_compatible_output_price": 2_000_000}


def cost(calls):
    """Of so many answers by `chat`, rounded up once."""
    return -(-calls * (30 * 250_000 + 20 * 2_000_000) // 1_000_000)


@pytest.mark.parametrize(
    ("replies", "calls"), [([chat()], 1), ([chat("no"), chat()], 2), ([chat("{", "length"), chat()], 2)]
)
def test_a_script_costs_what_all_its_answers_took_and_never_more_than_was_quoted(replies, calls):
    with Vendor(OpenAICompatible, *replies, **PRICED) as vendor:
        quote, draft = vendor.adapter.quote(REQUEST), vendor.write()
    assert (quote.known, draft.cost) == (True, cost(calls))
    assert draft.cost < quote.amount
    assert "what is used is paid" in quote.basis


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        (chat("no"), 2),
        (chat("{", "length"), 2),
        (chat(refusal="I won't."), 1),
        (chat(None, "content_filter"), 1),
    ],
)
def test_an_error_says_what_useless_answers_took(reply, calls):
    with Vendor(OpenAICompatible, reply, **PRICED) as vendor, pytest.raises(PipelineError) as caught:
        vendor.write()
    assert caught.value.cost == cost(calls)


def test_a_server_of_ones_own_costs_nothing_and_one_that_does_not_count_what_was_quoted():
    free = dict.fromkeys(PRICED, 0)
    with Vendor(OpenAICompatible, chat(), **free) as vendor:
        assert vendor.adapter.quote(REQUEST) == replace(vendor.adapter.quote(REQUEST), amount=0, known=True)
        assert vendor.write().cost == 0
    silent = reply({"choices": [{"finish_reason": "stop", "message": {"content": GOOD}}]})
    for replies in ([silent], [chat("no"), silent]):
        with Vendor(OpenAICompatible, *replies, **PRICED) as vendor:
            assert vendor.write().cost is None
    mute = reply({"choices": [{"finish_reason": "stop", "message": {"content": "no"}}]})
    with Vendor(OpenAICompatible, mute, **PRICED) as vendor, pytest.raises(Permanent) as caught:
        vendor.write()
    assert caught.value.cost == vendor.adapter.quote(REQUEST).amount


def test_a_server_that_answered_nothing_took_nothing():
    with (
        Vendor(OpenAICompatible, reply({}, status=429), **PRICED) as vendor,
        pytest.raises(Retryable) as caught,
    ):
        vendor.write()
    assert caught.value.cost == 0


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["title", "scenes", "shots", "heading", "narration", "search_words", "camera"]), inner, max_size=5
    ),
    max_leaves=20,
)  # fmt: skip


@given(anything.map(json.dumps) | st.text(max_size=200))
def test_whatever_a_model_answers_is_a_script_or_invalid(content):
    try:
        script = read_script(content)
    except Invalid:
        return
    assert script.shots
