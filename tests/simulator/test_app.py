"""The product's own writers judge the simulated models."""

from __future__ import annotations

import json
import threading

import pytest
import requests
from werkzeug.serving import make_server

from core.errors import Misconfigured, Moderated, Permanent, Retryable
from core.http import HttpClient
from core.scripts import format_script, parse_script
from core.settings import Settings
from providers.base import Context, ScriptRequest
from providers.ollama import Ollama
from providers.openai_compatible import OpenAICompatible
from providers.prompts import SCRIPT_SCHEMA, read_script
from simulator.app import DIALECTS, create_app
from simulator.writing import write_answer
from tests.loopback import Loopback, Reply
from tests.simulator.clients import essence

REQUEST = ScriptRequest("The moon pulls the sea. The sea leaves and comes back.", target_duration=30)


@pytest.fixture(scope="module")
def base():
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)


def write(writer, base: str, model: str):
    settings = Settings(
        ollama_url=f"{base}/ollama",
        ollama_model=model,
        openai_compatible_url=f"{base}/openai_compatible/v1",
        openai_compatible_model=model,
        openai_compatible_key="any",
    )
    http = HttpClient(allow=[base.removeprefix("http://")], retry_for=0, sleep=lambda _: None)
    return writer(Context(http, settings)).write(REQUEST)


@pytest.mark.parametrize("writer", [Ollama, OpenAICompatible])
def test_a_simulated_model_writes_a_script_of_the_briefs_words(base, writer):
    draft = write(writer, base, "simulated")
    narration = [shot.narration for _, shot in draft.script.shots]
    assert narration[:2] == ["The moon pulls the sea.", "The sea leaves and comes back."]
    assert len(narration) == 6
    assert parse_script(format_script(draft.script), "markdown") == draft.script
    assert draft.usage["output"] > 0
    assert write(writer, base, "simulated").script == draft.script


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Retryable),
        ("down", Retryable),
        ("missing", Misconfigured),
        ("truncated", Permanent),
        ("garbage", Permanent),
    ],
)
@pytest.mark.parametrize("writer", [Ollama, OpenAICompatible])
def test_a_simulated_fault_is_the_error_that_the_vendors_would_be(base, writer, fault, error):
    with pytest.raises(error):
        write(writer, base, f"fault-{fault}")


def test_a_simulated_refusal_is_a_matter_of_policy(base):
    with pytest.raises(Moderated):
        write(OpenAICompatible, base, "fault-refused")


# -- the vendors' own clients ----------------------------------------------------------------------


def test_ollamas_client_understands_the_simulated_server_and_sends_what_we_send(base):
    from ollama import Client, ResponseError

    client = Client(host=f"{base}/ollama")
    messages = [{"role": "user", "content": "The moon pulls the sea."}]
    whole = client.chat(model="simulated", messages=messages, format=SCRIPT_SCHEMA)
    assert read_script(whole.message.content).narration
    assert (whole.done, whole.done_reason) == (True, "stop")
    parts = list(client.chat(model="simulated", messages=messages, stream=True))
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert [part.done for part in parts][-2:] == [False, True]
    assert [model.model for model in client.list().models] == ["simulated"]
    with pytest.raises(ResponseError) as caught:
        client.chat(model="fault-missing", messages=messages)
    assert caught.value.status_code == 404

    answer = {"message": {"role": "assistant", "content": write_answer("The sea.")}, "done": True}
    with Loopback(lambda _: Reply(body=json.dumps(answer).encode())) as server:
        settings = Settings(ollama_url=server.url, ollama_model="llama3.2")
        Ollama(Context(HttpClient(allow=[server.host]), settings)).write(REQUEST)
        sent = json.loads(server.asks[0].body)
        more = {name: sent[name] for name in ("model", "messages", "format", "options")}
        Client(host=server.url).chat(**more)
        ours, theirs = server.asks
    assert essence(ours, "content-type") == essence(theirs, "content-type")
    body = json.loads(theirs.body)
    assert {name: value for name, value in body.items() if value not in (None, [])} == json.loads(ours.body)


def test_openais_client_understands_the_simulated_server_and_sends_what_we_send(base):
    from openai import NotFoundError, OpenAI

    client = OpenAI(api_key="any", base_url=f"{base}/openai_compatible/v1", max_retries=0)
    messages = [{"role": "user", "content": "The moon pulls the sea."}]
    shape = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": SCRIPT_SCHEMA}}
    whole = client.chat.completions.create(model="simulated", messages=messages, response_format=shape)
    assert read_script(whole.choices[0].message.content).narration
    assert whole.usage.total_tokens > 0
    parts = client.chat.completions.create(model="simulated", messages=messages, stream=True)
    said = "".join(part.choices[0].delta.content or "" for part in parts)
    assert said == whole.choices[0].message.content
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="fault-missing", messages=messages)

    choice = {"index": 0, "finish_reason": "stop", "message": {"content": write_answer("The sea.")}}
    with Loopback(lambda _: Reply(body=json.dumps({"choices": [choice]}).encode())) as server:
        settings = Settings(
            openai_compatible_url=server.url, openai_compatible_model="m", openai_compatible_key="the-key"
        )
        OpenAICompatible(Context(HttpClient(allow=[server.host]), settings)).write(REQUEST)
        sent = json.loads(server.asks[0].body)
        OpenAI(api_key="the-key", base_url=server.url).chat.completions.create(**sent)
        ours, theirs = server.asks
    assert essence(ours, "content-type") == essence(theirs, "content-type")
    assert json.loads(theirs.body) == json.loads(ours.body)


def test_a_schema_that_is_not_strict_is_refused_as_the_vendor_does(base):
    loose = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}
    body = {
        "model": "simulated",
        "messages": [],
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": loose}
        },
    }  # fmt: skip
    answer = requests.post(f"{base}/openai_compatible/v1/chat/completions", json=body, timeout=5)
    assert answer.status_code == 400
    assert "additionalProperties" in answer.json()["error"]["message"]


def test_every_vendor_says_which_settings_lead_to_it(base):
    lines = [dialect.variables(base) for dialect in DIALECTS.all().values()]
    assert f"OLLAMA_URL={base}/ollama OLLAMA_MODEL=simulated" in lines
    assert f"KLING_API_KEY=any KLING_URL={base}/kling" in " ".join(lines)
    assert all("_URL=" in line for line in lines)
