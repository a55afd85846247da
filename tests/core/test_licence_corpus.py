"""Every Creative Commons licence in every spelling, and everything that must never pass."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.licence_words import PORTS
from core.licences import Licence, LicenceClass, LicencePolicy, parse_licence

FAMILIES = ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
LANGUAGES = ("", ".de", ".en", ".pt-br", ".pt_BR", ".zh-hans", ".sr-latn", ".es_ES", ".sr@latin")
LONG = {"by": "Attribution", "sa": "ShareAlike", "nc": "NonCommercial", "nd": "NoDerivatives"}
SPDX_PORTS = {
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
}


def existed(version, port):
    if version == "4.0":
        return not port
    if version == "2.1":
        return port in ("au", "es", "jp")
    return port != "igo" or version == "3.0"


def expected_id(family, version, port):
    plain = f"CC-{family.upper()}-{version}"
    ported = f"{plain}-{port.upper()}"
    if ported in SPDX_PORTS:
        return ported
    return f"LicenseRef-{ported}" if version == "2.1" else plain


def assert_read(licence, family, version, port, said):
    parts = family.split("-")
    assert licence.id == expected_id(family, version, port), said
    wanted = "noncommercial" if "nc" in parts else "custom" if "nd" in parts else "attribution"
    assert licence.licence_class == wanted, said
    assert licence.attribution_required, said
    assert licence.commercial_ok == ("nc" not in parts), said
    assert licence.derivatives_ok == ("nd" not in parts), said
    assert licence.share_alike == ("sa" in parts), said
    if port:
        assert f"/{version}/{port}/" in licence.url, said


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_url_of_every_licence_is_read(family, version):
    codes = {family, "-".join(["by", *reversed(family.split("-")[1:])])}
    starts = itertools.cycle([
        "http://creativecommons.org", "https://creativecommons.org", "//www.creativecommons.org", "HTTPS://CreativeCommons.ORG",
        "http://www.creativecommons.org:80", "creativecommons.org",
    ])  # fmt: skip
    pages = [
        "",
        *(f"/deed{language}" for language in LANGUAGES),
        *(f"/legalcode{language}" for language in LANGUAGES[:4]),
        "/rdf",
    ]
    seen = 0
    for code, port, page, slash in itertools.product(codes, ("", *PORTS), pages, ("", "/")):
        url = f"{next(starts)}/licenses/{code}/{version}{f'/{port}' if port else ''}{page}{slash}"
        licence = parse_licence(url)
        if existed(version, port):
            assert_read(licence, family, version, port, url)
        else:
            assert licence.id == "LicenseRef-Unknown", url
        seen += 1
    assert seen >= 65 * 15 * 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_of_every_licence_is_read(family, version):
    parts = family.split("-")
    long = "-".join(LONG[part] for part in parts)
    share = (
        long.replace("ShareAlike", "Share Alike")
        .replace("NoDerivatives", "No Derivs")
        .replace("NonC", "Non-C")
    )
    for port in ("", *PORTS):
        country = PORTS.get(port, "").replace("-", " ").title()
        for name in (
            f"CC {family.upper()} {version} {port}", f"cc-{family}-{version}-{port}", f"{family}_{version} {port.upper()}",
            f"Creative Commons {long} {version} {country or 'International'}", f"{share} {version} {country}",
            f"Creative Commons {long} {version} {country or 'Unported'} Public License", f"CC-{family.upper()}-{version}-{port.upper()}",
        ):  # fmt: skip
            licence = parse_licence(name=name)
            if existed(version, port):
                assert_read(licence, family, version, port, name)
            else:
                assert licence.id == "LicenseRef-Unknown", name


@pytest.mark.parametrize(("url", "spdx", "kind", "flags"), [
    ("/licenses/sa/1.0/", "CC-SA-1.0", "custom", "s"),
    ("/licenses/nc/1.0/", "LicenseRef-CC-NC-1.0", "noncommercial", "n"),
    ("/licenses/nd/1.0/", "LicenseRef-CC-ND-1.0", "custom", "d"),
    ("/licenses/nc-sa/1.0/", "LicenseRef-CC-NC-SA-1.0", "noncommercial", "ns"),
    ("/licenses/nc-nd/1.0/", "LicenseRef-CC-NC-ND-1.0", "noncommercial", "nd"),
    ("/licenses/nd-nc/1.0/deed.de", "LicenseRef-CC-NC-ND-1.0", "noncommercial", "nd"),
    ("/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0", "noncommercial", "and"),
    ("/licenses/sampling/1.0/", "LicenseRef-CC-Sampling-1.0", "custom", "and"),
    ("/licenses/sampling+/1.0/", "LicenseRef-CC-Sampling-Plus-1.0", "custom", "ad"),
    ("/licenses/sampling%2B/1.0/br/deed.pt", "LicenseRef-CC-Sampling-Plus-1.0", "custom", "ad"),
    ("/licenses/nc-sampling%2b/1.0", "LicenseRef-CC-NC-Sampling-Plus-1.0", "custom", "and"),
    ("/licenses/devnations/2.0/", "LicenseRef-CC-DevNations-2.0", "custom", "and"),
    ("/licenses/publicdomain/deed.en", "CC-PDDC", "free", ""),
    ("/publicdomain/zero/1.0/legalcode.fr", "CC0-1.0", "free", ""),
    ("/publicdomain/mark/1.0", "CC-PDM-1.0", "free", ""),
])  # fmt: skip
def test_what_creative_commons_retired_is_told_apart(url, spdx, kind, flags):
    licence = parse_licence(f"http://creativecommons.org{url}")
    assert (licence.id, licence.licence_class) == (spdx, kind)
    said = "".join(
        letter
        for letter, there in (
            ("a", licence.attribution_required), ("n", not licence.commercial_ok), ("d", not licence.derivatives_ok),
            ("s", licence.share_alike),
        )
        if there
    )  # fmt: skip
    assert sorted(said) == sorted(flags)
    # the public domain aside, a film may have none of them unless a person decides
    assert LicencePolicy().verdict(licence).ok == (kind == "free")


@pytest.mark.parametrize("url", [
    "/licenses/sa/2.0/", "/licenses/nc/3.0/", "/licenses/sampling/2.0/", "/licenses/devnations/1.0/", "/publicdomain/zero/2.0/",
    "/licenses/by/3.0/deutschland/", "/licenses/by-by/3.0/", "/licenses/by-nc-nd-sa/3.0/", "/licenses/by-sa-nd/4.0/",
])  # fmt: skip
def test_what_never_existed_is_not_read(url):
    assert parse_licence(f"https://creativecommons.org{url}").id == "LicenseRef-Unknown"


@pytest.mark.parametrize(("said", "spdx", "kind"), [
    ("Pexels License", "LicenseRef-Pexels", "commercial"),
    ("https://www.pexels.com/license/", "LicenseRef-Pexels", "commercial"),
    ("Pixabay Content License", "LicenseRef-Pixabay-Content", "commercial"),
    ("https://pixabay.com/service/license-summary", "LicenseRef-Pixabay-Content", "commercial"),
    ("Unsplash licence", "LicenseRef-Unsplash", "commercial"),
    ("http://unsplash.com/license", "LicenseRef-Unsplash", "commercial"),
    ("Mixkit Stock Video Free License", "LicenseRef-Mixkit-Video-Free", "commercial"),
    ("https://mixkit.co/license/#videoFree", "LicenseRef-Mixkit-Video-Free", "commercial"),
    ("Mixkit Stock Music Free License", "LicenseRef-Mixkit-Music-Free", "commercial"),
    ("https://mixkit.co/license/#musicFree", "LicenseRef-Mixkit-Music-Free", "commercial"),
    ("Mixkit Sound Effects Free License", "LicenseRef-Mixkit-SFX-Free", "commercial"),
    ("https://mixkit.co/license/modal/sfxFree/", "LicenseRef-Mixkit-SFX-Free", "commercial"),
    ("Mixkit Restricted License", "LicenseRef-Mixkit-Restricted", "noncommercial"),
    ("YouTube Audio Library License", "LicenseRef-YouTube-Audio-Library", "commercial"),
    ("YOUTUBE_AUDIO_LIBRARY", "LicenseRef-YouTube-Audio-Library", "commercial"),
    ("GFDL 1.2", "GFDL-1.2-only", "custom"),
    ("gfdl-1.3+", "GFDL-1.3-or-later", "custom"),
    ("GNU Free Documentation License", "LicenseRef-GFDL", "custom"),
    ("FAL", "LAL-1.3", "custom"),
    ("Free Art License", "LAL-1.3", "custom"),
    ("OGL 3", "OGL-UK-3.0", "custom"),
    ("ogl-uk-3.0", "OGL-UK-3.0", "custom"),
    ("Noncommercial 3.0", "CC-BY-NC-3.0", "noncommercial"),
    ("Sampling Plus 1.0", "LicenseRef-CC-Sampling-Plus-1.0", "custom"),
    ("Personal Use Only", "LicenseRef-Unknown", "custom"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0", "free"),
    ("Creative Commons Zero", "CC0-1.0", "free"),
    ("cc-by-sa-4.0,3.0,2.5,2.0,1.0", "CC-BY-SA-4.0", "attribution"),
    ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE", "attribution"),
])  # fmt: skip
def test_names_and_places_of_other_licences_are_read(said, spdx, kind):
    licence = parse_licence(said) if said.startswith("http") else parse_licence(name=said)
    assert (licence.id, licence.licence_class) == (spdx, kind)
    if spdx.startswith("LicenseRef-") and kind == "commercial":
        assert not licence.standalone_redistribution_ok
        assert parse_licence(name=spdx) == licence
    if spdx.startswith(("GFDL", "LAL", "OGL")):
        assert (licence.commercial_ok, licence.derivatives_ok, licence.attribution_required) == (
            True,
            True,
            True,
        )
        assert licence.share_alike == (not spdx.startswith("OGL"))


def test_one_page_for_all_licences_names_none_of_them():
    assert parse_licence("https://mixkit.co/license/").id == "LicenseRef-Unknown"


@pytest.mark.parametrize(
    "name", ["Attribution", "Attribution NonCommercial", "CC BY", "by-nc-sa", "Creative Commons"]
)
def test_a_name_without_a_version_is_not_guessed(name):
    assert parse_licence(name=name).id == "LicenseRef-Unknown"


def test_parts_are_words_and_no_letters_inside_others():
    for name in ("Attribution 2.0 France", "CC BY 3.0 Finland", "cc-by-sa-2.0-fr"):
        assert LicencePolicy().verdict(parse_licence(name=name)).ok, name
    for noise in ("france", "unported and", "Lancelot"):
        url = "https://creativecommons.org/licenses/by/3.0/"
        assert parse_licence(url, f"Attribution, {noise}").id == "CC-BY-3.0"
        assert not LicencePolicy().verdict(parse_licence(name=f"CC BY 3.0 {noise} x")).ok


@pytest.mark.parametrize(("url", "name"), [
    ("by/4.0", "Attribution NonCommercial"), ("by-sa/4.0", "CC BY-NC-SA (see the page)"), ("by/3.0", "by-nd"),
    ("by/3.0", "Attribution 3.0, no derivatives please"), ("by/4.0", "by-sa"), ("by-sa/4.0", "CC BY 4.0"),
])  # fmt: skip
def test_a_name_that_takes_more_away_than_the_url_is_believed(url, name):
    assert not LicencePolicy().verdict(parse_licence(f"https://creativecommons.org/licenses/{url}/", name)).ok


# -- what must never pass ---------------------------------------------------------------------

FORBIDDEN = [family for family in FAMILIES if {"nc", "nd"} & set(family.split("-"))] + [
    "nc",
    "nd",
    "nc-sa",
    "nd-nc",
]
noise = st.sampled_from(
    ["", " ", "\t", "  \n", ".", ",", " License", " licence", "?ref=x", "#top", " (see page)"]
)


def mixed(draw, text):
    ups = draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    return "".join(c.upper() if up else c for c, up in zip(text, ups, strict=True))


@st.composite
def forbidden(draw):
    """A licence with NC or ND in it, as a URL or as a name, the way the world writes it."""
    parts = draw(st.permutations(draw(st.sampled_from(FORBIDDEN)).split("-")))
    version = draw(st.sampled_from(VERSIONS))
    port = draw(st.sampled_from(["", *PORTS]))
    if draw(st.booleans()):
        page = draw(st.sampled_from(["", "/", "/deed.de", "/legalcode", "/deed.pt_BR/"]))
        path = f"/licenses/{'-'.join(parts)}/{version}{f'/{port}' if port else ''}{page}"
        return mixed(draw, f"http://creativecommons.org{path}") + draw(noise), None
    words = [
        draw(
            st.sampled_from(
                [part, LONG[part], {"nc": "Non-Commercial", "nd": "No Derivative Works"}.get(part, part)]
            )
        )
        for part in parts
    ]
    joint = draw(st.sampled_from(["-", " ", "_"]))
    start = draw(st.sampled_from(["", "CC ", "cc-", "Creative Commons "]))
    end = draw(st.sampled_from([version, version, "", f"{version} {port}", f"{version} Unported"]))
    url = draw(
        st.sampled_from(
            [
                None,
                "https://creativecommons.org/licenses/by/4.0/",
                "https://creativecommons.org/publicdomain/zero/1.0/",
            ]
        )
    )
    return url, mixed(draw, f"{start}{joint.join(words)}{joint}{end}") + draw(noise)


@given(forbidden(), st.booleans(), st.sampled_from([None, "1.0", "2.0", "4.0"]))
def test_no_nc_or_nd_passes_a_commercial_policy(said, trusted, version):
    for policy in (LicencePolicy(), LicencePolicy(allow=frozenset(LicenceClass) - {LicenceClass.CUSTOM})):
        assert not policy.verdict(parse_licence(*said, version, trusted=trusted)).ok


KNOWN = re.compile(r"(?i)cc|public|pd|zero|attribution|by|creative|restrictions|mark")


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=8), st.booleans())
def test_any_text_is_read_without_an_error_and_gives_no_right_by_chance(url, name, version, trusted):
    licence = parse_licence(url, name, version, trusted=trusted)
    if licence.licence_class in (LicenceClass.FREE, LicenceClass.ATTRIBUTION):
        assert KNOWN.search(f"{url} {name}")
    assert Licence.from_json(licence.to_json()) == licence


words = st.sampled_from(
    [
        "cc",
        "by",
        "nc",
        "nd",
        "sa",
        "attribution",
        "noncommercial",
        "3.0",
        "4.0",
        "1.0",
        "france",
        "and",
        "unported",
        "free",
        "public",
        "domain",
        "cc0",
        "zero",
        "mark",
        "license",
        "all",
        "rights",
        "reserved",
        "commons",
        "creative",
        "pd",
        "sampling",
        "plus",
        "+",
        "unsplash",
        "restricted",
        "mixkit",
    ]
)


@given(st.lists(words, max_size=7).map(" ".join), st.booleans())
def test_words_thrown_together_give_rights_only_where_they_are_a_name(name, trusted):
    licence = parse_licence(name=name, trusted=trusted)
    said = set(name.split())
    if licence.licence_class is LicenceClass.ATTRIBUTION:
        assert said & {"by", "attribution"}
        assert said & {"1.0", "3.0", "4.0"}
    if LicencePolicy().verdict(licence).ok:
        assert not said & {
            "nc",
            "nd",
            "noncommercial",
            "all",
            "rights",
            "reserved",
            "restricted",
            "sampling",
            "and",
        }
