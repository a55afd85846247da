"""The database and the broker that come inside packages, for machines that have none.

Used for every address the settings leave out. Both are the real servers, with everything on that keeps
data: PostgreSQL with fsync, Redis with an append-only file. What runs is written to
`VAR_DIR/embedded.json`, so that any later command finds it; a file lock makes two starters one.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from core.embedded import postgres, redis_server
from core.errors import Misconfigured
from core.settings import Settings

LOCK_SECONDS = 90.0  # a first start of PostgreSQL on a slow disk, with room


@dataclass(frozen=True)
class Urls:
    """Addresses that work now; `started` names the servers this very call had to start."""

    database_url: str
    redis_url: str
    broker_url: str
    started: tuple[str, ...] = ()


def start(settings: Settings, *, durable: bool = True) -> Urls:
    """Start what the settings leave out and is not running yet; safe to call twice and at once.

    `durable=False` turns fsync off, for throw-away data only (the test session's).
    Raises Misconfigured with one sentence when a server cannot run here.
    """
    if settings.database_url and settings.redis_url:
        return _urls(settings, {})
    var_dir = settings.var_dir.resolve()
    var_dir.mkdir(parents=True, exist_ok=True)
    with _locked(var_dir):
        state = _read(var_dir)
        started = []
        if not settings.database_url and not postgres.answers(state.get("postgres")):
            state["postgres"] = asdict(postgres.start(var_dir, state.get("postgres"), durable=durable))
            started.append("postgres")
            _write(var_dir, state)
        if not settings.redis_url and not redis_server.answers(state.get("redis")):
            state["redis"] = asdict(redis_server.start(var_dir, state.get("redis"), durable=durable))
            started.append("redis")
            _write(var_dir, state)
    return _urls(settings, state, tuple(started))


def stop(settings: Settings) -> None:
    """Stop the embedded servers of this VAR_DIR, data first on disk; nothing running is fine."""
    var_dir = settings.var_dir.resolve()
    if not (var_dir / "embedded.json").exists():
        return
    with _locked(var_dir):
        state = _read(var_dir)
        redis_server.stop(state.get("redis"))
        postgres.stop(state.get("postgres"))


def is_running(settings: Settings) -> bool:
    """Whether every server the settings leave out answers now."""
    state = _read(settings.var_dir.resolve())
    database = bool(settings.database_url) or postgres.answers(state.get("postgres"))
    return database and (bool(settings.redis_url) or redis_server.answers(state.get("redis")))


def urls(settings: Settings) -> Urls:
    """The addresses from the settings, or of the servers last started here; starts and asks nothing."""
    if settings.database_url and settings.redis_url:
        return _urls(settings, {})
    state = _read(settings.var_dir.resolve())
    wanted = (("postgres", settings.database_url), ("redis", settings.redis_url))
    if any(not configured and name not in state for name, configured in wanted):
        raise Misconfigured(
            "DATABASE_URL and REDIS_URL are unset and nothing runs here yet: `make up` first."
        )
    return _urls(settings, state)


def database_url(settings: Settings) -> str:
    return settings.database_url or urls(settings).database_url


def redis_url(settings: Settings) -> str:
    return settings.redis_url or urls(settings).redis_url


def broker_url(settings: Settings) -> str:
    return settings.broker_url or urls(settings).broker_url


def remove(settings: Settings) -> None:
    """Stop the servers and delete their data, wherever it had to live."""
    stop(settings)
    var_dir = settings.var_dir.resolve()
    for name in ("postgres", "redis"):
        folder = var_dir / name
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        folder.unlink(missing_ok=True)
    state = _read(var_dir)
    if "postgres" in state:
        shutil.rmtree(state["postgres"]["socket"], ignore_errors=True)
    (var_dir / "embedded.json").unlink(missing_ok=True)


@contextmanager
def running(settings: Settings, *, durable: bool = True) -> Iterator[Urls]:
    """Start what is missing and stop again exactly that; servers that ran before go on."""
    found = start(settings, durable=durable)
    try:
        yield found
    finally:
        if found.started:
            stop(settings)


def env_for_children(found: Urls) -> dict[str, str]:
    """The environment that hands these addresses to a child process."""
    return {
        "DATABASE_URL": found.database_url,
        "REDIS_URL": found.redis_url,
        "BROKER_URL": found.broker_url,
    }


def _urls(settings: Settings, state: dict[str, Any], started: tuple[str, ...] = ()) -> Urls:
    cache = settings.redis_url or redis_server.url(state["redis"])
    return Urls(
        database_url=settings.database_url or postgres.url(state["postgres"]),
        redis_url=cache,
        broker_url=settings.broker_url or _with_database(cache, 1),
        started=started,
    )


def _with_database(address: str, number: int) -> str:
    return urlunsplit(urlsplit(address)._replace(path=f"/{number}"))


def _read(var_dir: Path) -> dict[str, Any]:
    try:
        state = json.loads((var_dir / "embedded.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state if isinstance(state, dict) else {}


def _write(var_dir: Path, state: dict[str, Any]) -> None:
    """Replace the state file in one move; it holds the generated passwords, so its owner alone reads it."""
    draft = var_dir / "embedded.json.tmp"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        json.dump(state, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(var_dir / "embedded.json")


@contextmanager
def _locked(var_dir: Path) -> Iterator[None]:
    """Hold the starters' lock; the kernel lets go of it when its holder dies, however it dies."""
    deadline = time.monotonic() + LOCK_SECONDS
    with (var_dir / "embedded.lock").open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Misconfigured(
                        f"Another command has been starting or stopping the servers in {var_dir} "
                        f"for {LOCK_SECONDS:.0f} seconds: end it, then try again."
                    ) from None
                time.sleep(0.05)
        yield
