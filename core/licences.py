"""Licences as values: reading them, judging them, and the credit line they ask for.

Rules read 2026-11: Creative Commons deeds and FAQ, the SPDX licence list, the vendors' licence pages.
A licence that cannot be read is CUSTOM and usable only after a person decided: it is never guessed, and
never looked up over the network. This is engineering, not legal advice.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from core.errors import Unlicensed


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
_CC0_NAMES = frozenset({"cc0", "cc0-1.0", "cc-0", "cc-zero", "creative-commons-0", "creative-commons-zero"})
_PDM_NAMES = frozenset({"pdm", "pdm-1.0", "cc-pdm-1.0", "public-domain-mark", "public-domain-mark-1.0"})
_PUBLIC_NAMES = frozenset({"pd", "public-domain", "no-restrictions", "publicdomain"})

_VENDORS: dict[str, Licence] = {
    path: Licence(spdx, f"https://{path}", cls, name, commercial_ok=ok, standalone_redistribution_ok=False)
    for path, spdx, cls, name, ok in (
        ("www.pexels.com/license/", "LicenseRef-Pexels", LicenceClass.COMMERCIAL, "Pexels License", True),
        (
            "pixabay.com/service/license-summary/",
            "LicenseRef-Pixabay-Content",
            LicenceClass.COMMERCIAL,
            "Pixabay Content License",
            True,
        ),
        ("unsplash.com/license", "LicenseRef-Unsplash", LicenceClass.COMMERCIAL, "Unsplash License", True),
    )
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
_FAMILIES = frozenset({"by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd"})
_ORDER = ("by", "nc", "nd", "sa")
_SAMPLING = {
    "sampling+": ("LicenseRef-CC-Sampling-Plus-1.0", True),
    "nc-sampling+": ("LicenseRef-CC-NC-Sampling-Plus-1.0", False),
}
_DEED = r"(?:/(?:deed|legalcode)(?:\.[a-z-]+)?)?/?$"
_LICENCE_PATH = re.compile(
    rf"^/licenses/(?P<code>[a-z+-]+)/(?P<version>\d\.\d)(?:/(?P<port>[a-z]{{2,3}}(?:-[a-z]+)?))?{_DEED}"
)
# `/licenses/cc0/` and `/licenses/mark/` never were deeds, but sources have written them for years.
_PUBLIC_PATH = re.compile(rf"^/(?:publicdomain/(?P<kind>zero|mark)|licenses/(?P<old>cc0|mark))/1\.0{_DEED}")
# `cc-by-sa-3.0-migrated`, `cc-by-sa-3.0-2.5-2.0-1.0` and `cc-by-sa-1.0+` are Commons' own aliases.
_NAME = re.compile(
    r"^(?:cc-)?(?P<code>by(?:-(?:nc|nd|sa))*)-(?P<version>\d\.\d)(?P<plus>\+)?"
    r"(?:-\d\.\d)*(?:-(?P<port>[a-z]{2,}))?(?P<rest>(?:-[a-z]+)*)$"
)
_NOT_PORTS = frozenset({"migrated", "stma", "international", "unported", "generic", "universal"})
_LONG_WORDS = (
    ("creative-commons-", "cc-"),
    ("attribution", "by"),
    ("noncommercial", "nc"),
    ("non-commercial", "nc"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("no-derivatives", "nd"),
    ("sharealike", "sa"),
    ("share-alike", "sa"),
    ("cc-cc-", "cc-"),
)


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
    by_name = _from_name(name, version, trusted=trusted) if name and name.strip() else None
    both_free = by_url and by_name and by_url.licence_class == by_name.licence_class == LicenceClass.FREE
    if by_url and by_name and not both_free and _family(by_url) != _family(by_name):
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
        """Judge `licence` without raising."""
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
    line = f'"{_line(title)}"' if _line(title) else "This work"
    if _line(creator):
        line += f" by {_line(creator)}"
        line += f" ({creator_url})" if creator_url else ""
    line += f" ({source_url})" if source_url else ""
    if licence.id == PUBLIC_DOMAIN.id:
        line += " is in the public domain"
    else:
        verb = "is marked with" if licence.licence_class is LicenceClass.FREE else "is licensed under"
        line += f" {verb} {licence.name}"
        line += f" ({licence.url})" if licence.url else ""
    return line + "." + (f" Changes: {_line(changes).rstrip('.')}." if changes else "")


# -- reading ------------------------------------------------------------------------------------


def _from_url(url: str) -> Licence | None:
    try:
        parts = urlsplit(url.strip() if "//" in url else f"//{url.strip()}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    path = unquote(parts.path).lower()
    if host != "creativecommons.org":
        plain = f"{host}{path}".rstrip("/")
        return next((v for k, v in _VENDORS.items() if k.removeprefix("www.").rstrip("/") == plain), None)
    if public := _PUBLIC_PATH.match(path):
        return CC0 if public["kind"] == "zero" or public["old"] == "cc0" else PUBLIC_DOMAIN_MARK
    if path.rstrip("/") == "/licenses/publicdomain":
        return _PDDC
    if found := _LICENCE_PATH.match(path):
        return _cc(found["code"], found["version"], found["port"])
    return None


def _from_name(name: str, version: str | None, *, trusted: bool) -> Licence | None:
    text = re.sub(r"[\s_-]+", "-", name.strip().lower()).strip("-")
    if text in _CC0_NAMES or re.fullmatch(r"cc0-1\.0-universal.*", text):
        return CC0
    if text in _PDM_NAMES:
        return PUBLIC_DOMAIN_MARK
    if text == "cc-pd":
        return _PDDC
    if text in _PUBLIC_NAMES or text.startswith("pd-"):
        return PUBLIC_DOMAIN if trusted else None
    if text.removeprefix("cc-") in _SAMPLING:
        return _cc(text.removeprefix("cc-"), version or "1.0", None)
    for long, short in _LONG_WORDS:
        text = text.replace(long, short)
    if version and not re.search(r"\d\.\d", text):
        text += f"-{version.strip()}"
    found = _NAME.match(text)
    if not found:
        return None
    # Commons: `cc-by-sa-1.0+` means 1.0 and any later version; its own parser takes 3.0.
    number = "3.0" if found["plus"] else found["version"]
    port = found["port"] if found["port"] not in _NOT_PORTS else None
    return _cc(found["code"], number, port if port and len(port) <= 3 else None)


def _cc(code: str, version: str, port: str | None) -> Licence | None:
    """Build a Creative Commons licence; None for combinations that never existed."""
    if code in _SAMPLING:
        ref, commercial = _SAMPLING[code]
        url = f"https://creativecommons.org/licenses/{code}/1.0/"
        return Licence(ref, url, LicenceClass.CUSTOM, f"CC {code} 1.0", True, commercial, False)
    parts = set(code.split("-"))
    family = "-".join(p for p in _ORDER if p in parts)
    if version not in _VERSIONS or family not in _FAMILIES or parts - set(_ORDER):
        return None
    exists = {"4.0": not port, "2.1": bool(port)}.get(version, True) and (port != "igo" or version == "3.0")
    if not exists:
        return None
    plain = f"CC-{family.upper()}-{version}"
    ported = f"{plain}-{port.upper()}" if port else plain
    spdx = ported if ported in _SPDX_PORTS else plain
    if version == "2.1" and spdx == plain:
        spdx = f"LicenseRef-{ported}"
    noncommercial, no_derivatives = "nc" in parts, "nd" in parts
    cls = (
        LicenceClass.NONCOMMERCIAL
        if noncommercial
        else LicenceClass.CUSTOM
        if no_derivatives
        else LicenceClass.ATTRIBUTION
    )
    return Licence(
        spdx,
        f"https://creativecommons.org/licenses/{family}/{version}/" + (f"{port}/" if port else ""),
        cls,
        f"CC {family.upper()} {version}" + (f" {port.upper()}" if port else ""),
        attribution_required=True,
        commercial_ok=not noncommercial,
        derivatives_ok=not no_derivatives,
        share_alike="sa" in parts,
    )


def _custom(said: str, url: str | None) -> Licence:
    """Stand for what could not be read: no right is assumed and every duty is."""
    return Licence(
        UNKNOWN,
        url,
        LicenceClass.CUSTOM,
        _line(said)[:120],
        attribution_required=True,
        commercial_ok=False,
        derivatives_ok=False,
        standalone_redistribution_ok=False,
    )


def _family(licence: Licence) -> tuple[str, str]:
    """Return what must agree between a URL and a name: code and version, without the port."""
    found = re.match(r"(.*?)-(\d\.\d)", licence.id)
    return (found[1], found[2]) if found else (licence.id, "")


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
