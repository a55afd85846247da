"""Secrets an operator may leave to us in development: made once, kept in `VAR_DIR` for its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from core.errors import Misconfigured
from core.settings import Settings


def secret_key(settings: Settings) -> bytes:
    """The key that signs links and cursors; every process of an installation must have the same one."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    return _kept(settings, "secret_key", "SECRET_KEY", secrets.token_urlsafe(48)).encode()


def flower_basic_auth(settings: Settings) -> str:
    """Flower's `user:password`."""
    if settings.flower_basic_auth is not None:
        return settings.flower_basic_auth.get_secret_value()
    return _kept(settings, "flower_auth", "FLOWER_BASIC_AUTH", f"studio:{secrets.token_urlsafe(18)}")


def _kept(settings: Settings, name: str, setting: str, fresh: str) -> str:
    """Read a kept secret, or keep `fresh`; of several processes that start at once, one wins."""
    if settings.callsheet_env == "production":
        raise Misconfigured(f"{setting} is not set: production does not make up its own secrets.")
    folder = settings.var_dir / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path: Path = folder / name
    if not path.exists():
        draft = folder / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(fresh)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # a link never replaces: the first one stays
        draft.unlink()
    return path.read_text().strip()
