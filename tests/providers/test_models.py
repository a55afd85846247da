"""Models as data: what a file may say, what is refused, and every card against its own examples."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from core.errors import Misconfigured, Rejected
from core.registry import PROVIDERS
from core.settings import ROOT
from providers.models import load, read

TODAY = date(2026, 11, 21)
FILES = sorted((ROOT / "providers").glob("*.toml"))
EXAMPLE = """
[[models]]
id = "new-2"
capabilities = ["text_to_video", "image_to_video"]
durations = [5, 10]
resolutions = ["720p", "1080p"]
sizes = ["1280x720", "1920x1080", "720x1280"]
ratios = ["16:9", "9:16", "1:1"]
quality = 4
released = 2026-01-01
limits = { prompt = 20, image_bytes = 10 }
[models.price]
unit = "second"
amounts = { "720p" = 84_000, "1080p" = 112_000 }
source = "the vendor's page"
checked_on = 2026-11-01
expires_at = 2027-05-01
examples = [{ seconds = 5, resolution = "720p", cost = 420_000 }]

[[models]]
id = "old-1"
capabilities = ["text_to_video"]
retires_at = 2026-11-21
replaced_by = "new-2"
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "acme.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def acme(written):
    return read(written(EXAMPLE))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_rate_card_gives_its_own_worked_examples(path):
    models = load(path.stem)
    assert path.stem in PROVIDERS.slugs()
    for model in models.all:
        if model.price is not None:
            assert model.price.examples
            for example in model.price.examples:
                quantity = example.quantity(model.price.unit)
                cost = model.price.cost(quantity, example.resolution, audio=example.audio)
                assert cost == example.cost
            priced = model.price.with_audio is not None or model.price.amounts_with_audio
            assert any(example.audio for example in model.price.examples) is bool(priced)
            assert not priced or model.audio == "asked", "what always sounds has one price"


def test_a_model_is_priced_by_its_card_and_the_quote_says_where_it_was_read(acme):
    quote = acme.price("new-2", 10, "1080p", today=TODAY)
    assert (quote.amount, quote.currency, quote.known) == (1_120_000, "USD", True)
    assert "the vendor's page" in quote.basis
    assert "2026-11-01" in quote.basis


def test_a_card_that_was_found_right_later_is_in_force_for_as_long_again(acme):
    later = {"today": date(2027, 5, 1)}
    quote = acme.price("new-2", 5, "720p", **later, checked_on=date(2027, 4, 20))
    assert (quote.known, quote.amount) == (True, acme.price("new-2", 5, "720p", **later).amount)
    assert "list price of 2027-04-20" in quote.basis
    price = acme.find("new-2").price
    again = price.confirmed(date(2027, 4, 20))
    assert again.expires_at - again.checked_on == price.expires_at - price.checked_on
    assert not acme.price("new-2", 5, "720p", **later, checked_on=date(2026, 10, 1)).known, "it is older"
    assert replace(price, expires_at=date.max).confirmed(date(2027, 4, 20)).expires_at == date.max


def test_a_card_that_has_expired_still_computes_and_is_not_known(acme):
    assert acme.price("new-2", 5, "720p", today=date(2027, 4, 30)).known
    quote = acme.price("new-2", 5, "720p", today=date(2027, 5, 1))
    assert (quote.amount, quote.known) == (420_000, False)
    assert "expired on 2027-05-01" in quote.basis


SOUNDING = EXAMPLE.replace("quality = 4", 'audio = "asked"\nquality = 4').replace(
    'source = "the vendor', 'amounts_with_audio = { "720p" = 126_000 }\nsource = "the vendor'
)


