"""Blobs and renditions: equal bytes once, provenance kept, rubbish found and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.ids import new_id
from db.assets import Blob, Clip, Derivation, Rendition, RenditionRole, Upload
from db.session import reading, transaction
from services import renditions
from services.renditions import StoredFile
from tests.services.makers import at_once, make_house


@pytest.fixture
def house(settings):
    return make_house()


def stored(digit: str, filename: str = "a.mp4") -> StoredFile:
    sha = digit * 64
    return StoredFile(sha256=sha, size=1, mime="video/mp4", key=f"blobs/{sha}", filename=filename)


def make_clip(house):
    with transaction() as session:
        clip = Clip(workspace_id=house.workspace_id, name="Clip", sha256="0" * 64)
        session.add(clip)
    return clip.id


def add(house, clip_id, file, role=RenditionRole.ORIGINAL, **more):
    with transaction() as session:
        return renditions.add_rendition(
            session, workspace_id=house.workspace_id, asset_id=clip_id, role=role, stored=file, **more
        )


def count(table):
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def age(hours):
    with transaction() as session:
        session.execute(update(Blob).values(created_at=func.now() - timedelta(hours=hours)))


def unused(hours=24):
    with transaction() as session:
        return renditions.take_unused_blobs(session, older_than_hours=hours)


def test_the_same_bytes_saved_twice_are_one_rendition(house):
    clip = make_clip(house)
    assert add(house, clip, stored("a")).id == add(house, clip, stored("a")).id
    assert (count(Rendition), count(Blob)) == (1, 1)


def test_bytes_are_shared_by_assets_and_roles(house):
    one, two = make_clip(house), make_clip(house)
    ids = {
        add(house, one, stored("a")).id,
        add(house, two, stored("a")).id,
        add(house, one, stored("a"), RenditionRole.CLEANED).id,
    }
    assert (len(ids), count(Blob)) == (3, 1)


def test_equal_bytes_registered_by_many_at_once_are_one_blob(house):
    clips = [make_clip(house) for _ in range(6)]
    answers = at_once(6, lambda number: add(house, clips[number], stored("a")))
    assert not [a for a in answers if isinstance(a, Exception)], answers
    assert count(Blob) == 1


def test_a_file_made_again_is_the_latest_again(house):
    clip = make_clip(house)
    first = add(house, clip, stored("a"))
    add(house, clip, stored("b"))
    add(house, clip, stored("a"))
    with reading() as session:
        assert renditions.latest_rendition(session, clip, RenditionRole.ORIGINAL).id == first.id
        assert renditions.latest_rendition(session, clip, RenditionRole.MASTER) is None


def test_what_a_file_was_made_from_is_written_once_and_never_itself(house):
    clip = make_clip(house)
    parent = add(house, clip, stored("a"))
    for _ in range(2):
        child = add(
            house, clip, stored("b"), RenditionRole.CLEANED, parents=[parent.id, parent.id], tool="ffmpeg"
        )
    add(house, clip, stored("a"), parents=[parent.id])
    with reading() as session:
        (edge,) = session.scalars(select(Derivation)).all()
    assert (edge.child_rendition_id, edge.parent_rendition_id, edge.tool) == (child.id, parent.id, "ffmpeg")


def test_a_result_is_reusable_while_all_its_bytes_are_known(house):
    add(house, make_clip(house), stored("a"))
    with reading() as session:
        assert renditions.still_there(session, {})
        assert renditions.still_there(
            session, {"stored": {"sha256": "a" * 64}, "again": [{"sha256": "a" * 64}]}
        )
        assert not renditions.still_there(session, {"one": {"sha256": "a" * 64}, "two": {"sha256": "b" * 64}})


def test_only_old_blobs_that_nothing_points_at_are_forgotten(house):
    add(house, make_clip(house), stored("a"))
    with transaction() as session:
        for digit in "bcd":
            renditions.keep_blob(session, stored(digit))
        session.add(
            Upload(
                workspace_id=house.workspace_id, filename="c", declared_mime="video/mp4", blob_sha256="c" * 64
            )
        )
    age(25)
    with transaction() as session:
        session.execute(update(Blob).where(Blob.sha256 == "d" * 64).values(created_at=func.now()))
    assert unused() == [f"blobs/{'b' * 64}"]
    assert unused() == []
    assert count(Blob) == 3


def test_bytes_that_come_back_to_life_are_young_again(house):
    """A step that has just stored bytes nobody used for days must not lose them before it is saved."""
    with transaction() as session:
        renditions.keep_blob(session, stored("a"))
    age(48)
    with transaction() as session:
        renditions.keep_blob(session, stored("a"))
    assert unused() == []


def test_two_sweepers_never_delete_the_same_bytes(house):
    with transaction() as session:
        for digit in "abcdef":
            renditions.keep_blob(session, stored(digit))
    age(25)
    keys = [key for answer in at_once(4, lambda _: unused()) for key in answer]
    assert len(keys) == len(set(keys)) == 6


def test_a_stored_file_survives_json():
    file = StoredFile("a" * 64, 1, "video/mp4", "k", "f", width=2, duration=0.5, facts={"x": [1]})
    assert StoredFile.from_json(file.to_json()) == file


def test_no_rendition_without_its_blob(house):
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), transaction() as session:
        session.add(
            Rendition(
                workspace_id=house.workspace_id, asset_id=new_id(), role=RenditionRole.MASTER,
                blob_sha256="f" * 64, filename="x", mime="x/y",
            )
        )  # fmt: skip
