"""Layers of duplicates when files are kept: the same item, work, bytes, and what only looks or sounds the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance
from sqlalchemy import func, select

from core.licences import LicencePolicy, parse_licence
from db.assets import Asset, AssetRelationship, MediaAsset, Origin
from db.session import reading, transaction
from media.ffmpeg import run
from media.listening import can_print
from scrapers.base import Candidate
from services.duplicates import find_similar, list_similar
from services.paging import Window
from tasks.inspection import Desk, inspect
from tasks.library import keep_asset, keep_found, kept_already
from tests.services.makers import at_once, make_house

CC0 = parse_licence("https://creativecommons.org/publicdomain/zero/1.0/")
BY = parse_licence("https://creativecommons.org/licenses/by/4.0/")
NC = parse_licence("https://creativecommons.org/licenses/by-nc/4.0/")
POLICY = LicencePolicy()
OWN = Candidate(
    source="made_up", foreign_id="1", kind="image", title="A hill", landing_url=None, media_url="https://x.example/1",
    creator="Ann", creator_url=None, licence=BY, raw_licence="CC BY 4.0", tags=("hill",),
)  # fmt: skip


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def picture():
    """A made-up photograph: other shapes for every seed."""

    def make(seed=1):
        dice = np.random.default_rng(seed)
        return Image.fromarray(dice.integers(20, 235, (9, 14, 3), np.uint8)).resize(
            (960, 640), Image.Resampling.BICUBIC
        )

    return make


def save(picture, path, quality=92):
    picture.save(path, quality=quality)
    return path


def look(desk, path, found=OWN):
    return inspect(desk, path, filename=path.name, width=1280, height=720, found=found)


def keep(house, desk, path, policy=POLICY, **more):
    found = replace(OWN, **more)
    with transaction() as session:
        return keep_found(session, house.workspace_id, found, look(desk, path, found), policy=policy).id


def links(house):
    with reading() as session:
        rows = session.scalars(
            select(AssetRelationship).where(AssetRelationship.workspace_id == house.workspace_id)
        )
        return {(row.parent_id, row.child_id): row.label for row in rows if row.kind == "duplicate_of"}


def already(house, **more):
    with reading() as session:
        return kept_already(session, house.workspace_id, replace(OWN, **more), POLICY)


def similar(asset_id, **more):
    with reading() as session:
        return find_similar(session, session.get_one(MediaAsset, asset_id), **more)


def cropped(picture):
    width, height = picture.size
    return picture.crop((width // 40, height // 40, width - width // 40, height - height // 40))


def marked(picture):
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).text((330, 300), "SAMPLE", fill=(255, 255, 255, 70), font_size=60)
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


COPIES = {
    "worse JPEG": (lambda picture: picture, 60),
    "half the size": (lambda picture: picture.resize((480, 320)), 92),
    "5 % cropped": (cropped, 92),
    "10 % brighter": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.1), 92),
    "light watermark": (marked, 92),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_picture_is_linked_whichever_came_first(house, desk, tmp_path, picture, name):
    change, quality = COPIES[name]
    one = save(picture(), tmp_path / "one.jpg")
    copy = save(change(picture()), tmp_path / "copy.jpg", quality)
    other = make_house("Other")
    for where, first, second in ((house, one, copy), (other, copy, one)):
        ids = [keep(where, desk, file, foreign_id=str(file)) for file in (first, second)]
        assert [set(pair) for pair in links(where)] == [set(ids)]
        (found,) = similar(ids[1])
        assert (found.asset_id, found.kind, found.algo) == (ids[0], "near_duplicate", "picture")
        assert found.distance is not None
        assert found.distance <= 7


def test_a_mirrored_a_turned_and_another_picture_are_not_alike(house, desk, tmp_path, picture):
    turns = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90)
    pictures = [picture(), *(picture().transpose(turn) for turn in turns), picture(2)]
    for number, one in enumerate(pictures):
        keep(house, desk, save(one, tmp_path / f"{number}.jpg"), foreign_id=str(number))
    assert links(house) == {}


def test_plain_pictures_are_never_taken_for_one_another(house, desk, tmp_path):
    for number, shade in enumerate((3, 200, 201)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (640, 480), (shade, shade, shade)).save(path)
        keep(house, desk, path, foreign_id=str(number))
    assert links(house) == {}


def test_the_worse_one_is_the_duplicate_licence_first_and_quality_second(house, desk, tmp_path, picture):
    fine = save(picture(), tmp_path / "fine.jpg", 95)
    poor = save(picture().resize((640, 480)), tmp_path / "poor.jpg", 40)
    owed = keep(house, desk, fine, foreign_id="owed", licence=BY)
    free = keep(house, desk, poor, foreign_id="free", licence=CC0)
    assert list(links(house)) == [(owed, free)]
    better = keep(house, desk, save(picture(), tmp_path / "better.jpg", 94), foreign_id="better", licence=CC0)
    assert set(links(house)) == {(owed, free), (owed, better), (free, better)}
    assert all("picture 1" in label for label in links(house).values())
    with reading() as session:
        assert (
            session.scalar(select(func.count()).select_from(Asset).where(Asset.deleted_at.is_not(None))) == 0
        )


X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MOVING = "mandelbrot=s=640x480:r=25:end_scale=0.01,hue=H=0.3*t"
MELODY = "aevalsrc=0.4*sin(2*PI*t*(220+110*floor(mod(t*2\\,7)))):s=44100:d=30"
OTHER = "aevalsrc=0.4*sin(2*PI*t*(261+87*floor(mod(t*3\\,5)))):s=44100:d=30"


@pytest.mark.parametrize("kind", ["clip", "audio"])
def test_a_copy_of_a_clip_and_of_music_is_linked_and_another_work_is_not(house, desk, tmp_path, kind):
    if kind == "audio" and not can_print():
        pytest.skip("this ffmpeg makes no Chromaprint")
    files = {
        "clip": {
            "one.mp4": ["-f", "lavfi", "-i", MOVING, "-t", "6", *X264],
            "copy.mp4": ["-i", str(tmp_path / "one.mp4"), "-crf", "34", "-r", "30", *X264],
            "other.mp4": ["-f", "lavfi", "-i", "testsrc2=s=640x480:r=25", "-t", "6", *X264],
        },
        "audio": {
            "one.wav": ["-f", "lavfi", "-i", MELODY],
            "copy.mp3": ["-i", str(tmp_path / "one.wav"), "-b:a", "96k"],
            "other.wav": ["-f", "lavfi", "-i", OTHER],
        },
    }[kind]
    kept = []
    for number, (name, command) in enumerate(files.items()):
        run(command, out=tmp_path / name, timeout=60)
        kept.append(keep(house, desk, tmp_path / name, kind=kind, foreign_id=str(number)))
    assert len(set(kept)) == 3
    assert {frozenset(pair) for pair in links(house)} == {frozenset(kept[:2])}


def test_two_workers_that_keep_the_same_picture_at_once_do_not_both_miss_it(house, desk, tmp_path, picture):
    seen = [
        look(Desk(folder), save(picture(), folder / "a.jpg", 90 - number))
        for number in range(4)
        for folder in [tmp_path / str(number)]
        if folder.mkdir() is None
    ]

    def work(number):
        with transaction() as session:
            found = replace(OWN, foreign_id=str(number))
            return keep_found(session, house.workspace_id, found, seen[number], policy=POLICY).id

    answers = at_once(4, work)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert len({frozenset(pair) for pair in links(house)}) == 6  # every pair of four


def test_the_same_bytes_are_the_asset_that_is_there_when_its_licence_will_do(house, desk, tmp_path, picture):
    file = save(picture(), tmp_path / "a.jpg")
    free = keep(house, desk, file, foreign_id="free", licence=CC0)
    assert keep(house, desk, file, source="elsewhere", licence=BY) == free
    assert links(house) == {}


def test_the_same_bytes_under_a_worse_licence_are_an_asset_of_their_own(house, desk, tmp_path, picture):
    file = save(picture(), tmp_path / "a.jpg")
    owed = keep(house, desk, file, foreign_id="owed", licence=BY)
    free = keep(house, desk, file, source="elsewhere", licence=CC0)
    assert links(house) == {(owed, free): "the same bytes"}
    refused = keep(
        make_house("Two"), desk, file, foreign_id="nc", licence=NC, policy=LicencePolicy(commercial=False)
    )
    assert refused not in (owed, free)
    with reading() as session:
        digests = session.scalars(select(MediaAsset.sha256)).all()
    assert len(set(digests)) == 1  # and one blob


def test_an_upload_stands_in_for_no_source(house, desk, tmp_path, picture):
    file = save(picture(), tmp_path / "a.jpg")
    with transaction() as session:
        upload = keep_asset(
            session, workspace_id=house.workspace_id, inspected=look(desk, file, None), name="mine",
            source="upload", foreign_id="u", licence=CC0, raw_licence="own", origin={"title": "mine"},
        ).id  # fmt: skip
    found = keep(house, desk, file)
    assert found != upload
    assert set(links(house)) == {(found, upload)}  # the freer licence is the better one


def test_a_file_whose_sha1_is_told_is_not_downloaded_again(house, desk, tmp_path, picture):
    kept = keep(house, desk, save(picture(), tmp_path / "a.jpg"))
    with reading() as session:
        sha1 = session.get_one(MediaAsset, kept).sha1
    assert already(house, source="elsewhere", sha1=sha1.upper()) == kept
    assert already(house, source="elsewhere", sha1="0" * 40) is None
    assert already(house, source="elsewhere", sha1=sha1, licence=CC0) is None  # ours owes a credit
    assert already(make_house("Two"), source="elsewhere", sha1=sha1) is None
    with transaction() as session:
        session.get_one(Asset, kept).deleted_at = func.now()
    assert already(house, source="elsewhere", sha1=sha1) is None


def test_a_work_is_known_by_its_page_across_sources(house, desk, tmp_path, picture):
    page = "https://www.flickr.com/photos/ann/123/"
    kept = keep(house, desk, save(picture(), tmp_path / "a.jpg"), landing_url=page)
    told = {
        "source": "elsewhere",
        "foreign_id": "9",
        "landing_url": "http://flickr.com/photos/ann/123?utm_source=x",
    }
    assert already(house, **told) == kept
    assert already(house, **told, width=4000, height=3000) is None  # more than we have
    assert already(house, **told | {"source": OWN.source}) is None  # one page, many items
    keep(house, desk, save(picture(2), tmp_path / "b.jpg"), landing_url=page, foreign_id="2")
    assert already(house, **told) is None  # which of the two?
    third = keep(house, desk, save(picture(3), tmp_path / "c.jpg"), **told)
    assert [(one.kind, one.reason) for one in similar(third)] == [
        ("same_work", "the same page, flickr.com/photos/-/123")
    ] * 2


def test_scores_carry_their_version_and_what_the_source_told(house, desk, tmp_path, picture):
    kept = keep(house, desk, save(picture(), tmp_path / "a.jpg"))
    with reading() as session:
        row = session.get_one(MediaAsset, kept)
        assert (row.score_version, row.quality_flags) == (2, [])
        assert row.quality_parts["metadata"] == {"value": 1.0, "marks": 10.0, "of": 10}
        assert session.get_one(Origin, kept).canonical_url is None


def test_similar_assets_come_in_pages_and_within_the_asked_distance(house, desk, tmp_path, picture):
    first = keep(house, desk, save(picture(), tmp_path / "a.jpg"), foreign_id="a")
    copies = [
        keep(house, desk, save(picture(), tmp_path / f"{quality}.jpg", quality), foreign_id=str(quality))
        for quality in (91, 90, 89)
    ]
    keep(house, desk, save(picture(2), tmp_path / "b.jpg"), foreign_id="b")

    def page(after=None, **more):
        with reading() as session:
            found = list_similar(
                session, house.workspace_id, first, Window(2, after), **{"max_distance": 7} | more
            )
        return [one.asset_id for one, _ in found.items], found.next_after

    one, after = page()
    two, end = page(after)
    assert sorted(one + two) == sorted(copies)
    assert (len(one), end) == (2, None)
    assert len(similar(first, distance=11)) >= 3
    assert similar(first, distance=0) == [x for x in similar(first) if x.distance == 0]
