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
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from core.errors import NotFound, Permanent, Unlicensed
from core.licences import Licence, LicenceClass, parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source
from scrapers.kinds import Kind, kind_of_name
from scrapers.local_files import copy_inside, listed, read_inside, size_inside
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
        if reason := super().enabled(settings):
            return reason
        roots = listed(settings.folder_sources)
        if not roots:
            return "FOLDER_SOURCES is empty: list folders to search"
        missing = [str(root) for root in roots if not root.is_dir()]
        return f"FOLDER_SOURCES names {missing[0]}, which is not a folder" if missing else None

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        scored = []
        for root in listed(self.settings.folder_sources):
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
            size=size_inside(root, item),
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
        copy_inside(root, candidate.foreign_id, out, max_bytes, candidate)

    def _root_of(self, name: str) -> Path | None:
        """Return the first listed folder that has `name` as a plain file."""
        return next(
            (root for root in listed(self.settings.folder_sources) if size_inside(root, name) is not None),
            None,
        )


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


def _read(root: Path, name: str) -> str | None:
    with contextlib.suppress(UnicodeDecodeError):
        data = read_inside(root, name, _MAX_SIDECAR)
        return None if data is None else data.decode()
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
