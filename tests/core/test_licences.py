from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unlicensed
from core.licences import (
    CC0,
    OWN_WORK,
    POLICIES,
    PUBLIC_DOMAIN,
    Licence,
    LicenceClass,
    LicencePolicy,
    credit_line,
    one_line,
    own_credit,
    parse_licence,
    strictest,
)

CC = "https://creativecommons.org"


@pytest.mark.parametrize(
    ("url", "spdx", "kind", "flags"),
    [
        ("/publicdomain/zero/1.0/", "CC0-1.0", "free", ""),
        ("/publicdomain/mark/1.0/deed.de", "CC-PDM-1.0", "free", ""),
        ("/licenses/mark/1.0/", "CC-PDM-1.0", "free", ""),
        ("/licenses/cc0/1.0/", "CC0-1.0", "free", ""),
        ("/licenses/publicdomain/", "CC-PDDC", "free", ""),
        ("/licenses/by/4.0", "CC-BY-4.0", "attribution", "a"),
        ("/licenses/by/4.0/deed.en?ref=x#y", "CC-BY-4.0", "attribution", "a"),
        ("/licenses/by-sa/3.0/de/", "CC-BY-SA-3.0-DE", "attribution", "as"),
        ("/licenses/by-sa/3.0/fr/", "CC-BY-SA-3.0", "attribution", "as"),
        ("/licenses/by/3.0/igo/", "CC-BY-3.0-IGO", "attribution", "a"),
        ("/licenses/by/2.1/es/", "LicenseRef-CC-BY-2.1-ES", "attribution", "a"),
        ("/licenses/by-nc/2.0/legalcode", "CC-BY-NC-2.0", "noncommercial", "an"),
        ("/licenses/by-nc-sa/3.0/", "CC-BY-NC-SA-3.0", "noncommercial", "ans"),
        ("/licenses/by-nd/4.0/", "CC-BY-ND-4.0", "custom", "ad"),
        ("/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0", "noncommercial", "and"),
        ("/licenses/sampling%2B/1.0/", "LicenseRef-CC-Sampling-Plus-1.0", "custom", "ad"),
        ("/licenses/nc-sampling+/1.0/", "LicenseRef-CC-NC-Sampling-Plus-1.0", "custom", "and"),
    ],
)
@pytest.mark.parametrize(
    "host", [CC, "http://www.creativecommons.org", "//creativecommons.org", "HTTPS://CreativeCommons.ORG"]
)
def test_creative_commons_urls_are_read(host, url, spdx, kind, flags):
    licence = parse_licence(url=host + url)
    assert (licence.id, licence.licence_class) == (spdx, kind)
    assert licence.attribution_required == ("a" in flags)
    assert licence.commercial_ok == ("n" not in flags)
    assert licence.derivatives_ok == ("d" not in flags)
    assert licence.share_alike == ("s" in flags)


def test_a_port_that_the_id_cannot_express_stays_in_the_url():
    assert parse_licence(url=f"{CC}/licenses/by/3.0/fr/deed.fr").url == f"{CC}/licenses/by/3.0/fr/"


@pytest.mark.parametrize(
    ("name", "version", "spdx"),
    [
        ("CC BY-SA 4.0", None, "CC-BY-SA-4.0"),
        ("cc-by-sa-4.0", None, "CC-BY-SA-4.0"),
        ("CC_BY_SA_4.0", None, "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", None, "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial 3.0 Unported", None, "CC-BY-NC-3.0"),
        ("cc-by-sa-3.0-migrated", None, "CC-BY-SA-3.0"),
        ("cc-by-sa-3.0-migrated-with-disclaimers", None, "CC-BY-SA-3.0"),
        ("cc-by-sa-3.0-2.5-2.0-1.0", None, "CC-BY-SA-3.0"),
        ("cc-by-sa-2.5-2.0-1.0", None, "CC-BY-SA-2.5"),
        ("cc-by-sa-1.0+", None, "CC-BY-SA-3.0"),
        ("cc-by-2.0-stma", None, "CC-BY-2.0"),
        ("cc-by-2.5-nl", None, "CC-BY-2.5"),
        ("cc-by-2.5-scotland", None, "CC-BY-2.5"),
        ("cc-by-3.0-de", None, "CC-BY-3.0-DE"),
        ("cc-pd", None, "CC-PDDC"),
        ("by-sa", "2.0", "CC-BY-SA-2.0"),
        ("by-nc-nd", "4.0", "CC-BY-NC-ND-4.0"),
        ("Attribution 3.0", None, "CC-BY-3.0"),
        ("Creative Commons 0", None, "CC0-1.0"),
        ("cc0", "1.0", "CC0-1.0"),
        ("cc-zero", None, "CC0-1.0"),
        ("pdm", "1.0", "CC-PDM-1.0"),
        ("Public Domain Mark 1.0", None, "CC-PDM-1.0"),
        ("sampling+", "1.0", "LicenseRef-CC-Sampling-Plus-1.0"),
    ],
)  # fmt: skip
def test_names_are_read(name, version, spdx):
    assert parse_licence(name=name, version=version).id == spdx


