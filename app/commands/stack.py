"""Run the whole stack, or Flower alone; tidy up after it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from app.commands.database import first_key, upgrade
from app.commands.processes import command_lines
from app.commands.supervision import Running, flower_environment, prepare_environment, supervised
from core import embedded
from core.settings import ROOT, Settings, get_settings


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked us to end
    """Ctrl-C or SIGTERM arrived."""


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into Stopped; later ones are ignored while things stop in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    for number, _ in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def running_stack(settings: Settings, *, to_terminal: bool) -> Iterator[tuple[Running, str | None]]:
    """Servers, schema, first key, processes: yields the running stack and the key, if it was just made."""
    with embedded.running(settings) as found:
        environment = prepare_environment(settings, found)
        os.environ.update(environment)  # this process migrates and makes the first key by the same addresses
        get_settings.cache_clear()
        upgrade()
        key = first_key()
        with supervised(settings, environment, to_terminal=to_terminal) as running:
            yield running, key


@click.command()
def up() -> None:
    """Start everything and say where it is; Ctrl-C stops it."""
    began = time.monotonic()
    settings = get_settings()
    try:
        with stopping_on_signals(), running_stack(settings, to_terminal=True) as (running, key):
            click.echo(_announcement(running, key, time.monotonic() - began))
            code = running.wait()
    except Stopped:
        click.echo("Stopped.")
        return
    raise click.ClickException(f"The supervisor ended with code {code}: see {settings.var_dir / 'log'}.")


def _announcement(running: Running, key: str | None, seconds: float) -> str:
    lines = [
        "",
        f"  Callsheet is up, {seconds:.1f} s after the start.",
        f"    API     {running.api}/api/v1",
        f"    Docs    {running.api}/docs",
        f"    Flower  {running.flower}  ({running.flower_login})",
    ]
    if key:
        lines += [f"    Key     {key}", "            the first API key; it is shown this once, so keep it"]
    return "\n".join([*lines, "    Ctrl-C stops it.", ""])


@click.command()
def flower() -> None:
    """Run Flower alone against the configured or running servers."""
    settings = get_settings()
    environment = flower_environment(settings, embedded.urls(settings))
    port = environment["FLOWER_PORT"]
    click.echo(f"Flower: http://{settings.api_host}:{port}  ({environment['FLOWER_BASIC_AUTH']})")
    process = subprocess.Popen(command_lines(environment)["flower"], cwd=ROOT, env=environment)
    try:
        with stopping_on_signals():
            process.wait()
    except Stopped:
        process.terminate()
        process.wait(20)


@click.command()
def clean() -> None:
    """Stop the embedded servers and delete their data, the demo's too."""
    settings = get_settings()
    for folder in (settings.var_dir, settings.var_dir / "demo"):
        if Path(folder).exists():
            embedded.remove(Settings(var_dir=folder))


COMMANDS = (up, flower, clean)
