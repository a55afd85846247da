"""Made twice from nothing, a film is the same to the last bit."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db.assets import Film, Rendition
from services.films import film_shots
from tests.e2e.test_reuse import Film3

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def files_of(film):
    """Digest of a film's files, its shots' and its takes', by whose it is, its role and its name."""
    with film.studio.rows() as session:
        made = session.get_one(Film, film.studio.job(film.id).film_id)
        owners = {made.id: "film"}
        for shot in film_shots(session, made.id):
            owners |= {shot.id: f"shot {shot.position}", shot.selected_take_id: f"take {shot.position}"}
        rows = session.scalars(select(Rendition).where(Rendition.asset_id.in_(owners))).all()
        return {(owners[row.asset_id], row.role.value, row.filename): row.blob_sha256 for row in rows}


def test_without_reuse_the_same_brief_gives_the_same_bytes_however_many_work_on_it(studio):
    one = Film3(studio, reuse=False)
    one.done()
    first = files_of(one)
    stack = studio.stack
    alone = {
        "MEDIA_SLOTS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    stack.kill("worker-media")
    before = dict(stack.environment)
    try:
        stack.environment.update(alone)
        stack.start("worker-media")
        stack.wait_ready("worker-media")
        other = Film3(studio, reuse=False)
        other.done()
    finally:
        stack.kill("worker-media")
        stack.environment.clear()
        stack.environment.update(before)
        stack.start("worker-media")
        stack.wait_ready("worker-media")
    roles = {role for _, role, _ in first}
    assert {
        "narration",
        "original",
        "segment",
        "segment_proxy",
        "sound",
        "master",
        "poster",
        "proxy",
        "captions",
        "export",
    } <= roles
    assert {name for *_, name in first} >= {"credits.json", "captions.vtt", "manifest.json"}
    assert all(step.reused_from is None for step in studio.steps(other.id))
    assert files_of(other) == first
