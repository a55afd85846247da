"""The licence policy is a gate before anything is encoded, and credits name exactly what is in the cut."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from uuid import UUID

import pytest

from core.licences import LicenceClass, parse_licence
from db.assets import Clip, Film, Origin, Rendition, RenditionRole, Shot, Take, TakeOrigin
from db.session import reading, transaction
from db.work import StepState
from media.ffmpeg import ffmpeg_path
from services.films import add_take
from services.manifest import credits_text, list_credits
from services.renditions import StoredFile, add_rendition, latest_rendition
from services.rights import note_licence
from services.shots import bring_take, select_take
from services.steps import StepPlan
from services.uploads import own_or_licensed
from tasks.library import blob_path
from tests.services.buying import make_shots
from tests.services.makers import make_job, plan, see_job, see_step
from tests.services.test_manifest import make_picture
from tests.tasks.conftest import change_job, work_on

CC = "https://creativecommons.org/licenses"
PICTURES = ("samples:rocket", "samples:coffee", "samples:rocket", "samples:chelsea")


def relicense(asset_id, url, **facts):
    """Have an asset's origin say another licence, as if that was what it was kept under."""
    with transaction() as session:
        origin, licence = session.get_one(Origin, asset_id), parse_licence(url)
        origin.licence, origin.licence_class, origin.licence_url = (
            licence.id,
            licence.licence_class,
            licence.url,
        )
        origin.licence_facts = licence.to_json()
        for name, value in facts.items():
            setattr(origin, name, value)


@pytest.fixture
def film(house):
    """A silent film of stills with music, shot and not yet cut; its pictures' assets by shot."""
    return shoot(house)


def shoot(house, pictures=PICTURES, **brief):
    music = {"from": "samples", "id": "ambient-calm"}
    params = {"sources": [], "size": 240, "fps": 24, "captions": "none", "music": music, **brief}
    job_id = make_job(house, params=params)
    shots = make_shots(job_id, len(pictures))
    with transaction() as session:
        for shot, picture in zip(shots, pictures, strict=True):
            row = session.get_one(Shot, shot)
            row.image, row.narration, row.frames = picture, "", 24
    for step in plan(
        job_id, StepPlan("find_music"), *(StepPlan("keep_stock", s) for s in shots), phase="shoot"
    ):
        work_on(step)
    for step in plan(job_id, *(StepPlan("submit_take", s) for s in shots), phase="shoot"):
        work_on(step)
    return job_id, shots


def source_of(shot):
    with reading() as session:
        return session.get_one(Take, session.get_one(Shot, shot).selected_take_id).source_asset_id


def music_of(job_id):
    with reading() as session:
        return UUID(session.get_one(Film, see_job(job_id).film_id).metadata_["music_asset_id"])


def cut(job_id, shots):
    """Do phase finish up to where it stops; returns its last step."""
    plans = [
        *(StepPlan("clean_take", s) for s in shots), *(StepPlan("render_segment", s) for s in shots),
        StepPlan("credits_card"), StepPlan("mix_sound"), StepPlan("compose"),
    ]  # fmt: skip
    rows = plan(job_id, *plans, phase="finish")
    for row in rows:
        work_on(row)
        if see_step(row).state is not StepState.SUCCEEDED:
            break
    return see_step(row)


def made(job_id, role):
    with reading() as session:
        film = session.get_one(Film, see_job(job_id).film_id)
        return latest_rendition(session, film.id, role)


def read(rendition):
    with blob_path(rendition) as path:
        return path.read_text(encoding="utf-8")


def export(job_id, kind):
    (step,) = plan(job_id, StepPlan("export", variant=kind), phase="deliver")
    work_on(step)
    with reading() as session:
        return read(session.get_one(Rendition, UUID(see_step(step).result["rendition_id"])))


def assert_refused(step, *words):
    assert (step.state, step.error_code) == (StepState.FAILED, "unlicensed")
    for word in words:
        assert word in step.error_message


