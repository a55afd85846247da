"""What a job's steps would be made from now, read for all of them at once.

A step reads what concerns it; the plan asks for every step of a film, so here the rows come in a number
of queries that does not grow with the film. Where the script has a newer version than the shots were
broken down from, shots are taken as that version will have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from core.hashing import fingerprints
from core.scripts import Dialect, parse_script
from db.assets import (
    AssetStatus,
    Film,
    MediaAsset,
    Origin,
    Rendition,
    RenditionRole,
    Script,
    ScriptVersion,
    Shot,
    Take,
    Validation,
)
from db.candidates import Candidate, CandidateState
from db.work import Job, JobKind, Step, StepState
from services import inputs
from services.candidates import found_candidates
from services.films import film_shots, kept_asset, plan_shots, shown_file
from services.manifest import list_credits
from services.steps import StepPlan
from services.timeline import Placed

Rows = Mapping[tuple[str, UUID | None, str], Step]
_ROLES = (RenditionRole.ORIGINAL, RenditionRole.NARRATION, RenditionRole.SEGMENT, RenditionRole.SOUND)


class Scene:
    """The rows behind a job; for a job without a film there is nothing that could change."""

    reshaped: str | None = None
    """Why every shot's neighbours must be looked at again: a shot that is not made yet, in words."""

    def inputs_of(self, plan: StepPlan, row: Step) -> inputs.Inputs:  # noqa: ARG002
        """The inputs of a step as they are now, as far as rows tell; `row` is what it was."""
        return {}

    def is_cut(self, shot_id: UUID) -> bool:  # noqa: ARG002
        """Whether the shot is no longer in the film."""
        return False

    def is_pinned(self, shot_id: UUID | None) -> bool:  # noqa: ARG002
        """Whether the script says what the shot shows, so that no search matters."""
        return False

    def is_heard(self, shot_id: UUID | None) -> bool:  # noqa: ARG002
        """Whether the film has the own sound of the shot's take."""
        return False

    def is_chosen(self, shot_id: UUID | None) -> bool:  # noqa: ARG002
        """Whether a person decided which take the shot shows: approved it, or selected another."""
        return False


class ClipScene(Scene):
    """One clip that burnt-in text is removed from."""

    def __init__(self, session: Session, job: Job, rows: Rows) -> None:
        clip = UUID(job.params["asset_id"])
        self._asked = inputs.for_cleaning(job.params)
        self._original = _files(session, [clip]).get((clip, RenditionRole.ORIGINAL))
        made = {"local": rows.get(("clean_clip", clip, "")), "bought": rows.get(("order_clip", clip, ""))}
        self._cleaned = {
            name: (row.result.get("stored") or {}).get("sha256") for name, row in made.items() if row
        }

    def inputs_of(self, plan: StepPlan, row: Step) -> inputs.Inputs:  # noqa: ARG002
        cleaned = self._cleaned.get(plan.variant)
        return {"clip": self._original, "asked": self._asked} | ({"cleaned": cleaned} if cleaned else {})


