"""Canonical JSON and SHA-256: how inputs, requests and bodies are told apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks; floats that are whole are written as integers."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def fingerprints(inputs: dict[str, Any]) -> dict[str, str]:
    """A short digest of every named input; of a value that is an object, of each of its fields (`a.b`)."""
    marks: dict[str, str] = {}
    for name, value in inputs.items():
        fields = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {}
        marks |= {key: digest(part)[:16] for key, part in (fields or {name: value}).items()}
    return marks


def file_sha256(path: Path) -> str:
    h = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(_CHUNK):
            h.update(block)
    return h.hexdigest()


def file_sha1(path: Path) -> str:
    """What some sources tell of a file; for finding it, never for trusting it."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