def test_sound_that_is_asked_for_has_its_own_price_where_the_card_knows_it(written):
    model = read(written(SOUNDING)).find("new-2")
    told = {}
    for audio in (False, True):
        for key in ("720p", "1080p"):
            quote = model.quote(5, key, today=TODAY, audio=audio)
            told[audio, key] = (quote.amount, quote.known)
    assert told == {
        (False, "720p"): (420_000, True), (False, "1080p"): (560_000, True),
        (True, "720p"): (630_000, True), (True, "1080p"): (560_000, False),
    }  # fmt: skip
    assert "720p with sound" in model.quote(5, "720p", today=TODAY, audio=True).basis
    assert "with sound its price is not known" in model.quote(5, "1080p", today=TODAY, audio=True).basis
    stale = model.quote(5, "720p", today=date(2027, 5, 1), audio=True)
    assert (stale.amount, stale.known) == (630_000, False)


def test_what_always_makes_sound_costs_what_the_card_says(written):
    model = read(written(SOUNDING.replace('audio = "asked"', "audio = true"))).find("new-2")
    quote = model.quote(5, "1080p", today=TODAY, audio=True)
    assert (quote.amount, quote.known) == (560_000, True)


@pytest.mark.parametrize(
    ("line", "able"), [('audio = "asked"', True), ("audio = true", True), ("audio = false", False)]
)
def test_sound_is_refused_by_a_model_that_makes_none_and_only_when_it_is_asked_for(written, line, able):
    model = read(written(EXAMPLE.replace("quality = 4", line))).find("new-2")
    model.check_audio(False)
    if able:
        model.check_audio(True)
        return
    with pytest.raises(Rejected, match="makes no sound") as caught:
        model.check_audio(True)
    assert (caught.value.code, caught.value.field) == ("no_sound", "audio")


def test_a_model_without_a_card_has_no_known_price(acme):
    quote = acme.price("old-1", 5, today=date(2026, 11, 20))
    assert (quote.amount, quote.known) == (0, False)


def test_a_model_is_refused_from_the_day_it_retires_and_its_replacement_named(acme):
    assert acme.get("old-1", date(2026, 11, 20)).id == "old-1"
    with pytest.raises(Rejected, match="Use new-2") as caught:
        acme.get("old-1", TODAY)
    assert (caught.value.code, caught.value.field) == ("retired", "model")
    assert acme.find("old-1").id == "old-1", "what is open there is read to its end"


def test_an_unknown_model_is_refused_with_the_known_ones(acme):
    with pytest.raises(Rejected, match="new-2, old-1") as caught:
        acme.get("new-3", TODAY)
    assert (caught.value.code, caught.value.field) == ("unknown_model", "model")


def test_a_price_may_be_less_than_a_micro_unit_apiece_and_is_rounded_up(written):
    card = EXAMPLE.replace(
        """amounts = { "720p" = 84_000, "1080p" = 112_000 }""", "amount = 150_000\nper = 1_000_000"
    )
    card = card.replace("""unit = "second\"""", """unit = "token\"""")
    card = card.replace("""seconds = 5, resolution = "720p", cost = 420_000""", "tokens = 10, cost = 2")
    models = read(written(card))
    assert models.price("new-2", 1_000_000, today=TODAY).amount == 150_000
    assert models.price("new-2", 7, today=TODAY).amount == 2


@pytest.mark.parametrize(
    ("needed", "seconds"), [(0.5, 5), (5.0, 5), (5.09, 5), (5.1, 10), (10.0, 10), (10.05, 10)]
)
def test_the_shortest_film_that_fills_the_shot_is_chosen(acme, needed, seconds):
    assert acme.get("new-2", TODAY).seconds_for(needed) == seconds


def test_a_shot_longer_than_any_film_is_refused_with_the_lengths_there_are(acme):
    with pytest.raises(Rejected, match="5, 10 s") as caught:
        acme.get("new-2", TODAY).seconds_for(10.1)
    assert (caught.value.code, caught.value.field) == ("too_long", "frames")
    assert acme.find("old-1").seconds_for(90.2) == 91, "a model that names no lengths makes any"


