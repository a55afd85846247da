"""Projects, scripts, shots, takes, assets, keys and caps through the door."""

from __future__ import annotations

import io
import zipfile

import pytest

from core.likeness import Fingerprint, HashAlgo
from db.assets import Image
from db.session import transaction
from services.fingerprints import add_hashes
from tests.app.seed import seed_house


@pytest.fixture
def ids(house):
    return seed_house(house)


def test_a_project_is_made_changed_and_deleted(client):
    made = client.post("/api/v1/projects", json={"name": "Moon", "budget": 5_000_000})
    assert made.status_code == 201
    address = made.headers["Location"]
    changed = client.patch(address, json={"stage": "production"})
    assert changed.json["stage"] == "production"
    assert changed.json["revision"] == 2
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_of_two_editors_with_one_etag_the_second_is_stopped(client, ids):
    for address in (f"/api/v1/projects/{ids['project_id']}", f"/api/v1/shots/{ids['shot_id']}"):
        tag = client.get(address).headers["ETag"]
        first = client.patch(address, json={"name": "First"}, headers={"If-Match": tag})
        assert first.status_code == 200
        assert first.headers["ETag"] != tag
        second = client.patch(address, json={"name": "Second"}, headers={"If-Match": tag})
        assert second.status_code == 412
        assert second.json["code"] == "stale_revision"
        assert client.get(address).json["name"] == "First"


def test_scripts_and_shots_cannot_be_edited_blindly(client, ids):
    for method, address, body in (
        ("PATCH", f"/api/v1/shots/{ids['shot_id']}", {"name": "x"}),
        ("DELETE", f"/api/v1/shots/{ids['shot_id']}", None),
        ("PATCH", f"/api/v1/scripts/{ids['script_id']}", {"name": "x"}),
        ("POST", f"/api/v1/scripts/{ids['script_id']}/versions", {"text": "x"}),
    ):
        answer = client.open(address, method=method, json=body)
        assert answer.status_code == 428, (method, address)
        assert answer.json["code"] == "revision_required"


@pytest.mark.parametrize("tag", ["1", "", '"1', '"1", "2"'])
def test_an_if_match_that_is_no_etag_is_refused(client, ids, tag):
    answer = client.patch(f"/api/v1/shots/{ids['shot_id']}", json={"name": "x"}, headers={"If-Match": tag})
    assert answer.status_code == 422
    assert "If-Match" in answer.json["errors"]


def test_an_unchanged_resource_is_304(client, ids):
    address = f"/api/v1/films/{ids['film_id']}"
    tag = client.get(address).headers["ETag"]
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304


def test_a_script_keeps_every_version_and_restores_by_appending(client):
    made = client.post("/api/v1/scripts", json={"name": "Up", "text": "Stars.\n\nMoon."})
    assert made.status_code == 201, made.text
    address = made.headers["Location"]
    tag = made.headers["ETag"]
    second = client.post(f"{address}/versions", json={"text": "Stars.\n\nSun."}, headers={"If-Match": tag})
    assert second.json["number"] == 2
    stale = client.post(f"{address}/versions", json={"text": "Rain."}, headers={"If-Match": tag})
    assert stale.status_code == 412
    diff = client.get(f"{address}/diff?from=1&to=2").json
    assert "-Moon." in diff["diff"]
    assert "+Sun." in diff["diff"]
    restored = client.post(f"{address}/versions/1/restore", headers={"If-Match": "*"})
    assert restored.json["number"] == 3
    assert restored.json["origin"] == "restored:1"
    assert client.get(address).json["version"]["text"] == "Stars.\n\nMoon."
    numbers = [v["number"] for v in client.get(f"{address}/versions").json["items"]]
    assert numbers == [3, 2, 1]
    assert client.get(f"{address}/versions/9").status_code == 404


def test_a_script_that_cannot_be_read_names_the_line(client):
    answer = client.post("/api/v1/scripts", json={"name": "Up", "text": "Stars.\n\n[camera: fly]\nMoon."})
    assert answer.status_code == 422
    assert "line" in answer.json["detail"].lower()
    assert client.get("/api/v1/scripts").json["items"] == []


