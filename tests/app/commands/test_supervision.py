"""How the processes are described to the supervisor."""

from __future__ import annotations

import configparser
import shlex
import socket
from pathlib import Path

import pytest

from app.commands.processes import child_environment, command_lines
from app.commands.supervision import prepare_environment, supervisor_config
from core import embedded
from core.errors import Misconfigured
from core.settings import get_settings


def test_a_taken_port_is_one_sentence_that_names_the_setting(settings, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("API_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("FLOWER_PORT", "0")
        get_settings.cache_clear()

        with pytest.raises(Misconfigured, match="API_PORT"):
            prepare_environment(get_settings(), embedded.urls(get_settings()))


def test_the_configuration_survives_spaces_and_holds_no_secret(settings, monkeypatch):
    monkeypatch.setenv("API_PORT", "0")
    monkeypatch.setenv("FLOWER_PORT", "0")
    get_settings.cache_clear()
    environment = prepare_environment(get_settings(), embedded.urls(get_settings()))
    text = supervisor_config(Path("/data/100% my var"), environment, to_terminal=False)
    parsed = configparser.RawConfigParser()
    parsed.read_string(text)

    assert shlex.split(parsed["program:worker-io"]["command"])[2:5] == ["-q", "-A", "tasks.app"]
    assert parsed["supervisord"]["pidfile"] == "/data/100%% my var/supervisord.pid"
    for secret in ("DATABASE_URL", "REDIS_URL", "FLOWER_BASIC_AUTH", "SECRET_KEY"):
        assert environment[secret] not in text


def test_a_variable_with_a_space_stays_one_argument(settings):
    environment = child_environment({"VAR_DIR": "/a b", "IO_THREADS": "3"})

    assert "3" in command_lines(environment)["worker-io"]
    assert not any("$" in word for command in command_lines(environment).values() for word in command)