class FilmScene(Scene):
    """A film: its script, shots, takes and files."""

    def __init__(self, session: Session, job: Job, film: Film, rows: Rows) -> None:
        self._params = job.params
        self._film = film
        self._rows = rows
        self._version = _current_version(session, film)
        kept = film_shots(session, film.id)
        self._shots: list[Any] = self._rewrite(kept)
        self._here = {shot.id: shot for shot in self._shots}
        self._takes, takes = _usable_takes(session, kept)
        music = film.metadata_.get("music_asset_id")
        self._music = UUID(music) if music else None
        self._stock = {shot.id: self._kept_asset(shot.id) for shot in kept}
        self._references = {shot.id: self._kept_asset(shot.id, "reference") for shot in kept}
        pictures = [*self._stock.values(), *self._references.values()]
        outside = {*pictures, *(take.source_asset_id for take in takes), self._music} - {None}
        owners = [film.id, *self._here, *(take.id for take in takes), *outside]
        self._files = _files(session, cast(list[UUID], owners))
        self._entries = _credits(session, film, outside)
        self._found = found_candidates(session, film, kept, job.params.get("fresh_for_films", 0))
        self._ranked = _ranked(session, kept)
        master = session.get(Rendition, film.master_rendition_id) if film.master_rendition_id else None
        self._master = master.blob_sha256 if master is not None else None
        self._placed = self._place()
        self._at = {item.shot.id: item for item in self._placed or ()}
        self.reshaped = self._added(kept)

    def is_cut(self, shot_id: UUID) -> bool:
        return shot_id not in self._here

    def is_pinned(self, shot_id: UUID | None) -> bool:
        shot = self._here.get(cast(UUID, shot_id))
        return shot is not None and bool(shot.image or shot.clip)

    def is_heard(self, shot_id: UUID | None) -> bool:
        shot = self._here.get(cast(UUID, shot_id))
        return shot is not None and inputs.wants_sound(shot, self._params)

    def is_chosen(self, shot_id: UUID | None) -> bool:
        take = self._takes.get(cast(UUID, shot_id))
        made = self._rows.get(("submit_take", shot_id, ""))
        if take is None or made is None:
            return False
        return take.validation is Validation.APPROVED or str(take.id) != made.result.get("take_id")

    def inputs_of(self, plan: StepPlan, row: Step) -> inputs.Inputs:
        if plan.subject_id is not None:
            return self._of_shot(plan.kind, self._here[plan.subject_id], row)
        if plan.kind == "write_script":
            return inputs.for_script(self._params)
        if plan.kind == "break_down":
            version = self._version
            return inputs.for_shots(version.text, version.format, self._film) if version is not None else {}
        if plan.kind == "rank":
            return inputs.for_ranking(self._shots, self._found, self._params)
        if plan.kind == "credits_card":
            return inputs.for_credits(self._film, self._entries, self._params)
        if plan.kind == "close":
            return {"master": self._master}
        return self._of_film(plan) if self._placed is not None else {}

    def _of_shot(self, kind: str, shot: Any, row: Step) -> inputs.Inputs:
        film, retake = self._film, int(row.params.get("retake", 0))
        take = self._takes.get(shot.id)
        file = self._file(take.id, RenditionRole.ORIGINAL) if take is not None else None
        if kind == "narrate":
            return inputs.for_narration(film, shot, self._params) | inputs.for_length(film, shot)
        if kind == "find_stock":
            return inputs.for_search(film, shot, self._params)
        if kind == "keep_stock":
            ranked = self._ranked.get(shot.id, ())
            chosen = ranked[retake % len(ranked)] if ranked else None
            return inputs.for_stock(shot.image or shot.clip or chosen, shot.reference, self._params)
        if kind == "submit_take":
            stock = self._stock[shot.id]
            picture = self._file(stock, RenditionRole.ORIGINAL)
            asked = inputs.for_take(
                film, shot, self._params, retake=retake, picture=picture, shown=stock is not None
            )
            sound = {"audio": inputs.wants_sound(shot, self._params)}
            if "picture" not in row.inputs:  # a vendor was asked, in words
                words = str(row.params.get("instructions") or "")
                begins = self._file(self._references[shot.id], RenditionRole.ORIGINAL)
                return {"request": inputs.for_vendor(asked["request"], words, begins), **sound}
            return {**asked, **sound}
        if kind == "clean_take":
            return {"take": file}
        if kind == "render_segment" and shot.id in self._at:
            return inputs.for_segment(film, self._at[shot.id], take, shown_file(take, file), self._params)
        return {}

    def _of_film(self, plan: StepPlan) -> inputs.Inputs:
        placed = self._placed or []
        if plan.kind == "mix_sound":
            text = inputs.for_credits(self._film, self._entries, self._params)["credits"]
            voices = {shot: self._file(shot, RenditionRole.NARRATION) for shot in self._here}
            said = {shot: sha256 for shot, sha256 in voices.items() if sha256 is not None}
            music = self._file(self._music, RenditionRole.ORIGINAL)
            files = {shot: self._file(take.id, RenditionRole.ORIGINAL) for shot, take in self._takes.items()}
            there = {shot: sha256 for shot, sha256 in files.items() if sha256 is not None}
            takes = inputs.for_takes_sound(placed, there, self._params)
            return inputs.for_sound(self._film, placed, said, music, text, takes) | {"takes": takes}
        if plan.kind == "compose":
            segments = [self._file(item.shot.id, RenditionRole.SEGMENT) or "" for item in placed]
            segments.append(self._file(self._film.id, RenditionRole.SEGMENT) or "")
            sound = self._file(self._film.id, RenditionRole.SOUND) or ""
            return inputs.for_master(self._film, placed, self._entries, segments, sound)
        if plan.kind == "export" and self._master is not None:
            return inputs.for_export(plan.variant, self._film, placed, self._entries, self._master)
        return {}

    def _rewrite(self, shots: Sequence[Shot]) -> list[Any]:
        """The shots as the script's current version will have them, when it is newer than they are."""
        row = self._rows.get(("break_down", None, ""))
        if self._version is None or row is None or row.state is not StepState.SUCCEEDED:
            return list(shots)
        now = fingerprints({"script": self._version.text})["script"]
        if row.inputs.get("script", now) == now:
            return list(shots)
        plans = plan_shots(parse_script(self._version.text, cast(Dialect, self._version.format)))
        more = len(plans) - len(shots)
        if more > 0:
            self.reshaped = f"script: {more} shots are new" if more > 1 else "script: 1 shot is new"
        return [_Rewritten(shot, plan) for shot, plan in zip(shots, plans, strict=False)]

    def _added(self, kept: Sequence[Shot]) -> str | None:
        """Say which shot has come into the cut since the film was made."""
        planned = any(kind == "narrate" for kind, _, _ in self._rows)
        new = [s for s in kept if s.id in self._here and ("narrate", s.id, "") not in self._rows]
        return f"shot {new[0].position + 1} was added" if planned and new else self.reshaped

    def _place(self) -> list[Placed] | None:
        placed: list[Placed] = []
        start = 0
        for shot in self._shots:
            if shot.frames is None:
                return None
            placed.append(Placed(shot, start, shot.frames, self._film.fps))
            start += shot.frames
        return placed

    def _kept_asset(self, shot_id: UUID, part: str | None = None) -> UUID | None:
        row = self._rows.get(("keep_stock", shot_id, ""))
        return kept_asset(row.result, part) if row is not None else None

    def _file(self, asset_id: UUID | None, role: RenditionRole) -> str | None:
        return self._files.get((asset_id, role)) if asset_id is not None else None


