"""What every adapter promises, asked of all that the registry finds: a new file is under contract at once."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import Rejected
from core.registry import PROVIDERS
from core.settings import Settings, VendorSettings
from providers import base
from providers.base import Context, RemovalRequest, VideoRequest
from providers.models import has_models, load
from simulator.app import DIALECTS

TODAY = date(2026, 11, 21)
PROTOCOLS = {
    "script": base.ScriptWriter,
    "speech": base.SpeechProvider,
    "video": base.VideoProvider,
    "text_removal": base.TextRemover,
    "moderation": getattr(base, "Moderator", None),
    "notification": getattr(base, "Notifier", None),
}
NAMED_OTHERWISE = {"none": "unmoderated"}
"""Files that are not named for their slug: `none` is what settings say, and no name for a file."""
ALL = PROVIDERS.all()
REMOTE = {slug: adapter for slug, adapter in ALL.items() if adapter.kind in ("video", "text_removal")}
VENDORS = {slug: adapter for slug, adapter in REMOTE.items() if not adapter.local}
FILMS = [
    (slug, model) for slug, adapter in VENDORS.items() if adapter.kind == "video" for model in adapter.models
]
SHOT = VideoRequest("shot", "A fox in the snow", width=1280, height=720, fps=24, frames=96)
CLIP = RemovalRequest(
    url="https://example.test/a.mp4", clip=Path("clip.mp4"), width=640, height=360, duration=5.0, regions=()
)
NOBODY_IS_CALLED = SimpleNamespace()
"""An HTTP client without any method: whoever uses it fails."""

TALKERS = [slug for slug, adapter in ALL.items() if issubclass(adapter, base.Vendor)]
every_talker = pytest.mark.parametrize("slug", TALKERS)
every = pytest.mark.parametrize("slug", ALL)
every_remote = pytest.mark.parametrize("slug", REMOTE)
every_vendor = pytest.mark.parametrize("slug", VENDORS)
LIVE = [(slug, model) for slug, model in FILMS if not load(slug).find(model).retired(TODAY)]
every_live_model = pytest.mark.parametrize(("slug", "model"), LIVE)
every_film_model = pytest.mark.parametrize(("slug", "model"), FILMS)


def own(slug: str, **more) -> VendorSettings:
    """What the simulator says a vendor needs, without its address: the vendor's own is meant."""
    said = {name.lower(): value for name, value in DIALECTS.get(slug).settings.items() if name != "URL"}
    return VendorSettings(**{**said, **more})


def opened(slug: str, model: str | None = None, **more):
    context = Context(NOBODY_IS_CALLED, Settings(), own=own(slug, **more), model=model, today=TODAY)
    return ALL[slug](context)


@every
def test_the_file_is_named_for_the_slug_and_says_what_it_makes(slug):
    adapter = ALL[slug]
    assert adapter.__module__ == f"providers.{NAMED_OTHERWISE.get(slug, slug)}"
    assert adapter.slug == slug
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,63}", slug)
    assert adapter.kind in PROTOCOLS


@every
def test_the_fact_sheet_names_vendor_day_keys_and_bill(slug):
    sheet = sys.modules[ALL[slug].__module__].__doc__ or ""
    for fact in ("Vendor:", "Auth:", "Limits:", "Billing:"):
        assert fact in sheet, f"the docstring of providers/{slug}.py lacks {fact!r}"
    if "Vendor: none" not in sheet:
        assert re.search(r"read\s+\d{4}-\d{2}", sheet), "when was the vendor's page read?"
        assert re.search(r"Vendor: .*\w\.\w", sheet), "where?"


@every
def test_it_keeps_its_kinds_protocol(slug):
    adapter = ALL[slug]
    protocol = PROTOCOLS[adapter.kind]
    assert protocol is not None, f"providers.base has no protocol for {adapter.kind}"
    for name, promised in inspect.getmembers(protocol, callable):
        if name.startswith("_") and name != "__init__":
            continue
        given = list(inspect.signature(getattr(adapter, name)).parameters)
        assert given == list(inspect.signature(promised).parameters), f"{adapter.__name__}.{name}"


@every
def test_it_is_on_or_names_the_setting_that_switches_it_on(slug, monkeypatch):
    for name in VendorSettings.model_fields:
        monkeypatch.delenv(f"{slug}_{name}".upper(), raising=False)
    reason = ALL[slug].enabled(Settings(_env_file=None))
    if reason is not None:
        assert re.search(r"\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b", reason), reason
        assert reason.endswith("."), "a sentence"


