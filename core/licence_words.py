"""Creative Commons licences as words: "CC BY-SA 3.0 de" taken apart into parts, version and port.

Read by whole words and never by substring: `nc` is also in "france" and `nd` in "unported and". A word that
is not known here makes the whole name unreadable, since it may be the one that takes a right away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PARTS = ("by", "nc", "nd", "sa")
"""The parts of a licence, in the order of its code."""
PORTS = {
    "ar": "argentina", "at": "austria", "au": "australia", "az": "azerbaijan", "be": "belgium",
    "bg": "bulgaria", "br": "brazil", "ca": "canada", "ch": "switzerland", "cl": "chile",
    "cn": "china-mainland", "co": "colombia", "cr": "costa-rica", "cz": "czech-republic", "de": "germany",
    "dk": "denmark", "ec": "ecuador", "ee": "estonia", "eg": "egypt", "es": "spain", "fi": "finland",
    "fr": "france", "ge": "georgia", "gr": "greece", "gt": "guatemala", "hk": "hong-kong", "hr": "croatia",
    "hu": "hungary", "ie": "ireland", "igo": "igo", "il": "israel", "in": "india", "it": "italy",
    "jp": "japan", "kr": "korea", "lu": "luxembourg", "mk": "macedonia", "mt": "malta", "mx": "mexico",
    "my": "malaysia", "nl": "netherlands", "no": "norway", "nz": "new-zealand", "pe": "peru",
    "ph": "philippines", "pl": "poland", "pr": "puerto-rico", "pt": "portugal", "ro": "romania",
    "rs": "serbia", "scotland": "scotland", "se": "sweden", "sg": "singapore", "si": "slovenia",
    "th": "thailand", "tw": "taiwan", "ua": "ukraine", "ug": "uganda", "uk": "england-and-wales",
    "us": "united-states", "ve": "venezuela", "vn": "vietnam", "za": "south-africa", "": "",
}  # fmt: skip
"""Jurisdictions that licences were ported to, with their names as in titles of deeds."""
_LONG = (
    ("share-alike", "sa"),
    ("sharealike", "sa"),
    ("non-commercial", "nc"),
    ("noncommercial", "nc"),
    ("no-derivative-works", "nd"),
    ("no-derivatives", "nd"),
    ("no-derivs", "nd"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("attribution", "by"),
    ("uk-england-and-wales", "uk"),
    *((name, port) for port, name in PORTS.items()),
)  # fmt: skip
_LONGEST_FIRST = sorted((re.escape(long) for long, _ in _LONG), key=len, reverse=True)
_SAID_IN_LONG = re.compile(rf"(?<![^-])(?:{'|'.join(_LONGEST_FIRST)})(?![^-])")
_SHORT = dict(_LONG)
_PADDING = frozenset({"international", "unported", "generic", "universal", "intergovernmental-organization"})
# Suffixes of Commons' own names; none changes what may be done.
_COMMONS = frozenset({"migrated", "with", "disclaimers", "stma"})
_VERSION = re.compile(r"v?(\d\.\d)(\+)?")


@dataclass(frozen=True)
class Said:
    """What a name says; `version` is None where it leaves it open."""

    parts: tuple[str, ...]
    version: str | None
    port: str | None


def plain_name(text: str) -> str:
    """Write a name the one way: lower case, one hyphen between words, "license" for either spelling."""
    words = re.split(r"[\s_,:()/\u2013\u2014-]+", text.casefold().replace("&", " and "))
    plain = "-".join(word for word in (word.strip(".") for word in words) if word)
    return re.sub(r"\blicence\b", "license", plain.removeprefix("licenseref-"))


def words_of(plain: str) -> list[str]:
    """List the words of a plain name, those of licences in their short form."""
    return _SAID_IN_LONG.sub(lambda found: _SHORT[found[0]], plain).split("-")


def read_name(plain: str) -> Said | None:
    """Take apart a plain name; None where a word is not of such a name."""
    words = words_of(re.sub(r"(?:-public)?-license$", "", plain))
    if words[:2] == ["creative", "commons"]:
        words = words[2:]
    if words[:1] == ["cc"]:
        words = words[1:]
    parts: list[str] = []
    while words and words[0] in PARTS:
        parts.append(words.pop(0))
    if not parts or len(set(parts)) < len(parts):
        return None
    versions: list[str] = []
    later, port = False, None
    for word in words:
        if found := _VERSION.fullmatch(word):
            versions.append(found[1])
            later = later or found[2] is not None
        elif word in PORTS and port is None and versions:
            port = word
        elif word not in _PADDING and (word not in _COMMONS or not versions):
            return None
    # several versions are a choice, of which the newest is taken; Commons reads "1.0+" as 3.0
    version = max([*versions, "3.0"] if later else versions, default=None)
    return Said(tuple(part for part in PARTS if part in parts), version, port)
