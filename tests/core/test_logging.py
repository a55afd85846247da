from __future__ import annotations

import json
import logging

import pytest
import structlog

from core.logging import configure_logging
from core.settings import Settings


@pytest.fixture(autouse=True)
def _restore_logging():
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys):
    configure_logging(Settings(callsheet_env="production", secret_key="s" * 16), "api")
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_with_service_level_time_and_bound_ids(lines):
    structlog.contextvars.bind_contextvars(request_id="r1", job="j1", step="s1", task="t1")
    structlog.get_logger("x").info("done", seconds=1.5)
    (line,) = lines()
    assert line["event"] == "done"
    assert line["service"] == "api"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert (line["request_id"], line["job"], line["step"], line["task"]) == ("r1", "j1", "s1", "t1")


def test_records_of_the_standard_library_take_the_same_road(lines):
    structlog.contextvars.bind_contextvars(request_id="r1")
    logging.getLogger("celery.worker").warning("lost %s", "it")
    (line,) = lines()
    assert line["event"] == "lost it"
    assert line["request_id"] == "r1"


def test_secrets_are_blanked_in_names_texts_and_traces(lines):
    log = structlog.get_logger("x")
    log.info(
        "call", api_key="abc123", headers={"Authorization": "Bearer abcdefghijklmnop"},
        url="https://u:pw@h.example/a?api_key=abc123&x=1", key_prefix="cs_1",
    )  # fmt: skip
    try:
        raise RuntimeError("GET https://h.example/?token=abc123 failed")
    except RuntimeError:
        log.exception("broken")
    call, broken = lines()
    text = json.dumps([call, broken])
    for secret in ("abc123", "abcdefghijklmnop", ":pw@"):
        assert secret not in text
    assert call["key_prefix"] == "cs_1"
    assert "RuntimeError" in broken["exception"]


def test_configuring_twice_logs_each_line_once(lines):
    configure_logging(Settings(callsheet_env="production", secret_key="s" * 16), "beat")
    structlog.get_logger("x").info("once")
    assert [line["service"] for line in lines()] == ["beat"]
