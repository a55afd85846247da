"""Providers over the API: what they can make, at what price, and whether they can be asked now."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import func

from core.limits import FAILURES_TO_OPEN
from core.registry import PROVIDERS
from core.settings import get_settings
from db.session import transaction
from db.submissions import Submission, SubmissionState
from db.work import Heartbeat
from providers.models import has_models
from tasks import limits
from tests.app.seed import seed_house
from tests.vendors_made_up import installed, model, write_vendor


@pytest.fixture
def heard(client):
    """A worker that has said of every provider whether it is on; Kling is."""
    said = {
        slug: {"enabled": slug in ("kling", "local"), "reason": None if slug == "kling" else "Set its key.",
               "kinds": [adapter.kind]}
        for slug, adapter in PROVIDERS.all().items()
    }  # fmt: skip
    with transaction() as session:
        session.merge(Heartbeat(name="worker:media", facts={"providers": said}, beaten_at=func.now()))


def shown(client, slug="kling"):
    items = client.get("/api/v1/providers").json["items"]
    return next(item for item in items if item["slug"] == slug)


def test_a_provider_shows_its_models_with_what_they_can_and_where_the_price_was_read(
    client, heard, monkeypatch
):
    monkeypatch.delenv("KLING_PRICES_CHECKED_ON")
    get_settings.cache_clear()
    kling = shown(client)
    assert kling["enabled"] is True
    assert "text_to_video" in kling["capabilities"]
    (default,) = [one for one in kling["models"] if one["default"]]
    assert default["id"] == "kling-3.0"
    assert default["durations"] == list(range(3, 16))
    assert default["ratios"] == ["16:9", "9:16", "1:1"]
    assert default["price"]["amounts"]["720p"] == 84_000
    assert (default["audio"], default["price"]["amounts_with_audio"]["720p"]) == (True, 126_000)
    assert default["price"]["checked_on"] == "2026-11-11"
    assert default["price"]["source"]
    (unpriced,) = [one for one in kling["models"] if one["id"] == "kling-3.0-turbo"]
    assert unpriced["price"] is None


def test_every_provider_with_a_file_of_models_shows_them(client, heard):
    items = {item["slug"]: item for item in client.get("/api/v1/providers").json["items"]}
    assert set(items) == set(PROVIDERS.slugs())
    for slug, item in items.items():
        assert bool(item["models"]) is has_models(slug)
        assert sum(one["default"] for one in item["models"]) == has_models(slug)


def test_what_is_off_says_why_and_what_is_retired_or_expired_says_since_when(client, heard, tmp_path):
    assert shown(client, "fal")["health"]["status"] == "disabled"
    assert shown(client, "fal")["reason"] == "Set its key."
    old = model("a-old", amount=1, expired=True, retires_at="2026-01-01", replaced_by="a-new")
    write_vendor(tmp_path, "acme", model("a-new", amount=2, capabilities=["text_to_video"]), old)
    with installed(tmp_path):
        with transaction() as session:
            facts = {"providers": {"acme": {"enabled": True, "reason": None, "kinds": ["video"]}}}
            session.merge(Heartbeat(name="worker:media", facts=facts, beaten_at=func.now()))
        new, retired = shown(client, "acme")["models"]
    assert (new["retired"], new["price"]["expired"]) == (False, False)
    assert (retired["retired"], retired["retires_at"], retired["replaced_by"]) == (
        True,
        "2026-01-01",
        "a-new",
    )
    assert retired["price"]["expired"] is True


def test_a_vendor_that_does_not_answer_shows_an_open_circuit(client, heard):
    assert shown(client)["circuit"] == {"state": "closed", "failures": 0, "seconds": 0.0}
    assert shown(client)["health"]["status"] == "unknown"
    for _ in range(FAILURES_TO_OPEN):
        limits.limiter().failed("kling")
    kling = shown(client)
    assert (kling["circuit"]["state"], kling["circuit"]["failures"]) == ("open", FAILURES_TO_OPEN)
    assert kling["circuit"]["seconds"] > 0
    assert kling["health"]["status"] == "failing"


@pytest.mark.parametrize(
    ("state", "status", "counts"),
    [(SubmissionState.SUCCEEDED, "ok", (1, 0)), (SubmissionState.FAILED, "failing", (0, 1))],
)
def test_health_follows_how_the_days_submissions_of_this_workspace_ended(
    client, house, other, heard, state, status, counts
):
    seeded = seed_house(house)
    with transaction() as session:
        row = session.get_one(Submission, seeded["submission_id"])
        row.state, row.vendor_id, row.finished_at = state, "v-1", func.now()
        row.next_poll_at = None
    health = shown(client)["health"]
    assert (health["status"], (health["succeeded"], health["failed"])) == (status, counts)
    assert shown(other.client)["health"]["status"] == "unknown"


def test_the_answer_is_what_the_openapi_document_says(client, heard):
    document = client.get("/api/v1/openapi.json").json
    schema = {"$ref": "#/components/schemas/ProvidersOut", "components": document["components"]}
    Draft202012Validator(schema).validate(client.get("/api/v1/providers").json)
    asked = document["paths"]["/api/v1/providers"]["get"]["responses"]["200"]
    assert asked["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ProvidersOut"}
    for name in ("ProviderOut", "ModelOut", "PriceOut", "CircuitOut"):
        properties = document["components"]["schemas"][name]["properties"]
        assert set(document["components"]["schemas"][name]["required"]) == set(properties)
