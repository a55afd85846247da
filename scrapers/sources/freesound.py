"""Freesound: sounds given by their recordists.

What     https://freesound.org/apiv2/ (audio); read 2026-11
Access   an API key in a header (FREESOUND_API_KEY); 60 requests a minute and 2000 within any 24 hours
Licence  per sound, `license` is the address of a deed: CC0, BY, BY-NC or the retired Sampling+
Files    previews, which need no login: Ogg of about 192 kbit/s, else MP3 of 128; originals need a person's
         login (OAuth2) and are not fetched, so size, bit depth and MD5 in the answer are not of our file
Units    `duration` in seconds; `license` is filtered by name, not by address
Errors   `{"detail": "…"}`; 404 is also the page after the last one; a 429 has no Retry-After, its text names
         the limit that was passed, or says that the key is suspended
Traps    `results` may hold null for a sound since deleted; `next` has lost the filter, so it is not followed
Terms    use of the API is free for non-commercial purposes only, apart from the licence of a sound
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from core.answers import Answer
from core.errors import Misconfigured, NotFound
from core.licences import Licence, LicenceClass, parse_licence
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.html_text import plain_text
from scrapers.kinds import Kind
from scrapers.replies import json_object, throttled
from scrapers.values import counted, decimal, fields, ident, number, text, texts, true, web
from scrapers.words import fewer

_FIELDS = (
    "id,url,name,tags,description,created,license,type,channels,filesize,bitrate,bitdepth,duration,samplerate,"
    "username,pack,previews,images,num_downloads,avg_rating,num_ratings,md5,is_explicit,gen_ai_preference"
)
# What a film that may be sold can use; Sampling+ and BY-NC would only fill the page.
_LICENCES = 'license:("Creative Commons 0" OR "Attribution")'
_LONGEST = 1800  # seconds; beyond it are field recordings of hours
_PAGE = 150
_PREVIEWS = (("preview-hq-ogg", "audio/ogg"), ("preview-hq-mp3", "audio/mpeg"))
_PERIODS = {"second": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "day": 86_400.0}
_RATE = re.compile(r"\(\d+/(second|minute|min|hour|day)\)")
_NO_WISH = ("no-additional-preferences", "unspecified")


class Freesound(Source):
    slug: ClassVar[str] = "freesound"
    kinds: ClassVar[tuple[Kind, ...]] = ("audio",)
    base_url: ClassVar[str] = "https://freesound.org/apiv2"
    needs_key: ClassVar[bool] = True
    terms: ClassVar[str] = (
        "Freesound's API is free for non-commercial purposes only; commercial use needs an agreement with "
        "Universitat Pompeu Fabra."
    )
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=60, per_day=2000, downloads_at_once=2)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        words = [word for phrase in query.words for word in _words(phrase)]
        for asked in fewer(words):  # all words must match
            found = False
            for page in self._search(asked, query):
                found = True
                yield page
            if found:
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read one sound; None without an id, a preview or any statement of a licence, or when explicit."""
        item = fields(item)
        sound, stated = ident(item.get("id")), text(item.get("license"))
        media_url, mime = _preview(fields(item.get("previews")))
        if sound is None or stated is None or media_url is None or true(item.get("is_explicit")):
            return None
        creator = text(item.get("username"))
        title = text(item.get("name")) or f"Sound {sound}"
        licence = parse_licence(stated) if "//" in stated else parse_licence(None, stated)
        images = fields(item.get("images"))
        return Candidate(
            source=self.slug,
            foreign_id=sound,
            kind="audio",
            title=title,
            landing_url=web(item.get("url")) or _page_of(sound),
            media_url=media_url,
            creator=creator,
            creator_url=f"https://freesound.org/people/{quote(creator, safe='')}/" if creator else None,
            licence=licence,
            raw_licence=stated,
            duration=decimal(item.get("duration")),
            mime=mime,
            tags=tuple(texts(item.get("tags"))),
            attribution=_credit(sound, title, creator, licence),
            description=plain_text(text(item.get("description")))[0] or "",
            preview_url=web(images.get("waveform_m")) or web(images.get("waveform_l")),
            popularity=counted(item.get("num_downloads")),
            is_preview=True,
            restrictions=_wishes(item),
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return the sound with the number `foreign_id`."""
        self.require_enabled()
        if not re.fullmatch(r"[0-9]{1,12}", foreign_id):
            raise NotFound(f"{foreign_id!r} is not the number of a Freesound sound")
        answer = self._ask(f"/sounds/{foreign_id}/", {"fields": _FIELDS}, (404,))
        candidate = self.parse(answer.json()) if answer.status == 200 else None
        if candidate is None:
            raise NotFound(f"Freesound has no usable sound {foreign_id}")
        return candidate

    def _search(self, words: Sequence[str], query: Query) -> Iterator[Sequence[Any]]:
        size = min(_PAGE, max(15, query.limit))
        params = {
            "query": " ".join(words),
            "filter": f"{_LICENCES} duration:[{query.min_duration or 0:g} TO {_LONGEST}]",
            "fields": _FIELDS,
            "page_size": str(size),
        }
        page = 1
        while True:
            past_the_end = (404,) if page > 1 else ()
            answer = self._ask("/search/", {**params, "page": str(page)}, past_the_end)
            data = fields(answer.json()) if answer.status == 200 else {}
            found = data.get("results")
            if not isinstance(found, list) or not found:
                return
            yield found
            count = number(data.get("count"))
            if page * size >= count if count else not data.get("next"):
                return
            page += 1

    def _ask(self, path: str, params: dict[str, str], expect: tuple[int, ...]) -> Answer:
        key = self.own.api_key.get_secret_value() if self.own.api_key else ""
        return self.http.get(
            f"{self.base}{path}",
            params=params,
            headers={"Authorization": f"Token {key}"},
            expect=(*expect, 429),
            check=_check,
        )


def _words(phrase: str) -> list[str]:
    """Take a phrase apart; quotes and leading signs would be orders to the search."""
    return [word for part in re.sub(r'["\\]', " ", phrase).split() if (word := part.lstrip("-+"))]


def _check(answer: Answer) -> None:
    """Raise what a 429 means, and for JSON that is not an object; inside the retry loop."""
    if answer.status == 429:
        said = answer.excerpt()
        if "suspended" in said:
            raise Misconfigured(f"Freesound has suspended the key in FREESOUND_API_KEY: {said}")
        passed = _RATE.search(said)
        wait = _PERIODS[passed[1]] if passed else 60.0
        raise throttled(answer, wait)
    if answer.status == 200:
        json_object(answer, "Freesound")


def _preview(previews: dict[str, Any]) -> tuple[str | None, str | None]:
    for name, mime in _PREVIEWS:
        if address := web(previews.get(name)):
            return address, mime
    return None, None


def _page_of(sound: str) -> str:
    return f"https://freesound.org/s/{sound}/"


def _credit(sound: str, title: str, creator: str | None, licence: Licence) -> str:
    """Write the credit as Freesound asks for it."""
    verb = "marked with" if licence.licence_class is LicenceClass.FREE else "licensed under"
    deed = f" ({licence.url})" if licence.url else ""
    by = f" by {creator}" if creator else ""
    return f'"{title}"{by} ({_page_of(sound)}), {verb} {licence.name}{deed}'


def _wishes(item: dict[str, Any]) -> tuple[str, ...]:
    """What the uploader wishes for generative models, where that is a restriction."""
    wish = text(item.get("gen_ai_preference"))
    return (f"gen_ai:{wish}",) if wish and wish not in _NO_WISH else ()


ADAPTER = Freesound