@pytest.mark.parametrize(
    "name",
    ["CC BY", "Attribution", "", None, "All rights reserved", "cc-by-9.9", "cc-by-4.0-de", "cc-by-2.1",
     "by-xx-4.0", "licence of France 2.0", "Unported and free", "sampling"],
)  # fmt: skip
def test_what_cannot_be_read_is_custom_and_gives_no_right(name):
    licence = parse_licence(name=name)
    assert licence.licence_class is LicenceClass.CUSTOM
    assert not licence.commercial_ok
    assert not licence.derivatives_ok
    assert licence.attribution_required
    with pytest.raises(Unlicensed):
        LicencePolicy().check(licence)


@pytest.mark.parametrize(
    "url",
    [f"{CC}/licenses/by/9.9/", f"{CC}/licenses/by/4.0/de/", f"{CC}/licenses/by/2.0/igo/", f"{CC}/licenses/",
     "https://evil.example/creativecommons.org/licenses/by/4.0/", "https://creativecommons.org.evil.example/licenses/by/4.0/",
     "http://[bad", "https://example.org/licenses/by/4.0/"],
)  # fmt: skip
def test_urls_that_are_no_licence_are_custom(url):
    assert parse_licence(url=url).licence_class is LicenceClass.CUSTOM


def test_a_url_and_a_name_that_contradict_each_other_are_custom():
    assert (
        parse_licence(url=f"{CC}/licenses/by/4.0/", name="CC BY-NC 4.0").licence_class is LicenceClass.CUSTOM
    )
    assert parse_licence(url=f"{CC}/licenses/by/4.0/", name="CC BY 3.0").licence_class is LicenceClass.CUSTOM
    assert (
        parse_licence(url=f"{CC}/licenses/by-nc/4.0/", name="pd", trusted=True).licence_class
        is LicenceClass.CUSTOM
    )
    assert parse_licence(url=f"{CC}/licenses/by/9.9/", name="CC BY 4.0").licence_class is LicenceClass.CUSTOM


def test_a_url_and_a_name_that_agree_keep_the_urls_port():
    licence = parse_licence(url=f"{CC}/licenses/by-sa/3.0/at/deed.de", name="CC BY-SA 3.0")
    assert (licence.id, licence.url) == ("CC-BY-SA-3.0-AT", f"{CC}/licenses/by-sa/3.0/at/")


@pytest.mark.parametrize("name", ["pd", "Public domain", "No restrictions", "PD-old", "PD-USGov"])
def test_public_domain_counts_only_from_a_trusted_source(name):
    assert parse_licence(name=name, trusted=True) == PUBLIC_DOMAIN
    assert parse_licence(name=name).licence_class is LicenceClass.CUSTOM


def test_vendor_terms_are_commercial_and_not_for_redistribution():
    licence = parse_licence(url="https://www.pexels.com/license/")
    assert (licence.id, licence.licence_class) == ("LicenseRef-Pexels", "commercial")
    assert not licence.standalone_redistribution_ok


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=6))
def test_no_text_at_all_breaks_the_reading_or_yields_rights_by_chance(url, name, version):
    licence = parse_licence(url, name, version)
    if licence.id == "LicenseRef-Unknown":
        assert licence.licence_class is LicenceClass.CUSTOM
    assert Licence.from_json(licence.to_json()) == licence


@pytest.mark.parametrize(
    ("name", "policy", "reason"),
    [
        ("CC BY-NC 4.0", LicencePolicy(), "commercial"),
        ("CC BY-ND 4.0", LicencePolicy(), "derivatives"),
        ("CC BY-SA 4.0", LicencePolicy(allow_share_alike=False), "share-alike"),
        ("CC BY 4.0", LicencePolicy(allow=frozenset({LicenceClass.FREE})), "leaves out"),
        ("CC BY-NC 4.0", LicencePolicy(commercial=False), "leaves out"),
        ("CC BY-NC-ND 4.0", LicencePolicy(allow=frozenset(LicenceClass), commercial=False), "derivatives"),
    ],
)
def test_a_policy_refuses_and_says_why(name, policy, reason):
    with pytest.raises(Unlicensed, match=reason):
        policy.check(parse_licence(name=name))


def test_a_policy_passes_with_the_duties_as_warnings():
    verdict = LicencePolicy().verdict(parse_licence(name="CC BY-SA 4.0"))
    assert verdict.ok
    assert any("CC BY-SA 4.0" in w for w in verdict.warnings)
    assert "credit is owed" in verdict.warnings
    assert LicencePolicy().verdict(CC0).warnings == ()
    private = LicencePolicy(allow=frozenset(LicenceClass), commercial=False)
    assert private.verdict(parse_licence(name="CC BY-NC 4.0")).ok


