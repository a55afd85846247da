"""The operator's own folders (FOLDER_SOURCES), searched by file name and tags.

Licence  must be written down, nearest first: `<file>.json`, `licence.json` in the same folder, then
         `LICENCE.txt` (or LICENSE.txt) there, then the same two in the folders above, up to the listed
         one. Without any, the file is not offered.
Fields   of the JSON, all text but tags: licence, licence_url, title, creator, creator_url, source_url,
         tags (a list). `"licence": "own work"` says that the operator made it.
Network  none. Hidden files and symbolic links are never followed, not even within the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from core.errors import NotFound, Permanent, Retryable, Unlicensed
from core.licences import Licence, LicenceClass, parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source, check_kind
from scrapers.kinds import Kind, kind_of_name
from scrapers.words import word_score

OWN_WORK = Licence("LicenseRef-Own-Work", None, LicenceClass.FREE, "own work")
_MAX_FILES = 20_000
_MAX_SIDECAR = 64 * 1024
_CC_URL = re.compile(r"https?://(?:www\.)?creativecommons\.org/\S+", re.IGNORECASE)


class Folder(Source):
    slug: ClassVar[str] = "folder"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip", "audio")
    needs_network: ClassVar[bool] = False

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        roots = _roots(settings)
        if not roots:
            return "FOLDER_SOURCES is empty: list folders to search"
        missing = [str(root) for root in roots if not root.is_dir()]
        return f"FOLDER_SOURCES names {missing[0]}, which is not a folder" if missing else None

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        scored = []
        for root in _roots(self.settings):
            for name in _files(root):
                if kind_of_name(name) != query.kind:
                    continue
                facts = _facts(root, name) or {}
                title = str(facts.get("title") or "")
                score = word_score(query.words, f"{title} {_words_of(name)}", _tags(facts))
                if score > 0:
                    scored.append((-score, name))
        yield [name for _, name in sorted(scored)]

    def parse(self, item: Any) -> Candidate | None:
        """Describe the file called `item` (a path within a listed folder); None without a licence."""
        kind = kind_of_name(item)
        root = self._root_of(item)
        if kind is None or root is None:
            return None
        facts = _facts(root, item)
        licence = _licence(facts) if facts else None
        if facts is None or licence is None:
            return None
        title = str(facts.get("title") or _words_of(item))
        creator = _text(facts, "creator")
        return Candidate(
            source=self.slug,
            foreign_id=item,
            kind=kind,
            title=title,
            landing_url=_text(facts, "source_url"),
            media_url=str(root / item),
            creator=creator,
            creator_url=_text(facts, "creator_url"),
            licence=licence,
            raw_licence=str(facts.get("licence") or facts.get("licence_url")),
            size=_size(root, item),
            tags=_tags(facts),
            attribution=f'"{title}"' + (f" by {creator}." if creator else ".")
            if licence == OWN_WORK
            else None,
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return the file; raises NotFound, or Unlicensed saying what to write where."""
        self.require_enabled()
        if kind_of_name(foreign_id) is None or self._root_of(foreign_id) is None:
            raise NotFound(f"no listed folder has the picture, clip or sound {foreign_id!r}")
        candidate = self.parse(foreign_id)
        if candidate is None:
            raise Unlicensed(
                f"{foreign_id} has no licence: write {PurePosixPath(foreign_id).name}.json beside it, "
                'for example {"licence": "own work", "creator": "you"}',
                field="licence",
            )
        return candidate

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        """Copy the file; it is opened anew by its name within the folder, link by link."""
        self.require_enabled()
        root = self._root_of(candidate.foreign_id)
        if root is None:
            raise Permanent(f"{candidate.foreign_id} is gone from its folder")
        part = out.with_name(f".{out.name}.part")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with _open_inside(root, candidate.foreign_id) as source, part.open("wb") as copy:
                if os.fstat(source.fileno()).st_size > max_bytes:
                    raise Permanent(f"{candidate.title!r} is larger than {max_bytes} bytes", code="too_large")
                shutil.copyfileobj(source, copy, 1 << 20)
            check_kind(part, candidate)
            part.replace(out)
        except OSError as exc:
            raise Retryable(f"cannot copy {candidate.foreign_id}: {exc.strerror}", code="disk") from exc
        finally:
            part.unlink(missing_ok=True)

    def _root_of(self, name: str) -> Path | None:
        """Return the first listed folder that has `name` as a plain file."""
        return next((root for root in _roots(self.settings) if _size(root, name) is not None), None)


def _roots(settings: Settings) -> list[Path]:
    return [Path(item.strip()).expanduser() for item in settings.folder_sources.split(",") if item.strip()]


def _files(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if kind_of_name(name) is None or name.startswith("."):
                continue
            path = Path(folder, name)
            if path.is_symlink():
                continue
            yield path.relative_to(root).as_posix()
            count += 1
            if count >= _MAX_FILES:
                return


def _open_inside(root: Path, name: str) -> BinaryIO:
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


def _size(root: Path, name: str) -> int | None:
    with contextlib.suppress(OSError), _open_inside(root, name) as f:
        return os.fstat(f.fileno()).st_size
    return None


def _read(root: Path, name: str) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError), _open_inside(root, name) as f:
        return f.read(_MAX_SIDECAR).decode()
    return None


def _facts(root: Path, name: str) -> dict[str, Any] | None:
    """Collect what is written about `name`; the licence comes from the nearest place that states one."""
    own = _json(root, f"{name}.json")
    if own and _states_licence(own):
        return own
    for folder in PurePosixPath(name).parents:
        shared = _json(root, (folder / "licence.json").as_posix())
        if shared and _states_licence(shared):
            return {**shared, "title": None, "tags": (), **(own or {})}
        for text_name in ("LICENCE.txt", "LICENSE.txt"):
            text = (_read(root, (folder / text_name).as_posix()) or "").strip()
            if text:
                found = _CC_URL.search(text)
                stated = (
                    {"licence_url": found[0].rstrip(".,;)")} if found else {"licence": text.split("\n")[0]}
                )
                return {**(own or {}), **stated}
    return own


def _json(root: Path, name: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(_read(root, name) or "null")
        if isinstance(data, dict):
            # Both spellings of the word are in use
            return {str(key).replace("license", "licence"): value for key, value in data.items()}
    return None


def _states_licence(facts: dict[str, Any]) -> bool:
    return bool(_text(facts, "licence") or _text(facts, "licence_url"))


def _licence(facts: dict[str, Any]) -> Licence | None:
    if not _states_licence(facts):
        return None
    name = _text(facts, "licence")
    if name and name.casefold() in ("own", "own work", "self"):
        return OWN_WORK
    return parse_licence(_text(facts, "licence_url"), name, trusted=True)


def _text(facts: dict[str, Any], key: str) -> str | None:
    value = facts.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _tags(facts: dict[str, Any]) -> tuple[str, ...]:
    tags = facts.get("tags")
    return tuple(str(tag) for tag in tags) if isinstance(tags, list | tuple) else ()


def _words_of(name: str) -> str:
    """Turn `trips/2024-lake_dawn.jpg` into `2024 lake dawn`."""
    return " ".join(re.split(r"[\W_]+", PurePosixPath(name).stem)).strip() or name


ADAPTER = Folder
