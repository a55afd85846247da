"""Make the sample film as a client would: start a stack of our own, ask the REST API, watch, collect."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psutil
import requests

from app.commands.stack import Stopped, running_stack, stopping_on_signals
from app.commands.supervision import Running
from core.errors import Misconfigured, PipelineError
from core.settings import ROOT, Settings, get_settings

SCRIPT = ROOT / "app" / "samples" / "looking-up.md"
ENDED = ("succeeded", "failed", "cancelled")
LIMIT_SECONDS = 1800.0
BAR = 24
PINNED = re.compile(r"^\[(?:image|clip|camera|search):.*\]\n", re.MULTILINE)


def film_job(script: str, provider: str | None = None) -> dict[str, Any]:
    """The body of POST /jobs: a film that needs no network and no key of anybody's.

    A `provider` films every shot from its words, so the script may pin no pictures.
    """
    if provider is not None:
        script = PINNED.sub("", script)
    params = {
        "script": script,
        "script_format": "markdown",
        "format": "16:9",
        "size": 720,
        "fps": 30,
        "language": "en",
        "music": {"from": "samples", "id": "ambient-wonder"},
        "captions": "karaoke",
        "providers": ["local"] if provider is None else [provider, "local"],
        "sources": ["samples"],
        "reuse": False,
    }
    return {"kind": "film", "params": params, "gates": []}


@click.command()
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=SCRIPT,
    help="A Markdown script of your own instead of the sample.",
)
@click.option("--provider", help="A vendor that makes the takes, such as kling, instead of this machine.")
@click.option("--simulate", is_flag=True, help="Buy from a simulator of that vendor: nothing is paid.")
def demo(script: Path, provider: str | None, simulate: bool) -> None:
    """Make a sample film from a script, through the REST API, and show what became of it."""
    began = time.monotonic()
    if simulate and provider is None:
        raise click.UsageError(
            "Say whom to simulate: --provider kling (make demo PROVIDER=kling SIMULATE=1)."
        )
    settings = _demo_settings()
    try:
        with stopping_on_signals(), ExitStack() as running_too:
            vendors = (
                running_too.enter_context(simulated(provider, settings)) if provider and simulate else None
            )
            running, key = running_too.enter_context(running_stack(settings, to_terminal=False))
            click.echo(f"The stack is up after {time.monotonic() - began:.1f} s: {running.api}/docs")
            ok = _make_film(running, _kept_key(settings, key), script, settings, provider, vendors)
    except Stopped:
        click.echo("Stopped before the film was done.", err=True)
        sys.exit(130)
    click.echo(f"Everything that was started is stopped again. {time.monotonic() - began:.1f} s in all.")
    if not ok:
        click.echo(f"The logs are in {settings.var_dir / 'log'}.", err=True)
        sys.exit(1)


def _demo_settings() -> Settings:
    """Settings of an installation of its own: own servers, own ports, beside whatever else runs."""
    os.environ |= {"VAR_DIR": str(get_settings().var_dir / "demo"), "API_PORT": "0", "FLOWER_PORT": "0"}
    os.environ |= {"API_HOST": "127.0.0.1", "STORAGE_URL": "disk"}
    for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "PUBLIC_URL"):
        os.environ[name] = ""  # an empty variable also outranks the .env file
    get_settings.cache_clear()
    return get_settings()


def _kept_key(settings: Settings, made: str | None) -> str:
    """The demo's API key: kept beside its database, since the first one is shown only once."""
    path = settings.var_dir / "api-key"
    if made:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(made)
    if not path.exists():
        raise Misconfigured(f"{path} is gone: run `make clean`, then the demo again.")
    return path.read_text()


