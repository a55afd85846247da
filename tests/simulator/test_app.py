"""The product's own writers judge the simulated models."""

from __future__ import annotations

import threading

import pytest
from werkzeug.serving import make_server

from core.errors import Misconfigured, Moderated, Permanent, Retryable
from core.http import HttpClient
from core.scripts import format_script, parse_script
from core.settings import Settings
from providers.base import Context, ScriptRequest
from providers.ollama import Ollama
from providers.openai_compatible import OpenAICompatible
from simulator.app import create_app

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
        ollama_url=base,
        ollama_model=model,
        openai_compatible_url=f"{base}/v1",
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
