"""Internet Archive: films, sound and pictures of collections that are known to be what they say.

What     https://archive.org/advancedsearch.php, /metadata/{item}, /download/{item}/{file}; read 2026-11
Access   no key; no published limit for reads, ours is one question a second and two downloads at once
Licence  `licenseurl` of the item, stated by its uploader; `rights` and collections are evidence for people
         and kept with it, never a licence. Anyone can upload, so only listed collections are offered
         (INTERNET_ARCHIVE_COLLECTIONS)
Files    an item may hold many works: an asset is (item, file name); a storage node of archive.org serves it
Units    every number of a file is text; `length` is seconds or mm:ss
Errors   with status 200: `{"error": …}` for a broken query; `{}`, `[]` or nothing for an item that is gone
Traps    most fields are text or a list; `uploader` may be an e-mail address and is not read; a removed item
         is `is_dark`, a renamed one answers with another identifier
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from core.answers import Answer
from core.errors import NotFound, Permanent, Retryable, Unlicensed
from core.licences import Licence, parse_licence
from scrapers.archive_files import TALL, Work, read_files, works
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.html_text import plain_text
from scrapers.kinds import Kind
from scrapers.renditions import FRAME, Frame, frame_of
from scrapers.values import counted, fields, number, rows, text, texts, true
from scrapers.words import fewer, word_score

COLLECTIONS = ("prelinger", "nasa", "netlabels")
"""Kept by an institution or with an editor; anyone may upload to the others."""
_MEDIATYPE: dict[str, str] = {"clip": "movies", "audio": "audio", "image": "image"}
_KIND_OF: dict[str, Kind] = {"movies": "clip", "audio": "audio", "etree": "audio", "image": "image"}
_FIELDS = (
    "identifier",
    "title",
    "creator",
    "licenseurl",
    "mediatype",
    "downloads",
    "date",
    "subject",
    "collection",
)
_ROWS = 50
_REACHABLE = 10_000
_LOOKUPS = 6  # questions about single items that one search may ask
_PER_ITEM = 3  # works of one item that one search offers
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_SPECIAL = re.compile(r'([+\-&|!(){}\[\]^"~*?:\\/])')
_OPERATORS = frozenset({"AND", "OR", "NOT", "TO"})
_EMAIL = re.compile(r"\S+@\S+\.\S+")


class InternetArchive(Source):
    slug: ClassVar[str] = "internet_archive"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip", "audio")
    base_url: ClassVar[str] = "https://archive.org"
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=60, downloads_at_once=2)
    redirects_within: ClassVar[str] = "archive.org"

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        """Yield the works of one item after the other."""
        words = [word for phrase in query.words for word in phrase.split()]
        looked = 0
        for asked in fewer(words):
            found = False
            for doc in self._documents(asked, query.kind):
                if looked >= _LOOKUPS:
                    return
                looked += 1
                page = self._offered(doc, query)
                found = found or bool(page)
                yield page
            if found:
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read a metadata answer, of the file `_file` where that is set, else of the item's largest work.

        None without a stated licence or a file, for an item that is removed, restricted or a collection, and
        for one outside the listed collections.
        """
        item = fields(item)
        facts = fields(item.get("metadata"))
        identifier, stated = text(facts.get("identifier")), texts(facts.get("licenseurl"))
        if identifier is None or not stated or not self._open_to_all(item, facts) or not self._listed(facts):
            return None
        kind = _KIND_OF.get((text(facts.get("mediatype")) or "").lower())
        found = works(item.get("files"), kind, _short(frame_of(item))) if kind else []
        work = _chosen(item, found)
        if work is None:
            return None
        file, alone = work.best, len(found) <= 1
        title = (None if alone else file.title) or text(facts.get("title")) or file.title or file.name
        creator = _creator(facts, None if alone else file.creator)
        licence = _licence(stated)
        landing = f"https://archive.org/details/{identifier}" + ("" if alone else f"/{_quoted(file.name)}")
        return Candidate(
            source=self.slug,
            foreign_id=f"{identifier}/{file.name}",
            kind=file.kind,
            title=title,
            landing_url=landing,
            media_url=self._address(identifier, file.name),
            creator=creator,
            creator_url=None,
            licence=licence,
            raw_licence=_evidence(facts, stated),
            width=file.width,
            height=file.height,
            duration=file.length,
            size=file.size,
            sha1=file.sha1,
            md5=file.md5,
            tags=_subjects(facts),
            attribution=_credit(title, creator, licence, landing),
            description=plain_text(" ".join(texts(facts.get("description"))))[0] or "",
            preview_url=self._address(identifier, work.thumbnail) if work.thumbnail else None,
            popularity=counted(item.get("_downloads", facts.get("downloads"))),
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return `<item>`, its largest work, or `<item>/<file name>`."""
        self.require_enabled()
        identifier, _, name = foreign_id.partition("/")
        if not _IDENTIFIER.fullmatch(identifier):
            raise NotFound(f"{identifier!r} is not an identifier of the Internet Archive")
        item = self._item(identifier)
        candidate = self.parse({**item, "_file": name} if name else item)
        if candidate is not None:
            return candidate
        facts = fields(item.get("metadata"))
        if facts and not self._listed(facts):
            raise Unlicensed(
                f"{identifier} is in none of the collections {', '.join(self._collections())}: a person has "
                "to review its licence, and may list its collection in INTERNET_ARCHIVE_COLLECTIONS",
                field="licence",
            )
        raise NotFound(f"the Internet Archive has no {foreign_id} with a licence that may be downloaded")

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        """Fetch and check what the Archive promises of a file besides its SHA-1: its size, its MD5."""
        super().fetch(candidate, out, max_bytes)
        with out.open("rb") as f:
            md5 = hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        for what, promised, got in (
            ("size", candidate.size, out.stat().st_size),
            ("MD5", candidate.md5, md5),
        ):
            if promised is not None and str(promised).lower() != str(got):
                out.unlink(missing_ok=True)
                raise Retryable(f"{self.slug}: {candidate.title!r} arrived with another {what} than promised")

    # -- asking -----------------------------------------------------------------------------------

    def _documents(self, words: Sequence[str], kind: Kind) -> Iterator[dict[str, Any]]:
        """Yield what the search says of items, best first, those left out that no film may be made of."""
        question = (
            f"({' '.join(_escaped(word) for word in words)}) AND mediatype:({_MEDIATYPE[kind]}) "
            f"AND collection:({' OR '.join(self._collections())}) AND licenseurl:*creativecommons* "
            "AND -collection:(stream_only) AND -access-restricted-item:true"
        )
        for page in range(1, _REACHABLE // _ROWS + 1):
            params = {"q": question, "fl[]": _FIELDS, "rows": _ROWS, "page": page, "output": "json"}
            data = self.http.get_json(f"{self.base}/advancedsearch.php", params=params, check=_check_search)
            response = data["response"]
            found = rows(response.get("docs"))
            for doc in found:
                stated = texts(doc.get("licenseurl"))
                licence = _licence(stated) if stated else None
                if licence is None or (licence.commercial_ok and licence.derivatives_ok):
                    yield doc
            if not found or page * _ROWS >= (number(response.get("numFound")) or 0):
                return

    def _offered(self, doc: dict[str, Any], query: Query) -> list[Any]:
        """Return the works of one item as raw items for `parse`, those that answer to the words first."""
        identifier = text(doc.get("identifier"))
        if identifier is None or not _IDENTIFIER.fullmatch(identifier):
            return []
        try:
            item = self._item(identifier)
        except NotFound:
            return []
        names = [work.best for work in works(item.get("files"), query.kind, _short(query.frame))]
        names.sort(key=lambda file: -word_score(query.words, f"{file.title or ''} {file.name}", ()))
        more = {"_downloads": doc.get("downloads"), FRAME: query.frame}
        return [{**item, **more, "_file": file.name} for file in names[:_PER_ITEM]]

    def _item(self, identifier: str) -> dict[str, Any]:
        """Return the metadata answer for an item; NotFound when there is none under this name."""
        answer = self.http.get(f"{self.base}/metadata/{quote(identifier)}", expect=(404,), check=_check_item)
        item = fields(answer.json()) if answer.status == 200 and answer.body.strip() else {}
        if text(fields(item.get("metadata")).get("identifier")) != identifier:
            raise NotFound(f"the Internet Archive has no item {identifier!r}, or not under this name")
        return item

    def _address(self, identifier: str, name: str) -> str:
        return f"{self.base}/download/{quote(identifier)}/{_quoted(name)}"

    # -- judging ----------------------------------------------------------------------------------

    def _collections(self) -> tuple[str, ...]:
        named = (name.strip() for name in (self.own.collections or "").split(","))
        return tuple(name for name in named if _IDENTIFIER.fullmatch(name)) or COLLECTIONS

    def _listed(self, facts: dict[str, Any]) -> bool:
        return bool(
            {name.lower() for name in texts(facts.get("collection"))}
            & set(map(str.lower, self._collections()))
        )

    @staticmethod
    def _open_to_all(item: dict[str, Any], facts: dict[str, Any]) -> bool:
        closed = any(true(item.get(name)) for name in ("is_dark", "nodownload", "is_collection"))
        closed = closed or any(true(facts.get(name)) for name in ("access-restricted-item", "nodownload"))
        return not closed and "stream_only" not in texts(facts.get("collection"))


def _check_search(answer: Answer) -> None:
    """Raise for what comes with status 200 and is no result."""
    data = answer.json()
    error = fields(data).get("error")
    if error:
        raise Permanent(f"the Internet Archive refuses the search: {error}"[:300], code="source_error")
    if not isinstance(fields(data).get("response"), dict):
        raise Permanent(
            "the Internet Archive answered with JSON of another shape than documented", code="not_json"
        )


def _check_item(answer: Answer) -> None:
    data = answer.json() if answer.status == 200 and answer.body.strip() else {}
    if error := fields(data).get("error"):
        raise NotFound(f"the Internet Archive says of the item: {error}"[:300])


def _chosen(item: dict[str, Any], found: list[Work]) -> Work | None:
    """Return the work that `_file` names, be it another rendition than the best one; else the largest."""
    name = item.get("_file")
    if name is None:
        return max(found, key=lambda work: work.best.size or 0, default=None)
    work = next((work for work in found if work.best.name == name), None)
    other = next(
        (file for file in read_files(item.get("files")) if file.name == name and not file.small), None
    )
    return work or (Work(other, None) if other else None)


def _licence(stated: list[str]) -> Licence:
    """Read the licence; several that differ are none that we can read."""
    read = [parse_licence(url) for url in stated]
    return read[0] if len({licence.id for licence in read}) == 1 else parse_licence(None, "; ".join(stated))


def _evidence(facts: dict[str, Any], stated: list[str]) -> str:
    """Keep what was said about rights, for a person who has to judge it."""
    parts = ["; ".join(stated)]
    for name in ("rights", "possible-copyright-status", "copyright", "collection"):
        said = plain_text(", ".join(texts(facts.get(name))))[0]
        parts += [f"{name}: {said[:300]}"] if said else []
    return "; ".join(parts)


def _creator(facts: dict[str, Any], of_file: str | None) -> str | None:
    """Name who made it, the file's own artist first; an e-mail address is nobody's name."""
    names = [of_file] if of_file else texts(facts.get("creator"))
    return ", ".join(name for name in names if not _EMAIL.search(name)) or None


def _subjects(facts: dict[str, Any]) -> tuple[str, ...]:
    said = (part.strip() for one in texts(facts.get("subject")) for part in one.split(";"))
    return tuple(dict.fromkeys(part for part in said if part))


def _credit(title: str, creator: str | None, licence: Licence, landing: str) -> str:
    by = f" by {creator}" if creator else ""
    deed = f" ({licence.url})" if licence.url else ""
    return f"{title}{by}, {licence.name}{deed}, via Internet Archive <{landing}>"


def _short(frame: Frame | None) -> int:
    return min(frame) if frame else TALL


def _escaped(word: str) -> str:
    return word.lower() if word in _OPERATORS else _SPECIAL.sub(r"\\\1", word)


def _quoted(name: str) -> str:
    return "/".join(quote(part, safe="") for part in name.split("/"))


ADAPTER = InternetArchive
