"""One of everything a workspace can own, so that every address has an id that exists."""

from __future__ import annotations

from uuid import UUID

from core.briefs import load_params
from db.assets import (
    Clip,
    Collection,
    CollectionMember,
    Film,
    LicenceClass,
    Origin,
    Project,
    RenditionRole,
    Script,
    Take,
    TakeOrigin,
)
from db.review import Gate
from db.schedules import CatchUp
from db.session import transaction
from db.submissions import Submission, SubmissionState
from services import approvals, films, jobs, schedules, uploads
from services.accounts import create_key
from services.renditions import StoredFile, add_rendition, keep_blob

TEXT = "# Up\n\n## Night\n\nThe sky is full of stars."


def seed_house(house) -> dict[str, UUID | int | str]:
    """Return an id for every kind of path parameter."""
    sha = house.workspace_id.hex * 2
    stored = StoredFile(sha, 4, "video/mp4", f"blobs/{sha[:2]}/{sha[2:4]}/{sha}", "moon.mp4")
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="Moon")
        session.add(project)
        session.flush()
        job = jobs.submit_job(
            session,
            workspace_id=house.workspace_id,
            user_id=house.user_id,
            kind="film",
            params=load_params("film", {"script": TEXT, "title": "Up"}),
            project_id=project.id,
            gates=["script"],
        )
        film = session.get_one(Film, job.film_id)
        version = films.add_script_version(
            session,
            session.get_one(Script, film.script_id),
            text=TEXT,
            fmt="markdown",
            scenes=[],
            author="client",
            origin="brief",
        )
        plan = {"name": "Shot 1", "scene": 1, "narration": "The sky is full of stars."}
        shot = films.write_shots(session, film, version, [plan])[0]
        take = films.add_take(
            session,
            shot,
            origin=TakeOrigin.RENDERED,
            provider="local",
            model=None,
            seed=1,
            cost=0,
            currency="USD",
            source_asset_id=None,
            input_hash="00" * 32,
        )
        submission = Submission(
            workspace_id=house.workspace_id,
            job_id=job.id,
            shot_id=shot.id,
            purpose="shot",
            provider="kling",
            model="kling-3.0",
            request={},
            input_hash="00" * 32,
            client_token=job.id.hex,
            state=SubmissionState.UNCONFIRMED,
            deadline_at=job.created_at,
        )
        session.add(submission)
        approval = approvals.ask(session, job, Gate.SCRIPT, ttl_hours=1)
        clip = Clip(workspace_id=house.workspace_id, name="moon.mp4", sha256=sha)
        collection = Collection(workspace_id=house.workspace_id, name="Skies")
        session.add_all([clip, collection])
        session.flush()
        session.add(CollectionMember(collection_id=collection.id, asset_id=clip.id))
        session.add(
            Origin(
                asset_id=clip.id,
                workspace_id=house.workspace_id,
                source="samples",
                foreign_id="moon",
                licence="CC0-1.0",
                licence_class=LicenceClass.FREE,
            )
        )
        keep_blob(session, stored)
        rendition = add_rendition(
            session,
            workspace_id=house.workspace_id,
            asset_id=clip.id,
            role=RenditionRole.ORIGINAL,
            stored=stored,
        )
        upload = uploads.create_upload(
            session,
            house.workspace_id,
            house.user_id,
            filename="moon.mp4",
            mime="video/mp4",
            size=None,
            rights={},
        )
        template = {"kind": "film", "params": load_params("film", {"script": TEXT}), "project_id": None}
        daily = {"name": "Daily", "cron": "0 6 * * *", "time_zone": "Europe/Berlin", "catch_up": CatchUp.SKIP}
        daily |= {"paused": False, "job": template | {"budget": None, "priority": 0}}
        schedule = schedules.create_schedule(
            session, house.workspace_id, house.user_id, daily, lambda *_: None
        )
        key, _ = create_key(session, house.workspace_id, house.user_id, name="seeded", scopes=["read"])
        assert isinstance(take, Take)
        return {
            "provider": "kling",
            "slug": "openverse",
            "job_id": job.id,
            "film_id": film.id,
            "project_id": project.id,
            "script_id": film.script_id,
            "number": version.number,
            "shot_id": shot.id,
            "take_id": take.id,
            "approval_id": approval.id,
            "submission_id": submission.id,
            "asset_id": clip.id,
            "collection_id": collection.id,
            "rendition_id": rendition.id,
            "upload_id": upload.id,
            "schedule_id": schedule.id,
            "key_id": key.id,
            "key": stored.key,
            "name": "docs.js",
        }