def docx(*paragraphs: str) -> bytes:
    inside = "".join(f"<w:p><w:r><w:t>{p}</w:t></w:r></w:p>" for p in paragraphs)
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{namespace}"><w:body>{inside}</w:body></w:document>'
        )
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", b"Stars.\r\n\r\nMoon.", "Stars.\n\nMoon."),
        ("a.md", b"# Up\n\nStars.", "# Up\n\nStars."),
        ("a.fountain", b"INT. ROOM - NIGHT\n\nStars.", "INT. ROOM - NIGHT\n\nStars."),
        ("A.DOCX", docx("Stars.", "Moon."), "Stars.\n\nMoon."),
        ("utf16.txt", "Sterne über uns.".encode("utf-16"), "Sterne über uns."),
    ],
)
def test_script_files_become_versions_of_the_projects_script(client, ids, name, content, text):
    address = f"/api/v1/projects/{ids['project_id']}/upload-script"
    answer = client.post(address, data={"file": (io.BytesIO(content), name)})
    assert answer.status_code == 201, answer.text
    assert answer.json["text"] == text
    again = client.post(f"/api/v1/projects/{ids['project_id']}/screenplay", json={"text": "Another night."})
    assert again.json["number"] == 2
    assert again.json["script_id"] == answer.json["script_id"] != str(ids["script_id"])


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdf", b"%PDF"),
        ("noname", b"Stars."),
        ("a.txt", b""),
        ("a.txt", b" \n "),
        ("a.txt", b"\xff\xff\xff"),
        ("a.txt", b"a\x00b"),
        ("a.txt", b"x" * 300_000),
        ("a.docx", b"not a zip"),
        ("a.docx", docx()),
    ],
)
def test_files_that_are_no_script_are_refused_by_field(client, ids, name, content):
    address = f"/api/v1/projects/{ids['project_id']}/upload-script"
    answer = client.post(address, data={"file": (io.BytesIO(content), name)})
    assert answer.status_code == 422, answer.text
    assert "file" in answer.json["errors"]


def test_a_word_file_with_a_dtd_is_refused(client, ids):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", BOMB)
    out.seek(0)
    address = f"/api/v1/projects/{ids['project_id']}/upload-script"
    assert client.post(address, data={"file": (out, "a.docx")}).status_code == 422


def test_a_shot_says_whether_the_film_has_its_takes_own_sound(client, ids):
    address = f"/api/v1/shots/{ids['shot_id']}"
    assert client.get(address).json["audio"] is None
    for value in (True, False, None):
        tag = client.get(address).headers["ETag"]
        changed = client.patch(address, json={"audio": value}, headers={"If-Match": tag})
        assert (changed.status_code, changed.json["audio"]) == (200, value)
    tag = changed.headers["ETag"]
    for value in ("yes", 1, "true"):
        refused = client.patch(address, json={"audio": value}, headers={"If-Match": tag})
        assert refused.status_code == 422
        assert "audio" in refused.json["errors"]
    made = client.post("/api/v1/shots", json={"film_id": str(ids["film_id"]), "audio": True})
    assert (made.status_code, made.json["audio"]) == (201, True)


def test_shots_are_inserted_reordered_and_taken_out(client, ids):
    film = str(ids["film_id"])
    first = str(ids["shot_id"])
    last = client.post("/api/v1/shots", json={"film_id": film, "name": "Last"}).json["id"]
    front = client.post("/api/v1/shots", json={"film_id": film, "name": "Front", "position": 0}).json["id"]

    def order():
        return [shot["id"] for shot in client.get(f"/api/v1/shots?film_id={film}").json["items"]]

    assert order() == [front, first, last]
    asked = [last, front, first]
    answer = client.post("/api/v1/shots/reorder", json={"film_id": film, "shot_ids": asked})
    assert answer.status_code == 200
    assert order() == asked
    for wrong in ([last, front], [last, front, front], [*asked, str(ids["take_id"])]):
        answer = client.post("/api/v1/shots/reorder", json={"film_id": film, "shot_ids": wrong})
        assert answer.status_code == 422
    assert client.delete(f"/api/v1/shots/{front}", headers={"If-Match": "*"}).status_code == 204
    assert order() == [last, first]


def test_a_take_is_selected_and_judged(client, ids):
    shot = f"/api/v1/shots/{ids['shot_id']}"
    answer = client.post(f"{shot}/select-take", json={"take_id": str(ids["take_id"])})
    assert answer.json["selected_take_id"] == str(ids["take_id"])
    assert [t["number"] for t in client.get(f"{shot}/takes").json["items"]] == [1]
    judged = client.patch(f"/api/v1/takes/{ids['take_id']}", json={"validation": "approved"})
    assert judged.json["validation"] == "approved"
    other_shot = client.post("/api/v1/shots", json={"film_id": str(ids["film_id"])}).json["id"]
    wrong = client.post(f"/api/v1/shots/{other_shot}/select-take", json={"take_id": str(ids["take_id"])})
    assert wrong.status_code == 422


def test_assets_are_found_by_kind_tag_text_licence_and_collection(client, ids):
    address = f"/api/v1/assets/{ids['asset_id']}"
    tagged = client.patch(address, json={"tags": ["Night ", "night", "Sky"], "description": "100% moon"})
    assert tagged.json["tags"] == ["night", "sky"]
    assert tagged.json["origin"]["licence"] == "CC0-1.0"

    def found(**filters):
        return [a["id"] for a in client.get("/api/v1/assets", query_string=filters).json["items"]]

    here = [str(ids["asset_id"])]
    assert found(kind="clip") == here
    assert found(tag="sky") == here
    assert found(text="100%") == here
    assert found(text="100_") == []
    assert found(licence="CC0-1.0") == here
    assert found(licence="free") == here
    assert found(licence="CC-BY-4.0") == []
    assert found(collection_id=ids["collection_id"]) == here
    assert [t["name"] for t in client.get("/api/v1/tags?sort=created").json["items"]] == ["night", "sky"]
    assert client.get("/api/v1/assets?kind=dream").status_code == 422