def test_a_policy_survives_json():
    policy = LicencePolicy(frozenset({LicenceClass.FREE}), allow_share_alike=False, commercial=False)
    assert LicencePolicy.from_json(policy.to_json()) == policy


def test_the_strictest_class_wins():
    mixed = [CC0, parse_licence(name="CC BY 4.0"), parse_licence(name="CC BY-NC 4.0")]
    assert strictest(mixed) is LicenceClass.NONCOMMERCIAL
    assert strictest([]) is LicenceClass.FREE


def test_credit_lines_carry_title_author_source_and_licence():
    by_sa = parse_licence(name="CC BY-SA 4.0")
    assert credit_line(
        title="Lake  at\ndawn", creator="Ann", creator_url="https://a.example/ann", source_url="https://a.example/1",
        licence=by_sa, changes="trimmed, scaled",
    ) == (
        '"Lake at dawn" by Ann (https://a.example/ann) (https://a.example/1) is licensed under CC BY-SA 4.0 '
        "(https://creativecommons.org/licenses/by-sa/4.0/). Changes: trimmed, scaled."
    )  # fmt: skip
    assert credit_line(title=None, creator="Ann", source_url=None, licence=CC0) == (
        "This work by Ann is marked with CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/)."
    )
    assert credit_line(title="Moon", creator=None, source_url="https://x.example", licence=PUBLIC_DOMAIN) == (
        '"Moon" (https://x.example) is in the public domain.'
    )


def test_an_address_in_the_place_of_a_name_is_read_as_one():
    assert parse_licence(name=f"{CC}/licenses/by/3.0/").id == "CC-BY-3.0"
    assert (
        parse_licence(f"{CC}/licenses/by/4.0/", f"{CC}/licenses/by-nc/4.0/").licence_class
        is LicenceClass.CUSTOM
    )
    assert parse_licence(name="https://evil.example/licenses/by/4.0/").licence_class is LicenceClass.CUSTOM


def test_credits_are_plain_text_of_one_line():
    by = parse_licence(name="CC BY 4.0")
    line = credit_line(
        title="<a href='x'>Lake</a> &amp; <b>sea</b>\x1b[31m\u202e", creator="Ann\n<br/>Other", source_url=None, licence=by
    )  # fmt: skip
    assert line.startswith('"Lake & sea [31m" by Ann Other is licensed under CC BY 4.0 (')
    # what stands in angle brackets and is no tag stays
    assert one_line("a < b > c <https://x.example/y>") == "a < b > c <https://x.example/y>"
    assert one_line(None) == ""


def test_a_sources_own_credit_is_completed_by_what_it_leaves_out():
    by = parse_licence(name="CC BY 4.0")
    deed = "https://creativecommons.org/licenses/by/4.0/"
    assert (
        own_credit("Rain by Jane, CC BY 4.0.", by, changes="trimmed")
        == f"Rain by Jane, CC BY 4.0 ({deed}). Changes: trimmed."
    )
    said = f'"Rain" by Jane is licensed under CC BY 4.0. To view a copy, visit {deed}.'
    assert own_credit(said, by) == said
    assert (
        own_credit("Photo by Ann on Unsplash", parse_licence(name="Unsplash License"))
        == "Photo by Ann on Unsplash"
    )
    assert own_credit("<i>Rain</i>", CC0, changes="cropped.") == "Rain. Changes: cropped."


def test_what_is_ones_own_passes_every_policy_and_no_source_can_say_so():
    own = Licence(OWN_WORK, None, LicenceClass.COMMERCIAL, "Own work")
    assert all(policy.verdict(own).ok for policy in POLICIES.values())
    assert parse_licence(name=OWN_WORK, trusted=True).licence_class is LicenceClass.CUSTOM


@pytest.mark.parametrize(
    ("name", "passing"),
    [
        ("CC0", {"commercial", "non-commercial", "public-domain-only"}),
        ("CC BY 4.0", {"commercial", "non-commercial"}),
        ("CC BY-SA 4.0", {"commercial", "non-commercial"}),
        ("Pexels License", {"commercial", "non-commercial"}),
        ("CC BY-NC 4.0", {"non-commercial"}),
        ("Mixkit Restricted License", {"non-commercial"}),
        ("CC BY-ND 4.0", set()),
        ("CC BY-NC-ND 4.0", set()),
        ("Sampling Plus 1.0", set()),
        ("GFDL 1.2", set()),
        ("who knows", set()),
    ],
)
def test_each_policy_takes_what_its_name_says(name, passing):
    licence = parse_licence(name=name)
    assert {key for key, policy in POLICIES.items() if policy.verdict(licence).ok} == passing
