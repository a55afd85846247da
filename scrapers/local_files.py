"""Files in an operator's folders: opened by walking their names, so that no link and no `..` leads out."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from core.errors import Permanent, Retryable
from scrapers.base import Candidate, check_kind


def listed(folders: str) -> list[Path]:
    """Read a comma list of folders."""
    return [Path(item.strip()).expanduser() for item in folders.split(",") if item.strip()]


def open_inside(root: Path, name: str) -> BinaryIO:
    """Open a plain file below `root` by walking its path with O_NOFOLLOW: no link, no `..`, no race.

    Raises OSError when any part is a link, is hidden, climbs, or is not there.
    """
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        raise OSError(2, "not a name within the folder")
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        # O_NONBLOCK: opening a pipe somebody left there must not hang
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(22, "not a plain file")
    return os.fdopen(file, "rb")


def size_inside(root: Path, name: str) -> int | None:
    """Return the size of a plain file below `root`; None when there is none."""
    # UnicodeError: a name that the file system cannot write
    with contextlib.suppress(OSError, UnicodeError), open_inside(root, name) as f:
        return os.fstat(f.fileno()).st_size
    return None


def read_inside(root: Path, name: str, most: int) -> bytes | None:
    """Return the first `most` bytes of a plain file below `root`; None when there is none."""
    with contextlib.suppress(OSError, UnicodeError), open_inside(root, name) as f:
        return f.read(most)
    return None


def copy_inside(root: Path, name: str, out: Path, max_bytes: int, candidate: Candidate) -> None:
    """Copy a file below `root`, opened anew by its name, to `out`: whole and of the kind promised, or not."""
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open_inside(root, name) as source, part.open("wb") as copy:
            if os.fstat(source.fileno()).st_size > max_bytes:
                raise Permanent(f"{candidate.title!r} is larger than {max_bytes} bytes", code="too_large")
            shutil.copyfileobj(source, copy, 1 << 20)
        check_kind(part, candidate)
        part.replace(out)
    except OSError as exc:
        raise Retryable(f"cannot copy {name}: {exc.strerror}", code="disk") from exc
    finally:
        part.unlink(missing_ok=True)