class _Rewritten:
    """A shot with the words of a newer script version."""

    def __init__(self, shot: Shot, said: dict[str, Any]) -> None:
        self._shot = shot
        self.__dict__.update(said)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shot, name)


def read_scene(session: Session, job: Job, rows: Rows) -> Scene:
    """Read what a job's steps are made from; `rows` are its steps by kind, subject and variant."""
    film = session.get(Film, job.film_id) if job.film_id is not None else None
    if film is not None:
        return FilmScene(session, job, film, rows)
    return ClipScene(session, job, rows) if job.kind is JobKind.TEXT_REMOVAL else Scene()


def _current_version(session: Session, film: Film) -> ScriptVersion | None:
    script = session.get(Script, film.script_id) if film.script_id else None
    if script is None or script.current_version_id is None:
        return None
    return session.get_one(ScriptVersion, script.current_version_id)


def _usable_takes(session: Session, shots: Sequence[Shot]) -> tuple[dict[UUID, Take], list[Take]]:
    """The take that each shot shows, as `films.usable_take` says for one, and all takes."""
    shown: dict[UUID, Take] = {}
    selected = {shot.id: shot.selected_take_id for shot in shots}
    takes = list(
        session.scalars(
            select(Take)
            .where(Take.shot_id.in_(selected), Take.status == AssetStatus.ACTIVE, Take.deleted_at.is_(None))
            .order_by(Take.number.desc())
        )
    )
    for take in takes:
        if take.id == selected[take.shot_id] or take.shot_id not in shown:
            shown[take.shot_id] = take
    return shown, takes


def _ranked(session: Session, shots: Sequence[Shot]) -> dict[UUID, list[str]]:
    """Every shot's ranked candidates as `<source>:<item>`."""
    ranked: dict[UUID, list[str]] = {}
    rows = session.execute(
        select(Candidate.shot_id, Candidate.source, Candidate.foreign_id)
        .where(
            Candidate.shot_id.in_([shot.id for shot in shots]),
            Candidate.position.is_not(None),
            Candidate.state != CandidateState.FAILED,
        )
        .order_by(Candidate.shot_id, Candidate.position)
    )
    for shot_id, source, item in rows:
        ranked.setdefault(cast(UUID, shot_id), []).append(f"{source}:{item}")
    return ranked


def _credits(session: Session, film: Film, outside: set[UUID | None]) -> list[dict[str, Any]]:
    """The film's credits; what they look up one by one is loaded in two queries before."""
    held = [
        *session.scalars(select(MediaAsset).where(MediaAsset.id.in_(outside))),
        *session.scalars(select(Origin).where(Origin.asset_id.in_(outside))),
    ]
    entries = list_credits(session, film.id)
    del held
    return entries


def _files(session: Session, assets: Sequence[UUID]) -> dict[tuple[UUID, RenditionRole], str]:
    """Digest of the latest file of each asset in each role."""
    rows = session.execute(
        select(Rendition.asset_id, Rendition.role, Rendition.blob_sha256)
        .where(Rendition.asset_id.in_(assets), Rendition.role.in_(_ROLES))
        .order_by(Rendition.asset_id, Rendition.role, Rendition.created_at.desc(), Rendition.id.desc())
        .ext(distinct_on(Rendition.asset_id, Rendition.role))
    )
    return {(asset, role): sha256 for asset, role, sha256 in rows}
