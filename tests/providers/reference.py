"""What tests of vendors show them, and how long they wait to be called back."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from tests.loopback import Ask, Loopback


def picture(
    folder: Path, *, size=(640, 480), kind: str = "PNG", more: int = 0, keep: int | None = None
) -> Path:
    """A picture of some kind and size; `more` bytes are added to it, or the first `keep` are all of it."""
    path = folder / "reference"
    Image.new("RGB", size, "teal").save(path, kind)
    if more:
        with path.open("ab") as stream:
            stream.truncate(path.stat().st_size + more)
    if keep is not None:
        path.write_bytes(path.read_bytes()[:keep])
    return path


def wait_for(door: Loopback, number: int) -> list[Ask]:
    """What was sent to `door`, once it is as many."""
    ends = time.monotonic() + 10
    while len(door.asks) < number:
        assert time.monotonic() < ends, f"{len(door.asks)} callbacks came, not {number}"
        time.sleep(0.02)
    return list(door.asks)