def test_relationships_are_made_once_and_shown_from_both_sides(client, ids):
    address = f"/api/v1/assets/{ids['film_id']}/relationships"
    body = {"child_id": str(ids["asset_id"]), "kind": "uses", "label": "title shot"}
    first = client.post(address, json=body).json["id"]
    assert client.post(address, json=body).json["id"] == first
    seen = client.get(f"/api/v1/assets/{ids['asset_id']}/relationships").json["items"]
    assert [r["id"] for r in seen] == [first]


def test_a_new_key_is_shown_once_and_works_until_it_is_revoked(client, anonymous):
    made = client.post("/api/v1/api-keys", json={"name": "ci", "scopes": ["read"]})
    assert made.status_code == 201
    key = made.json["key"]
    assert key.startswith(made.json["prefix"])
    listed = client.get("/api/v1/api-keys")
    assert key not in listed.text
    assert anonymous.get("/api/v1/jobs", headers={"X-API-Key": key}).status_code == 200
    assert client.delete(f"/api/v1/api-keys/{made.json['id']}").status_code == 204
    assert anonymous.get("/api/v1/jobs", headers={"X-API-Key": key}).status_code == 401


def test_caps_are_set_once_per_scope(client, ids):
    day = {"scope": "workspace_day", "limit_amount": 1_000_000}
    first = client.put("/api/v1/budgets", json=day).json
    again = client.put("/api/v1/budgets", json={**day, "limit_amount": 2_000_000}).json
    assert first["id"] == again["id"]
    assert again["limit_amount"] == 2_000_000
    project = {"scope": "project", "scope_id": str(ids["project_id"]), "limit_amount": 5}
    assert client.put("/api/v1/budgets", json=project).status_code == 200
    assert client.put("/api/v1/budgets", json={"scope": "job", "limit_amount": 5}).status_code == 422
    assert len(client.get("/api/v1/budgets").json["items"]) == 2


def test_what_people_do_is_written_down(client, house):
    made = client.post("/api/v1/projects", json={"name": "Moon"}).json
    log = client.get(f"/api/v1/activities?subject_id={made['id']}").json["items"]
    assert [(entry["action"], entry["user_id"]) for entry in log] == [("project.created", str(house.user_id))]


def test_a_film_without_outside_assets_owes_no_credits(client, ids):
    assert client.get(f"/api/v1/films/{ids['film_id']}/credits").json == {"items": []}


def test_a_clip_of_ones_own_becomes_a_take_once_and_can_be_selected(client, ids):
    address = f"/api/v1/shots/{ids['shot_id']}/takes"
    made = client.post(address, json={"asset_id": str(ids["asset_id"])})
    assert made.status_code == 201
    assert (made.json["origin"], made.json["number"]) == ("upload", 2)
    assert client.post(address, json={"asset_id": str(ids["asset_id"])}).json["id"] == made.json["id"]
    files = client.get(f"/api/v1/assets/{made.json['id']}/renditions").json["items"]
    assert [file["role"] for file in files] == ["original"]
    tag = client.get(f"/api/v1/shots/{ids['shot_id']}").headers["ETag"]
    chosen = client.post(
        f"/api/v1/shots/{ids['shot_id']}/select-take",
        json={"take_id": made.json["id"]},
        headers={"If-Match": tag},
    )
    assert chosen.json["selected_take_id"] == made.json["id"]


def test_a_take_is_never_made_of_what_does_not_move(client, ids):
    answer = client.post(f"/api/v1/shots/{ids['shot_id']}/takes", json={"asset_id": str(ids["project_id"])})
    assert answer.status_code == 422
    assert "project" in answer.json["errors"]["asset_id"][0]


def test_what_an_asset_is_like_is_listed_with_distance_kind_and_reason(client, house, ids):
    with transaction() as session:
        made = []
        for number, value in enumerate(("00000000000000ff", "00000000000000fe", "ffffffff00000000")):
            row = Image(workspace_id=house.workspace_id, name=f"Still {number}", sha256=str(number) * 64)
            session.add(row)
            session.flush()
            add_hashes(session, row, [Fingerprint(HashAlgo.PICTURE, (value,))])
            made.append(row.id)
    address = f"/api/v1/assets/{made[0]}/similar"
    seen = client.get(address)
    assert seen.status_code == 200
    assert seen.json == {
        "items": [
            {
                "asset_id": str(made[1]), "name": "Still 1", "kind": "near_duplicate", "distance": 1,
                "algo": "picture", "reason": "1 of 64 bits differ",
            }
        ],
        "next_cursor": None,
    }  # fmt: skip
    assert client.get(f"{address}?max_distance=0").json["items"] == []
    assert client.get(f"{address}?max_distance=12").status_code == 422
    assert client.get(f"/api/v1/assets/{ids['film_id']}/similar").json["items"] == []