@every
def test_its_models_are_data_and_the_ones_it_names(slug):
    if not has_models(slug):
        assert slug not in REMOTE, f"a vendor's models and prices stand in providers/{slug}.toml"
        return
    models = load(slug)
    named = getattr(ALL[slug], "models", models.ids)
    assert tuple(named) == models.ids
    for model in models.all:
        assert model.price is None or model.price.source


@every_remote
def test_what_is_asked_for_in_its_own_time_tells_its_bounds(slug):
    adapter = REMOTE[slug]
    assert adapter.batch >= 1
    assert adapter.limits.poll_seconds > 0
    assert min(adapter.limits.per_minute, adapter.limits.at_once) >= 0
    assert isinstance(adapter.can_look_up, bool)
    assert adapter.models


@every_talker
def test_the_simulator_speaks_it_and_says_what_leads_there(slug):
    assert slug in DIALECTS.slugs(), f"simulator/{slug}.py is missing"
    led = VendorSettings(
        **{
            name.lower(): value.format(here=f"http://127.0.0.1:1/{slug}")
            for name, value in DIALECTS.get(slug).settings.items()
        }
    )
    assert ALL[slug].usable(led) is None
    context = Context(NOBODY_IS_CALLED, Settings(), own=led, today=TODAY)
    assert ALL[slug](context).endpoint.startswith(f"http://127.0.0.1:1/{slug}")


@every_vendor
def test_a_model_nobody_knows_is_refused_with_those_that_are_known(slug, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"film")
    ask = SHOT if VENDORS[slug].kind == "video" else replace(CLIP, clip=clip)
    with pytest.raises(Rejected) as caught:
        opened(slug, "no-such-model").quote(ask)
    assert (caught.value.code, caught.value.field) == ("unknown_model", "model")
    assert load(slug).ids[0] in caught.value.message


@every_film_model
def test_a_take_is_priced_by_its_card_or_refused_with_the_field(slug, model, tmp_path):
    facts, vendor = load(slug).find(model), opened(slug, model)
    if facts.retired(TODAY):
        with pytest.raises(Rejected) as caught:
            vendor.quote(SHOT)
        assert (caught.value.code, caught.value.field) == ("retired", "model")
        return
    ask = SHOT
    if not facts.can("text_to_video"):
        picture = tmp_path / "a.png"
        picture.write_bytes(PNG)
        ask = replace(SHOT, image=picture)
    quote = vendor.quote(ask)
    assert quote.known is (facts.price is not None and facts.price.expires_at > TODAY)
    assert quote.basis
    assert quote.amount > 0 or not quote.known
    refused = {"prompt": replace(ask, prompt=" ")}
    if facts.durations:
        refused["frames"] = replace(ask, frames=24 * (facts.durations[-1] + 1))
    if facts.limits.prompt:
        refused["prompt "] = replace(ask, prompt="x" * (facts.limits.prompt + 1))
    for field, asked in refused.items():
        with pytest.raises(Rejected) as caught:
            vendor.quote(asked)
        assert caught.value.field == field.strip()


@every_live_model
def test_a_picture_is_taken_up_to_the_limit_or_refused_with_the_field(slug, model, tmp_path):
    facts = load(slug).find(model)
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    vendor = opened(slug, model)
    if not facts.can("image_to_video"):
        with pytest.raises(Rejected) as caught:
            vendor.quote(replace(SHOT, image=picture))
        assert caught.value.field == "reference"
        return
    assert vendor.quote(replace(SHOT, image=picture)).basis
    if facts.limits.image_bytes:
        with picture.open("r+b") as stream:
            stream.truncate(facts.limits.image_bytes + 1)
        with pytest.raises(Rejected) as caught:
            vendor.quote(replace(SHOT, image=picture))
        assert (caught.value.code, caught.value.field) == ("too_large", "reference")


@every_vendor
def test_a_callback_that_nobody_signed_is_refused(slug):
    vendor = opened(slug, webhook_secret="whsec_dGhpcyBpcyBhIHNlY3JldCBvZiB0ZXN0cw==")
    with pytest.raises(Rejected):
        vendor.parse_callback({}, b'{"id": "1", "status": "succeeded"}', 1_795_000_000.0)


def _png() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (1280, 720), "navy").save(out, "PNG")
    return out.getvalue()


PNG = _png()
