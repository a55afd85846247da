"""Another workspace's ids do not exist: every address with an id, taken from the URL map."""

from __future__ import annotations

import io

import pytest

from app import create_app
from core.settings import Settings
from tests.app.seed import seed_house

BODIES = {
    "/api/v1/assets/<uuid:asset_id>/relationships": {"child_id": "{shot_id}", "kind": "uses"},
    "/api/v1/collections/<uuid:collection_id>/members": {"asset_id": "{asset_id}"},
    "/api/v1/projects/<uuid:project_id>/screenplay": {"text": "Stars."},
    "/api/v1/scripts/<uuid:script_id>/versions": {"text": "Stars."},
    "/api/v1/shots/<uuid:shot_id>/select-take": {"take_id": "{take_id}"},
    "/api/v1/shots/<uuid:shot_id>/takes": {"asset_id": "{asset_id}"},
    "/api/v1/approvals/<uuid:approval_id>/respond": {"verb": "approve"},
    "/api/v1/submissions/<uuid:submission_id>/resolve": {"outcome": "abandoned"},
    "/api/v1/submissions/<uuid:submission_id>/refund": {"amount": 1},
}


def addresses_with_ids():
    app = create_app(Settings(secret_key="s" * 32))
    return sorted(
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if "<uuid:" in rule.rule
    )


@pytest.fixture
def both(house, other):
    return house, other, seed_house(house), seed_house(other)


@pytest.mark.parametrize(("rule", "method"), addresses_with_ids())
def test_an_id_of_another_workspace_is_404_and_our_own_is_not(both, rule, method):
    house, other, own, foreign = both
    strange = call(house, rule, method, foreign)
    assert strange.status_code == 404, strange.text
    assert strange.json["code"] == "not_found"
    assert call(house, rule, method, own).status_code != 404
    assert call(other, rule, method, foreign).status_code != 404


def test_ids_of_another_workspace_inside_bodies_are_refused(both, film_job):
    house, _, own, foreign = both
    client = house.client
    film_job["project_id"] = str(foreign["project_id"])
    tries = [
        client.post("/api/v1/jobs", json=film_job),
        client.post("/api/v1/shots", json={"film_id": str(foreign["film_id"])}),
        client.get(f"/api/v1/shots?film_id={foreign['film_id']}"),
        client.post(
            "/api/v1/shots/reorder",
            json={"film_id": str(foreign["film_id"]), "shot_ids": [str(foreign["shot_id"])]},
        ),
        client.post(f"/api/v1/shots/{own['shot_id']}/select-take", json={"take_id": str(foreign["take_id"])}),
        client.patch(f"/api/v1/films/{own['film_id']}", json={"project_id": str(foreign["project_id"])}),
        client.post(
            f"/api/v1/collections/{own['collection_id']}/members",
            json={"asset_id": str(foreign["asset_id"])},
        ),
        client.post(
            f"/api/v1/assets/{own['asset_id']}/relationships",
            json={"child_id": str(foreign["asset_id"]), "kind": "uses"},
        ),
        client.put(
            "/api/v1/budgets",
            json={"scope": "project", "scope_id": str(foreign["project_id"]), "limit_amount": 1},
        ),
        client.post(
            "/api/v1/jobs",
            json={
                "kind": "text_removal",
                "params": {
                    "asset_id": str(foreign["asset_id"]),
                    "regions": [{"x": 0, "y": 0, "width": 1, "height": 0.1}],
                },
            },
        ),
        client.post(
            "/api/v1/scripts", json={"name": "x", "text": "y", "project_id": str(foreign["project_id"])}
        ),
    ]
    assert [answer.status_code for answer in tries] == [404] * len(tries)


def test_lists_show_our_own_only(both):
    house, other, _, foreign = both
    mine = {job["id"] for job in house.client.get("/api/v1/jobs").json["items"]}
    theirs = {job["id"] for job in other.client.get("/api/v1/jobs").json["items"]}
    assert mine
    assert theirs
    assert not mine & theirs
    listed = house.client.get(f"/api/v1/assets?collection_id={foreign['collection_id']}")
    assert listed.json["items"] == []


def call(house, rule, method, ids):
    address = rule
    for part in [p.split(">")[0] for p in rule.split("<")[1:]]:
        address = address.replace(f"<{part}>", str(ids[part.rpartition(":")[2]]))
    options = {"headers": {"If-Match": "*"}}
    if rule.endswith("/refund"):
        options["headers"]["Idempotency-Key"] = "credit-note"
    if rule.endswith("/diff"):
        address += "?from=1&to=1"
    if rule.endswith("/upload-script"):
        options["data"] = {"file": (io.BytesIO(b"Stars."), "stars.txt")}
    elif rule.endswith("/content"):
        options["data"] = b"bytes"
    elif method in {"POST", "PUT", "PATCH"} and rule in BODIES:
        options["json"] = {k: v.format(**ids) if isinstance(v, str) else v for k, v in BODIES[rule].items()}
    elif method == "PATCH":
        options["json"] = {"name": "Renamed"}
    return house.client.open(address, method=method, **options)
