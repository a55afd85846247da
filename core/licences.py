"""Licences as values: reading them, judging them, and the credit line they ask for.

Rules read 2026-11: Creative Commons deeds and FAQ, the SPDX licence list, the vendors' licence pages.
A licence that cannot be read is CUSTOM and usable only after a person decided: it is never guessed, and
never looked up over the network. This is engineering, not legal advice.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from core.errors import Unlicensed
from core.licence_words import PARTS, plain_name, read_name, words_of


class LicenceClass(StrEnum):
    """What may be done, in the coarse terms a person filters by; strictest last."""

    FREE = "free"  # no duty: CC0, public domain
    ATTRIBUTION = "attribution"  # credit is owed: CC BY, CC BY-SA
    COMMERCIAL = "commercial"  # a vendor's royalty-free terms: in a larger work, not on its own
    NONCOMMERCIAL = "noncommercial"
    CUSTOM = "custom"  # no derivatives, unknown, unreadable: a person decides


@dataclass(frozen=True)
class Licence:
    """`id` is an SPDX id or a LicenseRef; `url` keeps a port (`/3.0/de/`) that the id cannot express."""

    id: str
    url: str | None
    licence_class: LicenceClass
    name: str
    attribution_required: bool = False
    commercial_ok: bool = True
    derivatives_ok: bool = True
    share_alike: bool = False
    standalone_redistribution_ok: bool = True

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "licence_class": str(self.licence_class)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Licence:
        return cls(**{**data, "licence_class": LicenceClass(data["licence_class"])})


# An address in angle brackets is no tag. Control characters could steer a terminal, or turn a line around.
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>|<!--.*?-->")
_NO_TEXT = frozenset({"Cc", "Zl", "Zp"})
_TURNING = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
OWN_WORK = "LicenseRef-Own"  # the id of what people sent as their own
UNKNOWN = "LicenseRef-Unknown"  # the id of everything that could not be read
CC0 = Licence("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", LicenceClass.FREE, "CC0 1.0")
PUBLIC_DOMAIN_MARK = Licence(
    "CC-PDM-1.0",
    "https://creativecommons.org/publicdomain/mark/1.0/",
    LicenceClass.FREE,
    "Public Domain Mark 1.0",
)
PUBLIC_DOMAIN = Licence("LicenseRef-Public-Domain", None, LicenceClass.FREE, "Public domain")
_PDDC = Licence(
    "CC-PDDC", "https://creativecommons.org/licenses/publicdomain/", LicenceClass.FREE, "CC Public Domain"
)


def _vendor(ref: str, url: str | None, name: str, *, commercial: bool = True) -> Licence:
    kind = LicenceClass.COMMERCIAL if commercial else LicenceClass.NONCOMMERCIAL
    return Licence(
        f"LicenseRef-{ref}", url, kind, name, commercial_ok=commercial, standalone_redistribution_ok=False
    )


_VENDORS = (
    _vendor("Pexels", "https://www.pexels.com/license/", "Pexels License"),
    _vendor("Pixabay-Content", "https://pixabay.com/service/license-summary/", "Pixabay Content License"),
    _vendor("Unsplash", "https://unsplash.com/license", "Unsplash License"),
    # Mixkit has all its licences on one page, so that its address alone names none of them
    _vendor("Mixkit-Video-Free", "https://mixkit.co/license/#videoFree", "Mixkit Stock Video Free License"),
    _vendor("Mixkit-Music-Free", "https://mixkit.co/license/#musicFree", "Mixkit Stock Music Free License"),
    _vendor("Mixkit-SFX-Free", "https://mixkit.co/license/#sfxFree", "Mixkit Sound Effects Free License"),
    _vendor(
        "Mixkit-Restricted",
        "https://mixkit.co/license/#videoRestricted",
        "Mixkit Restricted License",
        commercial=False,
    ),
    _vendor(
        "YouTube-Audio-Library",
        None,  # it is shown inside YouTube Studio only
        "YouTube Audio Library License",
    ),
)


def _free_culture(spdx: str, url: str, name: str, *, share_alike: bool) -> Licence:
    """Build a licence that allows everything on terms that a film can hardly keep: a person decides."""
    return Licence(spdx, url, LicenceClass.CUSTOM, name, attribution_required=True, share_alike=share_alike)


_GFDL, _OGL = (
    "https://www.gnu.org/licenses/",
    "https://www.nationalarchives.gov.uk/doc/open-government-licence/",
)
_OTHERS: dict[str, Licence] = {
    **{
        f"gfdl{suffix}": _free_culture(
            f"GFDL-{version}-{which}", url, f"GFDL {version}{plus}", share_alike=True
        )
        for version, url in (
            ("1.1", f"{_GFDL}old-licenses/fdl-1.1.html"),
            ("1.2", f"{_GFDL}old-licenses/fdl-1.2.html"),
            ("1.3", f"{_GFDL}fdl-1.3.html"),
        )
        for suffix, which, plus in (
            (f"-{version}", "only", ""),
            (f"-{version}-only", "only", ""),
            (f"-{version}+", "or-later", "+"),
            (f"-{version}-or-later", "or-later", "+"),
        )
    },
    "gfdl": _free_culture("LicenseRef-GFDL", f"{_GFDL}fdl.html", "GFDL", share_alike=True),
    "fal": _free_culture(
        "LAL-1.3", "https://artlibre.org/licence/lal/en/", "Free Art License", share_alike=True
    ),
    "ogl": _free_culture("LicenseRef-OGL-UK", _OGL, "Open Government Licence", share_alike=False),
    **{
        f"ogl-uk-{n}.0": _free_culture(
            f"OGL-UK-{n}.0", f"{_OGL}version/{n}/", f"OGL {n}.0", share_alike=False
        )
        for n in (1, 2, 3)
    },
}
_OTHER_NAMES = {
    "gnu-free-documentation-license": "gfdl",
    **{f"gnu-free-documentation-license-{v}": f"gfdl-{v}" for v in ("1.1", "1.2", "1.3")},
    **dict.fromkeys(
        ("free-art-license", "free-art-license-1.3", "license-art-libre", "fal-1.3", "lal"), "fal"
    ),
    **{
        name: f"ogl-uk-{n}.0"
        for n in (1, 2, 3)
        for name in (f"ogl{n}", f"ogl-{n}", f"ogl-{n}.0", f"ogl-v{n}.0", f"open-government-license-v{n}.0")
    },
    **dict.fromkeys(("open-government-license", "ogl-uk"), "ogl"),
}

# SPDX knows an id for these ports only; any other port keeps the unported id, and its URL tells.
_SPDX_PORTS = frozenset(
    [
        "CC-BY-2.5-AU",
        "CC-BY-3.0-AT",
        "CC-BY-3.0-AU",
        "CC-BY-3.0-DE",
        "CC-BY-3.0-IGO",
        "CC-BY-3.0-NL",
        "CC-BY-3.0-US",
        "CC-BY-NC-3.0-DE",
        "CC-BY-NC-ND-3.0-DE",
        "CC-BY-NC-ND-3.0-IGO",
        "CC-BY-NC-SA-2.0-DE",
        "CC-BY-NC-SA-2.0-FR",
        "CC-BY-NC-SA-2.0-UK",
        "CC-BY-NC-SA-3.0-DE",
        "CC-BY-NC-SA-3.0-IGO",
        "CC-BY-ND-3.0-DE",
        "CC-BY-SA-2.0-UK",
        "CC-BY-SA-2.1-JP",
        "CC-BY-SA-3.0-AT",
        "CC-BY-SA-3.0-DE",
        "CC-BY-SA-3.0-IGO",
    ]
)
_VERSIONS = frozenset({"1.0", "2.0", "2.1", "2.5", "3.0", "4.0"})
_PORTS_OF_2_1 = frozenset({"au", "es", "jp"})
_FAMILIES = frozenset({"by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd"})
_WITHOUT_BY = frozenset({"nc", "nd", "sa", "nc-sa", "nc-nd"})  # retired, 1.0 only
# What they allow depends on how much is taken and what for, which no film can promise.
_RETIRED = {
    "sampling+": ("LicenseRef-CC-Sampling-Plus-1.0", "1.0", True),
    "nc-sampling+": ("LicenseRef-CC-NC-Sampling-Plus-1.0", "1.0", False),
    "sampling": ("LicenseRef-CC-Sampling-1.0", "1.0", False),
    "devnations": ("LicenseRef-CC-DevNations-2.0", "2.0", False),
}
_RETIRED_NAMES = {
    "sampling-plus": "sampling+",
    "noncommercial-sampling-plus": "nc-sampling+",
    "noncommercial-sampling+": "nc-sampling+",
    "nc-sampling-plus": "nc-sampling+",
    "developing-nations": "devnations",
}
_CC0_NAMES = frozenset(
    {"cc0", "cc-0", "cc-zero", "cc0-universal", "cc-cc0", "cc-zero-universal"}
    | {"cc0-universal-cc0-public-domain-dedication", "cc0-universal-public-domain-dedication"}
    | {"cc0-public-domain-dedication", "cc-zero-public-domain-dedication"}
)
_PDM_NAMES = frozenset({"pdm", "cc-pdm", "public-domain-mark", "cc-public-domain-mark"})
_PDDC_NAMES = frozenset({"cc-pd", "cc-pddc", "cc-public-domain"})
_PUBLIC_NAMES = frozenset(
    {"pd", "public-domain", "publicdomain", "no-restrictions", "no-known-copyright-restrictions"}
)
_TAKING_AWAY = frozenset(
    {*PARTS, "all", "non", "not", "only", "reserved", "restricted", "rights", "sampling", "sampling+"}
)
_DEED = r"(?:/(?:deed|legalcode|rdf)(?:\.[a-z@_-]+)?)?/*$"
_LICENCE_PATH = re.compile(
    rf"^/licenses/(?P<code>[a-z+-]+)/(?P<version>\d\.\d)(?:/(?P<port>scotland|igo|[a-z]{{2}}))?{_DEED}"
)
# `/licenses/cc0/` and `/licenses/mark/` never were deeds, but sources have written them for years.
_PUBLIC_PATH = re.compile(
    rf"^/(?:publicdomain/(?P<kind>zero|mark)|licenses/(?P<old>cc0|zero|mark))/1\.0{_DEED}"
)
_PDDC_PATH = re.compile(rf"^/licenses/publicdomain{_DEED}")


def parse_licence(
    url: str | None = None,
    name: str | None = None,
    version: str | None = None,
    *,
    trusted: bool = False,
) -> Licence:
    """Read a licence from its URL, else from its name (and version).

    `trusted` lets a bare "public domain" count as FREE: only for sources that check such claims. URL and
    name that contradict each other, and anything unknown, give CUSTOM with what was said as its name.
    """
    said = " ".join(part for part in (name, version) if part) or url or "not stated"
    by_url = _from_url(url) if url and url.strip() else None
    by_name = None
    if name and name.strip():
        by_name = _from_url(name) if "://" in name else _from_name(name, version, trusted=trusted)
    both_free = by_url and by_name and by_url.licence_class == by_name.licence_class == LicenceClass.FREE
    if by_url and by_name and not both_free and _family(by_url) != _family(by_name):
        return _custom(said, url)
    if by_url and name and by_name is None and _denies(by_url, name):
        return _custom(said, url)
    if url and by_url is None and "creativecommons.org" in url.lower():
        return _custom(said, url)  # a deed that does not exist outweighs a readable name
    return by_url or by_name or _custom(said, url)


def strictest(licences: list[Licence]) -> LicenceClass:
    """Return the class of a work made from all of `licences`."""
    order = list(LicenceClass)
    return max((licence.licence_class for licence in licences), key=order.index, default=LicenceClass.FREE)


@dataclass(frozen=True)
class Verdict:
    """`reason` is set when not `ok`; `warnings` are duties a person should know of."""

    ok: bool
    reason: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LicencePolicy:
    """What a film may be made of. A film always adapts its material, so no-derivatives never passes."""

    allow: frozenset[LicenceClass] = frozenset(
        {LicenceClass.FREE, LicenceClass.ATTRIBUTION, LicenceClass.COMMERCIAL}
    )
    allow_share_alike: bool = True
    commercial: bool = True

    def verdict(self, licence: Licence) -> Verdict:
        """Judge `licence` without raising. What people sent as their own passes every policy."""
        if licence.id == OWN_WORK:
            return Verdict(True)
        if not licence.derivatives_ok:
            return Verdict(False, f"{licence.name} forbids derivatives, and editing into a film makes one")
        if self.commercial and not licence.commercial_ok:
            return Verdict(False, f"{licence.name} forbids commercial use and the film may be sold")
        if licence.share_alike and not self.allow_share_alike:
            return Verdict(False, f"{licence.name} would bind the whole film to share-alike terms")
        if licence.licence_class not in self.allow:
            return Verdict(False, f"{licence.name} is {licence.licence_class}, which the policy leaves out")
        warnings = []
        if licence.share_alike:
            warnings.append(f"the film must be shared under {licence.name} or a compatible licence")
        if licence.attribution_required:
            warnings.append("credit is owed")
        return Verdict(True, warnings=tuple(warnings))

    def check(self, licence: Licence) -> None:
        """Raise Unlicensed when `licence` does not pass, saying why."""
        verdict = self.verdict(licence)
        if not verdict.ok:
            raise Unlicensed(verdict.reason or "not licensed", field="licence")

    def to_json(self) -> dict[str, Any]:
        return {
            "allow": sorted(str(c) for c in self.allow),
            "allow_share_alike": self.allow_share_alike,
            "commercial": self.commercial,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LicencePolicy:
        return cls(
            frozenset(LicenceClass(c) for c in data["allow"]), data["allow_share_alike"], data["commercial"]
        )


POLICIES: dict[str, LicencePolicy] = {
    "commercial": LicencePolicy(),
    "non-commercial": LicencePolicy(
        frozenset(LicenceClass) - {LicenceClass.CUSTOM}, allow_share_alike=True, commercial=False
    ),
    "public-domain-only": LicencePolicy(frozenset({LicenceClass.FREE}), allow_share_alike=False),
}
"""What briefs call a policy by."""


def credit_line(
    *,
    title: str | None,
    creator: str | None,
    creator_url: str | None = None,
    source_url: str | None,
    licence: Licence,
    changes: str | None = None,
) -> str:
    """Compose the plain-text credit: title, author, source, licence (TASL), and what was changed.

    Openverse's wording: a dedication or a mark "is marked with", a licence "is licensed under". Values are
    taken as plain text; escaping belongs to the output format.
    """
    line = f'"{one_line(title)}"' if one_line(title) else "This work"
    if one_line(creator):
        line += f" by {one_line(creator)}"
        line += f" ({creator_url})" if creator_url else ""
    line += f" ({source_url})" if source_url else ""
    if licence.id == PUBLIC_DOMAIN.id:
        line += " is in the public domain"
    else:
        verb = "is marked with" if licence.licence_class is LicenceClass.FREE else "is licensed under"
        line += f" {verb} {licence.name}"
        line += f" ({licence.url})" if licence.url else ""
    return line + "." + (f" Changes: {one_line(changes).rstrip('.')}." if changes else "")


def own_credit(text: str, licence: Licence, *, changes: str | None = None) -> str:
    """Complete a source's own credit text with what it leaves out: the deed's address and the changes."""
    line = one_line(text)
    if licence.attribution_required and licence.url and not _has_link(line, licence.url):
        line = f"{line.rstrip('.')} ({licence.url})"
    return line if not changes else f"{line.rstrip('.')}. Changes: {one_line(changes).rstrip('.')}."


def _has_link(line: str, url: str) -> bool:
    """Tell whether a text names an address already, with whichever scheme and language of its deed."""
    bare = url.partition("//")[2].removeprefix("www.").rstrip("/")
    return bare.casefold() in line.casefold()


# -- reading ------------------------------------------------------------------------------------


def _from_url(url: str) -> Licence | None:
    try:
        parts = urlsplit(url.strip() if "//" in url else f"//{url.strip()}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    path = unquote(parts.path).lower()
    if host != "creativecommons.org":
        return _BY_PLACE.get(_place(host, path, parts.fragment.lower()))
    if public := _PUBLIC_PATH.match(path):
        return PUBLIC_DOMAIN_MARK if "mark" in (public["kind"], public["old"]) else CC0
    if _PDDC_PATH.match(path):
        return _PDDC
    if found := _LICENCE_PATH.match(path):
        return _cc(found["code"], found["version"], found["port"])
    return None


def _place(host: str, path: str, fragment: str) -> str:
    if host == "mixkit.co" and path.startswith("/license/"):
        return f"{host}#{fragment or path.rpartition('/modal/')[2].strip('/')}"
    return f"{host}{path.rstrip('/')}"


_BY_PLACE = {
    _place((at.hostname or "").removeprefix("www."), at.path.lower(), at.fragment.lower()): licence
    for licence in (*_VENDORS, *(one for one in _OTHERS.values() if not one.name.endswith("+")))
    if licence.url and (at := urlsplit(licence.url))
}
_MIXKIT = ("stock-video-free", "stock-music-free", "sound-effects-free", "restricted")
_BY_NAME = {
    **{plain_name(licence.name): licence for licence in _VENDORS},
    **{plain_name(licence.id): licence for licence in (*_VENDORS, *_OTHERS.values())},
    **{f"mixkit-{short}": licence for short, licence in zip(_MIXKIT, _VENDORS[3:7], strict=True)},
    "youtube-audio-library": _VENDORS[-1],
    **_OTHERS,
    **{name: _OTHERS[other] for name, other in _OTHER_NAMES.items()},
}


def _from_name(name: str, version: str | None, *, trusted: bool) -> Licence | None:
    plain, number = plain_name(name), (version or "").strip()
    if known := _BY_NAME.get(plain) or _BY_NAME.get(f"{plain}-{number}"):
        return known
    short = re.sub(r"^(?:cc-)?creative-commons-", "cc-", plain.removesuffix("-license"))
    whole = re.sub(r"-1\.0(?=-|$)", "", short)
    if number in ("", "1.0") and whole in _CC0_NAMES:
        return CC0
    if number in ("", "1.0") and whole in _PDM_NAMES:
        return PUBLIC_DOMAIN_MARK
    if short in _PDDC_NAMES:
        return _PDDC
    if plain in _PUBLIC_NAMES or (plain.startswith("pd-") and not _TAKING_AWAY & set(words_of(plain))):
        return PUBLIC_DOMAIN if trusted else None
    code, at = short.removeprefix("cc-"), number
    if found := re.fullmatch(r"(.+)-(\d\.\d)", code):
        code, at = found[1], found[2]
    code = _RETIRED_NAMES.get(code, code)
    if code in _RETIRED:
        return _cc(code, at or _RETIRED[code][1], None)
    said = read_name(plain)
    if said is None or (said.version and number and said.version != number):
        return None
    parts, at = said.parts, said.version or number
    if at != "1.0" and {"nc", "nd"} & set(parts):
        # SoundBible writes "Noncommercial 3.0": since 2.0 there is none without attribution
        parts = ("by", *(part for part in parts if part != "by"))
    return _cc("-".join(parts), at, said.port)


def _denies(licence: Licence, name: str) -> bool:
    """Tell whether a name that is no whole licence contradicts the one that a URL names."""
    plain = plain_name(name)
    words, said = set(words_of(plain)), read_name(plain)
    if ("nc" in words and licence.commercial_ok) or ("nd" in words and licence.derivatives_ok):
        return True
    parts = {word for word in licence.id.lower().split("-") if word in PARTS}
    return said is not None and {"by", *said.parts} != {"by", *parts}


def _cc(code: str, version: str, port: str | None) -> Licence | None:
    """Build a Creative Commons licence; None for combinations that never existed."""
    if code in _RETIRED:
        ref, only, commercial = _RETIRED[code]
        url = f"https://creativecommons.org/licenses/{code}/{only}/" + (f"{port}/" if port else "")
        if version != only:
            return None
        return Licence(ref, url, LicenceClass.CUSTOM, f"CC {code} {only}", True, commercial, False)
    parts = set(code.split("-"))
    family = "-".join(part for part in PARTS if part in parts)
    if version not in _VERSIONS or parts - set(PARTS) or code.count("-") >= len(parts):
        return None
    if family in _WITHOUT_BY:
        return _without_by(family, parts) if version == "1.0" and not port else None
    exists = {"4.0": not port, "2.1": port in _PORTS_OF_2_1}.get(version, True) and (
        port != "igo" or version == "3.0"
    )
    if family not in _FAMILIES or not exists:
        return None
    plain = f"CC-{family.upper()}-{version}"
    ported = f"{plain}-{port.upper()}" if port else plain
    spdx = ported if ported in _SPDX_PORTS else plain
    if version == "2.1" and spdx == plain:
        spdx = f"LicenseRef-{ported}"
    path = "by-nd-nc" if (family, version) == ("by-nc-nd", "1.0") else family  # as its deed is called
    return Licence(
        spdx,
        f"https://creativecommons.org/licenses/{path}/{version}/" + (f"{port}/" if port else ""),
        _class_of(parts),
        f"CC {family.upper()} {version}" + (f" {port.upper()}" if port else ""),
        attribution_required=True,
        commercial_ok="nc" not in parts,
        derivatives_ok="nd" not in parts,
        share_alike="sa" in parts,
    )


def _class_of(parts: set[str]) -> LicenceClass:
    if "nc" in parts:
        return LicenceClass.NONCOMMERCIAL
    return LicenceClass.CUSTOM if "nd" in parts else LicenceClass.ATTRIBUTION


def _without_by(family: str, parts: set[str]) -> Licence:
    """Build one of the licences that asked for no credit; SPDX knows SA of them."""
    path = "nd-nc" if family == "nc-nd" else family
    return Licence(
        "CC-SA-1.0" if family == "sa" else f"LicenseRef-CC-{family.upper()}-1.0",
        f"https://creativecommons.org/licenses/{path}/1.0/",
        LicenceClass.NONCOMMERCIAL if "nc" in parts else LicenceClass.CUSTOM,
        f"CC {family.upper()} 1.0",
        commercial_ok="nc" not in parts,
        derivatives_ok="nd" not in parts,
        share_alike="sa" in parts,
    )


def _custom(said: str, url: str | None) -> Licence:
    """Stand for what could not be read: no right is assumed and every duty is."""
    return Licence(
        UNKNOWN,
        url,
        LicenceClass.CUSTOM,
        one_line(said)[:120],
        attribution_required=True,
        commercial_ok=False,
        derivatives_ok=False,
        standalone_redistribution_ok=False,
    )


def _family(licence: Licence) -> tuple[str, str]:
    """Return what must agree between a URL and a name: code and version, without the port."""
    found = re.match(r"(.*?)-(\d\.\d)", licence.id)
    return (found[1], found[2]) if found else (licence.id, "")


def one_line(text: Any) -> str:
    """Write a value of a source as one line of plain text: no mark-up, no control characters."""
    plain = html.unescape(_TAG.sub(" ", "" if text is None else str(text))).translate(_TURNING)
    return " ".join("".join(" " if unicodedata.category(c) in _NO_TEXT else c for c in plain).split())