@contextmanager
def simulated(provider: str, settings: Settings) -> Iterator[str]:
    """Run the simulated vendors and have this installation buy from them; yields their address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "simulator", "--port", str(port)]
    vendors = subprocess.Popen(
        [*command, "--state", str(settings.var_dir / "simulator")], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(base, vendors)
        os.environ |= {
            f"{provider.upper()}_API_KEY": "simulated",
            f"{provider.upper()}_URL": f"{base}/{provider}",
            f"{provider.upper()}_PRICES_CHECKED_ON": datetime.now(UTC).date().isoformat(),
        }
        click.echo(
            f"{provider} is a SIMULATOR at {base}/{provider}: its films are test cards, and nothing is paid."
        )
        yield base
    finally:
        vendors.terminate()
        vendors.wait(20)


def _wait_for(base: str, vendors: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and vendors.poll() is None:
        try:
            requests.get(f"{base}/_bill", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise Misconfigured("The simulated vendors did not start.")


def _make_film(
    running: Running, key: str, script: Path, settings: Settings, provider: str | None, vendors: str | None
) -> bool:
    with requests.Session() as client:
        client.headers["X-API-Key"] = key
        client.trust_env = False  # a proxy must not see calls to this machine
        jobs = f"{running.api}/api/v1/jobs"
        before = _billed(vendors)
        body = film_job(script.read_text(encoding="utf-8"), provider)
        job = _answer(client.post(jobs, json=body, timeout=30))
        click.echo(f"Job {job['id']}: {script.stem}")
        meter = MemoryMeter(running.supervisor.pid)
        job = _watch(lambda: _answer(client.get(f"{jobs}/{job['id']}?wait=2", timeout=60)), meter)
        if job["state"] != "succeeded":
            click.echo(_failure(job), err=True)
            return False
        target = settings.var_dir / f"{script.stem}.mp4"
        _download(client, running.api, job["downloads"]["master"], target)
        manifest = _answer(client.get(f"{jobs}/{job['id']}/manifest", timeout=30))
        click.echo("\n".join(report(job, manifest)))
        if vendors is not None:
            bill = (_billed(vendors) - before) / 1e6
            click.echo(
                f"The simulated vendor's own bill: {bill:.6f}; ours: {job['cost']['captured'] / 1e6:.6f}."
            )
        click.echo(f"\nPeak memory of all processes: {meter.peak / 2**20:,.0f} MB")
        click.echo(f"The film: {target}  ({target.stat().st_size / 1e6:.1f} MB)")
        return True


def _billed(vendors: str | None) -> int:
    """Micro-units that the simulated vendors have charged so far."""
    if vendors is None:
        return 0
    return int(requests.get(f"{vendors}/_bill", timeout=10).json()["total"])


def _answer(response: requests.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if not response.ok:
        raise PipelineError(
            f"{response.status_code}: {body.get('detail')} {body.get('errors') or ''}".strip()
        )
    return body


def _watch(ask: Callable[[], dict[str, Any]], meter: MemoryMeter) -> dict[str, Any]:
    """Follow the job to its end: one moving line on a terminal, a line per change elsewhere."""
    deadline = time.monotonic() + LIMIT_SECONDS
    shown = ""
    while time.monotonic() < deadline:
        job = ask()
        meter.look()
        line = progress_line(job)
        if sys.stdout.isatty():
            click.echo(f"\r\x1b[2K  {line}", nl=False)
        elif line != shown:
            click.echo(f"  {line}")
        shown = line
        if job["state"] in ENDED:
            click.echo("" if sys.stdout.isatty() else None, nl=sys.stdout.isatty())
            return job
        if job["state"] == "waiting" and job["waits_for"] not in {None, "provider"}:
            raise PipelineError(f"The job waits: {job['waits_reason']}")
    raise PipelineError(f"The film was not done within {LIMIT_SECONDS / 60:.0f} minutes.")


def progress_line(job: dict[str, Any]) -> str:
    """Phase, bar, percent, shots and seconds left, in one line."""
    shots = [step for step in job["steps"] if step["kind"] == "render_segment"]
    done = sum(step["state"] == "succeeded" for step in shots)
    percent = 100 * float(job["progress"])
    filled = round(BAR * percent / 100)
    parts = [f"{job['phase'] or job['state']:<8}", "█" * filled + "░" * (BAR - filled), f"{percent:3.0f} %"]
    if shots:
        parts.append(f"shots {done}/{len(shots)}")
    if job["eta_seconds"] is not None:
        parts.append(f"about {job['eta_seconds']:.0f} s left")
    return "  ".join(parts)


def report(job: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    """The table: what every shot shows and where that came from, the cost, the time of each phase."""
    rows = [("shot", "seconds", "take", "made by", "from", "licence", "cost")]
    for number, shot in enumerate(manifest["shots"], 1):
        take = shot["take"] or {}
        stock = take.get("made_from") or {}
        rows.append(
            (
                str(number),
                f"{shot['duration']:.1f}",
                str(stock.get("title") or ("its words" if take.get("cost") else "a card"))[:40],
                f"{take.get('provider')} {take.get('model')}",
                str(stock.get("source") or "-"),
                str(stock.get("licence_name") or "own work"),
                f"{take.get('cost', 0) / 1e6:.2f}",
            )
        )
    if music := manifest["music"]:
        rows.append(
            ("music", "", str(music["title"]), "-", str(music["source"]), str(music["licence_name"]), "0.00")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    cost = job["cost"]
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in job["phase_seconds"].items())
    return ["", *table, "", f"Cost: {cost['captured'] / 1e6:.2f} {cost['currency']}", f"Time: {phases}"]


def _failure(job: dict[str, Any]) -> str:
    lines = [f"The job {job['state']}: {(job['error'] or {}).get('message', 'no reason was noted')}"]
    lines += [f"  {step['label']}: {step['error']['message']}" for step in job["steps"] if step["error"]]
    return "\n".join(lines)


def _download(client: requests.Session, api: str, link: str, target: Path) -> None:
    url = link if link.startswith("http") else api + link
    draft = target.with_suffix(".part")
    with client.get(url, stream=True, timeout=60) as answer, draft.open("wb") as stream:
        answer.raise_for_status()
        shutil.copyfileobj(answer.raw, stream)
    draft.replace(target)


class MemoryMeter:
    """Peak of the resident memory of a process and all below it, as often as somebody looks."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.peak = 0

    def look(self) -> None:
        total = 0
        try:
            root = psutil.Process(self._pid)
            for process in (root, *root.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return
        self.peak = max(self.peak, total)


COMMANDS = (demo,)
