"""A whole film whose files are in an S3 store: the same steps, and nothing on this disk."""

from __future__ import annotations

import hashlib

import requests

from core.settings import get_settings
from core.storage import open_storage
from db.session import reading
from db.work import JobState
from services import steps
from services.jobs import get_job
from services.manifest import render_manifest
from tasks import pipeline
from tests.services.makers import make_job
from tests.tasks.conftest import work_on


def test_a_film_is_made_with_its_files_in_s3_and_fetched_by_a_signed_link(house, s3_gateway, monkeypatch):
    for name, value in {
        "STORAGE_URL": "s3://films/studio",
        "S3_ENDPOINT_URL": s3_gateway,
        "S3_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "S3_SECRET_ACCESS_KEY": "hush-hush-hush",
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    script = "[image: samples:rocket]\nWe left."
    job_id = make_job(house, params={"script": script, "size": 240, "fps": 24, "sources": []})

    pipeline.advance(job_id)
    for _ in range(40):
        with reading() as session:
            ready = [row.id for row in steps.claimable(session, job_id)]
        if not ready:
            break
        for step_id in ready:
            work_on(step_id)

    with reading() as session:
        job = get_job(session, house.workspace_id, job_id)
        assert (job.state, job.error_message) == (JobState.SUCCEEDED, None)
        master = render_manifest(session, job)["master"]["sha256"]
    store = open_storage(get_settings())
    key = f"blobs/{master[:2]}/{master[2:4]}/{master}"
    film = requests.get(store.presign(key, ttl=60, filename="film.mp4", mime="video/mp4"), timeout=20)
    assert hashlib.sha256(film.content).hexdigest() == master
    assert not (get_settings().var_dir / "store").exists()
