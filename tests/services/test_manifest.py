"""The manifest and the credits of a film, from rows alone."""

from __future__ import annotations

import pytest

from core.licences import parse_licence
from db.assets import AssetStatus, Film, Image, Origin, RenditionRole, Script, Take, TakeOrigin
from db.session import reading, transaction
from db.work import Job
from services.films import add_script_version, add_take, film_shots, write_shots
from services.manifest import list_credits, render_manifest
from services.renditions import StoredFile, add_rendition
from tests.services.makers import make_house, make_job, see_job

CC_BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.fixture
def house(settings):
    return make_house()


def stored(digit: str) -> StoredFile:
    return StoredFile(digit * 64, 1, "image/jpeg", f"k/{digit}", f"{digit}.jpg", width=64, height=48)


def make_picture(session, house, digit, *, licence=CC_BY):
    picture = Image(workspace_id=house.workspace_id, name=f"Picture {digit}", sha256=digit * 64)
    session.add(picture)
    session.flush()
    add_rendition(
        session, workspace_id=house.workspace_id, asset_id=picture.id, role=RenditionRole.ORIGINAL,
        stored=stored(digit),
    )  # fmt: skip
    if licence:
        value = parse_licence(url=licence)
        session.add(
            Origin(
                asset_id=picture.id, workspace_id=house.workspace_id, source="openverse", foreign_id=digit,
                title=f"Picture {digit}", creator="Ada", landing_url=f"https://example.org/{digit}",
                licence=value.id, licence_class=value.licence_class, licence_url=value.url,
                licence_facts=value.to_json(), raw_licence=licence,
            )
        )  # fmt: skip
    return picture


def make_film(house, pictures):
    """A film whose n-th shot has a take of the n-th picture's digit; None: a take of nothing outside."""
    job_id = make_job(house)
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, job_id).film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text="Words.", fmt="plain", scenes=[], author="client", origin="brief"
        )
        made = {d: make_picture(session, house, d) for d in dict.fromkeys(p for p in pictures if p)}
        shots = write_shots(
            session, film, version, [{"name": f"Shot {n}", "scene": 1} for n in range(len(pictures))]
        )
        for shot, digit in zip(shots, pictures, strict=True):
            take = add_take(
                session, shot, origin=TakeOrigin.STOCK, provider="local", model="motion", seed=7, cost=0,
                currency="USD", source_asset_id=made[digit].id if digit else None, input_hash="9" * 64,
            )  # fmt: skip
            shot.selected_take_id = take.id
    return job_id


def credits_of(job_id):
    with reading() as session:
        return list_credits(session, see_job(job_id).film_id)


def manifest_of(job_id):
    with reading() as session:
        return render_manifest(session, session.get_one(Job, job_id), tools={"ffmpeg": "9"})


def test_a_credit_is_owed_once_however_often_a_picture_is_used(house):
    entries = credits_of(make_film(house, ["a", "b", "a"]))
    assert [entry["name"] for entry in entries] == ["Picture a", "Picture b"]
    assert entries[0]["used_in"] == ["shot 1", "shot 3"]


def test_a_credit_names_title_author_source_and_licence(house):
    (entry,) = credits_of(make_film(house, ["a"]))
    assert (entry["licence"], entry["attribution_required"]) == ("CC-BY-4.0", True)
    for word in ("Picture a", "Ada", "https://example.org/a", "CC BY 4.0", CC_BY):
        assert word in entry["credit"]


def test_a_card_owes_nobody_a_line(house):
    assert credits_of(make_film(house, [None])) == []


def test_a_take_that_is_not_in_the_cut_owes_no_credit(house):
    job_id = make_film(house, ["a", "b"])
    with transaction() as session:
        film_shots(session, see_job(job_id).film_id)[1].selected_take_id = None
    assert [entry["name"] for entry in credits_of(job_id)] == ["Picture a"]


def test_a_take_set_aside_for_a_broken_file_owes_no_credit(house):
    job_id = make_film(house, ["a", "b"])
    with transaction() as session:
        shot = film_shots(session, see_job(job_id).film_id)[0]
        session.get_one(Take, shot.selected_take_id).status = AssetStatus.BROKEN
    assert [entry["name"] for entry in credits_of(job_id)] == ["Picture b"]


@pytest.mark.parametrize(
    ("origin", "changes"),
    [(TakeOrigin.STOCK, "cropped and moved"), (TakeOrigin.GENERATED, "made into a moving picture")],
)
def test_a_credit_says_what_became_of_a_still(house, origin, changes):
    job_id = make_film(house, ["a"])
    with transaction() as session:
        shot = film_shots(session, see_job(job_id).film_id)[0]
        session.get_one(Take, shot.selected_take_id).origin = origin
    (entry,) = credits_of(job_id)
    assert entry["changes"] == changes
    assert entry["credit"].endswith(f"Changes: {changes}.")
    assert manifest_of(job_id)["shots"][0]["take"]["made_from"]["changes"] == changes


def test_music_is_credited_as_music(house):
    job_id = make_film(house, [None])
    with transaction() as session:
        music = make_picture(session, house, "c")
        film = session.get_one(Film, see_job(job_id).film_id)
        film.metadata_ = {"music_asset_id": str(music.id)}
    (entry,) = credits_of(job_id)
    assert entry["used_in"] == ["music"]
    assert manifest_of(job_id)["music"]["file"]["sha256"] == "c" * 64


def test_own_work_is_said_to_be_own_work(house):
    job_id = make_film(house, [None])
    with transaction() as session:
        own = make_picture(session, house, "d", licence=None)
        film = session.get_one(Film, see_job(job_id).film_id)
        film.metadata_ = {"music_asset_id": str(own.id)}
    (entry,) = credits_of(job_id)
    assert (entry["source"], entry["licence"], entry["credit"]) == ("upload", "LicenseRef-Own", None)


def test_the_manifest_names_every_input_by_digest_licence_and_seed(house):
    manifest = manifest_of(make_film(house, ["a", None]))
    first, second = manifest["shots"]
    assert first["take"]["made_from"]["file"]["sha256"] == "a" * 64
    assert first["take"]["made_from"]["licence"] == "CC-BY-4.0"
    assert (first["take"]["provider"], first["take"]["model"], first["take"]["seed"]) == (
        "local",
        "motion",
        7,
    )
    assert second["take"]["made_from"] is None
    assert manifest["script"]["text"] == "Words."
    assert manifest["tools"] == {"ffmpeg": "9"}
    assert manifest["master"] is None
    assert manifest["job"]["params"]["narrator"] == "espeak"


def test_the_manifest_of_a_job_without_film_has_its_brief(house):
    job_id = make_job(house, kind="scrape", params={"words": ["moon"]})
    manifest = manifest_of(job_id)
    assert manifest["job"]["params"]["words"] == ["moon"]
    assert "film" not in manifest