@pytest.mark.parametrize(
    ("width", "height", "resolution", "size", "ratio"),
    [
        (426, 240, "720p", "1280x720", "16:9"),
        (1280, 720, "720p", "1280x720", "16:9"),
        (1920, 1080, "1080p", "1920x1080", "16:9"),
        (3840, 2160, "1080p", "1920x1080", "16:9"),
        (1080, 1920, "1080p", "720x1280", "9:16"),
        (1080, 1350, "1080p", "720x1280", "1:1"),
    ],
)
def test_the_nearest_shape_and_the_smallest_size_that_covers_it_are_chosen(
    acme, width, height, resolution, size, ratio
):
    model = acme.get("new-2", TODAY)
    assert model.resolution_for(width, height) == resolution
    assert model.size_for(width, height) == size
    assert model.ratio_for(width, height) == ratio


def test_a_prompt_and_a_picture_beyond_the_limits_are_refused_with_field_and_limit(acme, tmp_path):
    model, picture = acme.get("new-2", TODAY), tmp_path / "a.png"
    picture.write_bytes(b"x" * 10)
    assert model.check_prompt("x" * 20) == "x" * 20
    model.check_image(picture)
    picture.write_bytes(b"x" * 11)
    with pytest.raises(Rejected, match="at most 10 bytes; this one has 11") as caught:
        model.check_image(picture)
    assert (caught.value.code, caught.value.field) == ("too_large", "reference")
    with pytest.raises(Rejected, match="text_to_video") as caught:
        acme.find("old-1").check_image(picture)
    assert caught.value.code == "no_reference"
    for prompt in ("x" * 21, "  "):
        with pytest.raises(Rejected) as caught:
            model.check_prompt(prompt)
        assert caught.value.field == "prompt"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("durations = [5, 10]", "durations = [10, 5]", r"new-2.*`durations` go up"),
        ("durations = [5, 10]", 'durations = ["5"]', r"new-2.durations.0.*integer"),
        ("quality = 4", "quality = 6", r"new-2.quality.*less than or equal to 5"),
        ("quality = 4", "qualty = 4", r"new-2.qualty.*[Uu]nexpected"),
        ('"image_to_video"', '"image2video"', r"new-2.capabilities.1.*image_to_video"),
        ('"720p", "1080p"', '"HD"', r"new-2.*no resolution such as 720p"),
        ('"1:1"]', '"square"]', r"new-2.*no ratio such as 16:9"),
        ("cost = 420_000", "cost = 420_001", r"new-2.price.*costs 420000 by this card"),
        ('{ seconds = 5, resolution = "720p", cost = 420_000 }', "", r"new-2.price.*worked example"),
        ('resolution = "720p", cost', "cost", r"new-2.price.*no price for '', only for: 720p, 1080p"),
        ("{ seconds = 5,", "{ tokens = 5,", r"new-2.price.*says how many seconds"),
        ("84_000", "84_000.5", r"new-2.price.amounts.720p.*integer"),
        ("expires_at = 2027-05-01", "expires_at = 2026-11-01", r"new-2.price.*after `checked_on`"),
        ('source = "the vendor\'s page"', "", r"new-2.price.source.*missing|required"),
        ('unit = "second"', 'unit = "second"\namount = 1', r"new-2.price.*either `amount` or `amounts`"),
        ('id = "old-1"', 'id = "new-2"', r"two models share an id"),
        ('id = "old-1"', "", r"model 2.id.*required"),
        ("[[models]]", "[[model]]", r"'model' is not known"),
        ("quality = 4", 'audio = "often"', r"new-2.audio"),
        (
            'unit = "second"',
            'unit = "second"\nwith_audio = 1\namounts_with_audio = { "720p" = 1 }',
            r"new-2.price.*either `with_audio` or",
        ),
        ("cost = 420_000", "audio = true, cost = 420_000", r"new-2.price.*no price for '720p' with its own"),
        ("quality = 4", "quality =", r"cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_model_and_field(written, old, new, told):
    assert old in EXAMPLE
    with pytest.raises(Misconfigured, match=rf"(?s)^acme.toml.*{told}"):
        read(written(EXAMPLE.replace(old, new)))


def test_a_vendor_without_a_file_says_so(tmp_path):
    with pytest.raises(Misconfigured, match=r"acme.toml cannot be read"):
        read(tmp_path / "acme.toml")