def test_a_film_is_cut_and_its_credits_say_the_same_in_all_five_places(house, film):
    job_id, shots = film
    rocket, coffee, cat, music = (
        source_of(shots[0]),
        source_of(shots[1]),
        source_of(shots[3]),
        music_of(job_id),
    )
    assert source_of(shots[2]) == rocket
    relicense(rocket, f"{CC}/by-sa/3.0/de/", title="<b>Rocket</b> &amp; sea\u202e", creator="Ann\nOther", landing_url="https://a.example/1",
              attribution=None, restrictions=["trademarked"])  # fmt: skip
    relicense(
        coffee,
        "https://creativecommons.org/publicdomain/mark/1.0/",
        title="=SUM(A1)",
        creator="Old Master",
        attribution=None,
    )
    relicense(
        music,
        f"{CC}/by/3.0/",
        attribution='"Bed" recorded by Jane (Site), CC BY 3.0',
        restrictions=["platforms:youtube"],
    )
    with transaction() as session:  # a take of another picture, made and then not chosen
        shot = session.get_one(Shot, shots[3])
        other = add_take(
            session, shot, origin=TakeOrigin.STOCK, provider="local", model="motion", seed=1, cost=0, currency="USD",
            source_asset_id=make_picture(session, house, "e", licence=f"{CC}/by-nc/4.0/").id, input_hash="9" * 64,
        )  # fmt: skip
        assert shot.selected_take_id != other.id
    last = cut(job_id, shots)
    assert last.state is StepState.SUCCEEDED, last.error_message

    by_sa = (
        '"Rocket & sea" by Ann Other (https://a.example/1) is licensed under CC BY-SA 3.0 DE '
        "(https://creativecommons.org/licenses/by-sa/3.0/de/). Changes: cropped and moved."
    )
    marked = "is marked with Public Domain Mark 1.0 (https://creativecommons.org/publicdomain/mark/1.0/). Changes: cropped and moved."
    own = '"Bed" recorded by Jane (Site), CC BY 3.0 (https://creativecommons.org/licenses/by/3.0/). Changes: trimmed and levelled.'

    text = export(job_id, "credits_txt")
    assert text.splitlines()[2] == by_sa
    assert marked in text.splitlines()[3]
    assert text.splitlines()[5:] == [own]

    rows = list(csv.DictReader(io.StringIO(export(job_id, "credits_csv"))))
    assert [row["used_in"] for row in rows] == ["shot 1; shot 3", "shot 2", "shot 4", "music"]
    assert [row["restrictions"] for row in rows] == ["trademarked", "", "", "platforms:youtube"]
    assert [row["share_alike"] for row in rows] == ["yes", "no", "no", "no"]
    assert (rows[0]["credit"], rows[3]["credit"]) == (by_sa, own)
    assert [row["changes"] for row in rows] == ["cropped and moved"] * 3 + ["trimmed and levelled"]

    entries = json.loads(export(job_id, "credits_json"))
    assert [entry["asset_id"] for entry in entries] == [str(one) for one in (rocket, coffee, cat, music)]
    assert entries[0]["credit"] == by_sa

    with reading() as session:
        row = session.get_one(Film, see_job(job_id).film_id)
        card = credits_text(row, list_credits(session, row.id), see_job(job_id).params)
    assert "Rocket & sea: Ann Other, CC BY-SA 3.0 DE" in card
    assert "Music:" in card
    assert made(job_id, RenditionRole.SEGMENT) is not None, "the card was filmed"

    with blob_path(made(job_id, RenditionRole.MASTER)) as path:
        tags = subprocess.run(
            [str(ffmpeg_path()), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"], capture_output=True, text=True, check=True
        ).stdout.replace("\\", "")  # fmt: skip
    assert by_sa in tags
    assert own in tags
    assert "CC-BY-SA-3.0-DE" in tags

    told = {(w["code"], w["asset_id"]): w["message"] for w in see_job(job_id).warnings}
    assert (
        told["restricted", str(rocket)]
        == "shot 1, shot 3: “<b>Rocket</b> &amp; sea\u202e” comes with a restriction: it shows a trade mark."
    )
    assert "for youtube only" in told["restricted", str(music)]
    assert "CC BY-SA 3.0 DE" in told["share_alike", str(rocket)]


def test_a_licence_that_turned_out_otherwise_stops_the_film_before_anything_is_encoded(film):
    job_id, shots = film
    relicense(source_of(shots[1]), f"{CC}/by-nc/4.0/", title="Cup")
    step = cut(job_id, shots)
    assert (step.kind, step.subject_id) == ("render_segment", shots[0]), "no shot is rendered in vain"
    assert_refused(
        step, "shot 2", "“Cup”", "samples:coffee", str(source_of(shots[1])), "CC BY-NC 4.0", "commercial use"
    )
    assert made(job_id, RenditionRole.MASTER) is None
    with reading() as session:
        assert not [shot for shot in shots if latest_rendition(session, shot, RenditionRole.SEGMENT)]


def test_music_is_judged_as_pictures_are(film):
    job_id, shots = film
    relicense(music_of(job_id), f"{CC}/by-nd/4.0/")
    step = cut(job_id, shots)
    assert step.kind == "render_segment"
    assert_refused(step, "music", "CC BY-ND 4.0", "derivatives")
    assert made(job_id, RenditionRole.SOUND) is None


def test_a_policy_tightened_after_everything_was_rendered_still_stops_the_master(film):
    job_id, shots = film
    relicense(source_of(shots[0]), f"{CC}/by-sa/4.0/")
    rows = plan(
        job_id, *(StepPlan("clean_take", s) for s in shots), *(StepPlan("render_segment", s) for s in shots), StepPlan("credits_card"),
        StepPlan("mix_sound"), StepPlan("compose"), phase="finish",
    )  # fmt: skip
    for row in rows[:-1]:
        work_on(row)
        assert see_step(row).state is StepState.SUCCEEDED, see_step(row).error_message
    params = see_job(job_id).params
    change_job(job_id, params={**params, "licences": {**params["licences"], "share_alike": False}})
    work_on(rows[-1])
    assert_refused(see_step(rows[-1]), "shot 1, shot 3", "CC BY-SA 4.0", "share-alike")
    assert made(job_id, RenditionRole.MASTER) is None


def test_a_take_that_a_person_chose_is_judged_as_any_other(house, film):
    job_id, shots = film
    with transaction() as session:
        film_row = session.get_one(Film, see_job(job_id).film_id)
        good = latest_rendition(
            session, session.get_one(Shot, shots[0]).selected_take_id, RenditionRole.ORIGINAL
        )
        clip = Clip(workspace_id=house.workspace_id, name="Found clip", sha256=good.blob_sha256)
        session.add(clip)
        session.flush()
        licence = parse_licence(name="Mixkit Restricted License")
        assert licence.licence_class is LicenceClass.NONCOMMERCIAL
        session.add(Origin(
            asset_id=clip.id, workspace_id=house.workspace_id, source="upload", foreign_id="u1", title="Found clip", licence=licence.id,
            licence_class=licence.licence_class, licence_url=licence.url, licence_facts=licence.to_json(), raw_licence="Mixkit Restricted License",
        ))  # fmt: skip
        add_rendition(
            session, workspace_id=house.workspace_id, asset_id=clip.id, role=RenditionRole.ORIGINAL,
            stored=StoredFile(good.blob_sha256, 1, "video/mp4", "k", "c.mp4"),
        )  # fmt: skip
        take = bring_take(session, house.workspace_id, house.user_id, shots[0], clip.id)
        select_take(session, house.workspace_id, house.user_id, shots[0], take.id, None)
        assert film_row.master_rendition_id is None
    step = cut(job_id, shots)
    assert_refused(step, "shot 1", "Found clip", "Mixkit Restricted License", "commercial use")
    with reading() as session:
        assert session.get_one(Take, take.id).source_asset_id == clip.id
    assert made(job_id, RenditionRole.MASTER) is None


def test_files_of_ones_own_pass_every_policy(house):
    job_id, shots = shoot(house, PICTURES[:1], licences={"policy": "public-domain-only"})
    with transaction() as session:
        origin = session.get_one(Origin, source_of(shots[0]))
        own = own_or_licensed({"licence": "LicenseRef-Own"})
        origin.source, origin.licence, origin.licence_class = "upload", own.id, own.licence_class
        origin.licence_facts = own.to_json()
    assert cut(job_id, shots).state is StepState.SUCCEEDED
    assert "own work" in export(job_id, "credits_txt")
    entries = json.loads(export(job_id, "credits_json"))
    assert entries[0]["credit"] is None


def test_what_a_source_says_later_is_noted_and_changes_nothing(film):
    _, shots = film
    asset = source_of(shots[0])
    with transaction() as session:
        origin = session.get_one(Origin, asset)
        first = (origin.licence, origin.raw_licence)
        for url in (f"{CC}/by-nc/4.0/", f"{CC}/by-nc/4.0/", f"{CC}/by/4.0/", origin.licence_url):
            note_licence(session, origin, parse_licence(url), url or "")
        changed = origin.licence_proof["changed"]
        assert [one["licence"] for one in changed][:2] == ["CC-BY-NC-4.0", "CC-BY-4.0"]
        assert (origin.licence, origin.raw_licence) == first
        assert all(one["at"] for one in changed)
    with reading() as session:
        proof = session.get_one(Origin, asset).licence_proof
        assert proof["said_by"] == "samples"
        assert proof["raw"]


@pytest.mark.parametrize("pinned", ["image", "clip"])
def test_a_picture_that_a_script_pins_is_refused_before_it_is_kept(house, film, pinned):
    asset = source_of(film[1][0])
    relicense(asset, f"{CC}/by-nc/4.0/")
    job_id = make_job(house, params={"sources": []})
    (shot,) = make_shots(job_id)
    with transaction() as session:
        setattr(session.get_one(Shot, shot), pinned, f"asset:{asset}")
    (step,) = plan(job_id, StepPlan("keep_stock", shot), phase="shoot")
    work_on(step)
    assert_refused(see_step(step), "NC 4.0", "commercial")


def test_music_that_a_brief_names_is_refused_before_it_is_used(house, film):
    asset = music_of(film[0])
    relicense(asset, f"{CC}/by-nd/4.0/")
    music = {"from": "asset", "id": str(asset)}
    job_id = make_job(house, params={"sources": [], "music": music})
    (step,) = plan(job_id, StepPlan("find_music"), phase="source")
    work_on(step)
    assert_refused(see_step(step), "ND 4.0", "derivatives")
    with reading() as session:
        made = session.get_one(Film, see_job(job_id).film_id)
    assert "music_asset_id" not in made.metadata_
