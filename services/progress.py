"""Progress: how much of a job is done, reckoned in seconds of work, and how long the rest will take.

Every step gets a weight when it is planned: the seconds its kind takes here (its **pace**, learnt from the
jobs that succeeded) times how much there is of it. Phases that are not planned yet are expected from the
shots, or from what the brief says. A phase moves progress along a line that is drawn when the phase begins
or is begun again (`course`): from what was shown then, to what its share of the remaining work is worth.
So better knowledge later changes the speed of the bar and never takes back what was shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Float, case, cast, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.briefs import FILM_PHASES
from db.assets import Clip, Film, Shot
from db.work import Job, JobKind, JobState, Pace, Step, StepState
from services.films import film_shots
from services.steps import StepPlan

TOP = 0.99
"""Where progress stops until the job has succeeded."""
SLOWEST_LESSON = 0.2
"""Share that the newest job has in a pace, however many there were before."""
WORDS_PER_SECOND, SHOT_SECONDS, AIR_SECONDS = 2.4, 4.5, 0.7
CREDITS_SECONDS = 9.0

# kind, or kind and variant: seconds on two cores for one unit, and the unit:
# "step"; "frame", a megapixel of the picture's size; "shot", a second of it in megapixels;
# "film", a second of the film; "pixels", a megapixel of every frame of a clip
BUILT_IN: dict[str, tuple[float, str]] = {
    "write_script": (1.0, "step"),
    "break_down": (0.05, "step"),
    "narrate": (0.2, "step"),
    "find_stock": (0.5, "step"),
    "find_music": (0.5, "step"),
    "rank": (0.05, "step"),
    "keep_stock": (0.5, "step"),
    "submit_take": (0.33, "shot"),
    "fetch_take": (1.0, "step"),
    "clean_take": (0.6, "step"),
    "render_segment": (0.45, "shot"),
    "mix_sound": (0.1, "film"),
    "credits_card": (7.5, "frame"),
    "compose": (0.04, "film"),
    "moderate": (0.05, "film"),
    "export poster": (0.5, "step"),
    "export": (0.05, "step"),
    "close": (0.05, "step"),
    "find_text": (0.02, "pixels"),
    "clean_clip": (0.05, "pixels"),
    "verify_clip": (0.02, "pixels"),
    "order_clip": (0.2, "step"),
    "fetch_clip": (1.0, "step"),
    "report_clip": (1.0, "step"),
    "search_source": (1.0, "step"),
    "keep_candidates": (5.0, "step"),
}
EXPORTS = ("poster", "srt", "vtt", "credits_txt", "credits_csv", "credits_json", "manifest")
EXPECTED: dict[JobKind, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    JobKind.FILM: {
        "write": ((), ("write_script", "break_down")),
        "source": (("narrate", "find_stock"), ("find_music", "rank")),
        "shoot": (("keep_stock", "submit_take"), ()),
        "finish": (("clean_take", "render_segment"), ("mix_sound", "credits_card", "compose")),
        "deliver": ((), (*(f"export {kind}" for kind in EXPORTS), "close")),
    },
    JobKind.TEXT_REMOVAL: {
        "detect": ((), ("find_text",)),
        "clean": ((), ("clean_clip", "verify_clip", "order_clip")),
        "deliver": ((), ("report_clip", "close")),
    },
    JobKind.SCRAPE: {"search": ((), ("search_source",)), "keep": ((), ("keep_candidates", "close"))},
}
"""What a phase will have before its rows are there: kinds for each shot, and kinds once."""


@dataclass(frozen=True)
class Size:
    """How much there is to make: megapixels of a frame, and seconds of each shot."""

    megapixels: float = 0.0
    shots: tuple[float, ...] = ()
    frames: float = 0.0
    """Of the clip that a job without a film works on."""

    @property
    def film(self) -> float:
        return sum(self.shots) + CREDITS_SECONDS

    def units(self, unit: str, shot: float) -> float:
        """Units of one step; `shot` is the length of its shot in seconds."""
        sizes = {"frame": self.megapixels, "shot": shot * self.megapixels, "film": self.film}
        sizes["pixels"] = self.frames * self.megapixels
        return {**sizes, "step": 1.0}[unit]


def weigh(session: Session, job: Job, plans: Sequence[StepPlan]) -> list[StepPlan]:
    """Give each planned step its weight in seconds."""
    paces, size, shots = _paces(session), _size(session, job), _lengths(session, job)
    usual = size.film / max(1, len(size.shots))
    return [
        replace(
            plan,
            weight=_weight(paces, size, f"{plan.kind} {plan.variant}", shots.get(plan.subject_id, usual)),
        )
        for plan in plans
    ]


def set_course(session: Session, job: Job) -> None:
    """Draw the line that progress follows through the job's phase, from what is shown now.

    A job that is taken up again after its end starts at the share of its work that is still good.
    """
    done, total = _work(session, job)
    later = sum(total[phase] - done[phase] for phase in total if _is_later(job, phase))
    later += sum(_expected(session, job, [p for p in _phases(job) if _is_later(job, p) and p not in total]))
    here = job.phase or ""
    left = total.get(here, 0.0) - done.get(here, 0.0)
    if job.progress >= 1.0:
        job.progress = TOP * sum(done.values()) / max(sum(total.values()) + later, 1e-9)
    share = done[here] / total[here] if total.get(here) else 0.0
    end = job.progress + (TOP - job.progress) * left / max(left + later, 1e-9)
    start = (job.progress - end * share) / (1 - share) if share < 1 else end
    job.course = {"from": start, "to": end, "later": round(later, 3)}


@contextmanager
def kept(session: Session, job: Job, *, if_behind: bool = False) -> Iterator[None]:
    """Keep what was shown while steps are opened again or come to be, and go on from there.

    `if_behind`: only when there is more to do than before.
    """
    job.progress = measure(session, job)["progress"] or 0.0
    yield
    session.flush()
    if not if_behind or _reach(session, job).progress < job.progress:
        set_course(session, job)


def measure(session: Session, job: Job) -> dict[str, float | None]:
    """Progress 0..1, never less than it was and 1 only at success, and the seconds left while it runs."""
    if job.state is JobState.SUCCEEDED:
        return {"progress": 1.0, "eta_seconds": None}
    if not job.course:
        return {"progress": job.progress, "eta_seconds": None}
    reached = _reach(session, job)
    left = round(reached.seconds_left, 1) if job.state is JobState.RUNNING else None
    return {"progress": max(job.progress, reached.progress), "eta_seconds": left}


@dataclass(frozen=True)
class _Reached:
    progress: float
    seconds_left: float


def _reach(session: Session, job: Job) -> _Reached:
    """Where the job's phase is on its line."""
    worked = (Step.state == StepState.SUCCEEDED) & Step.reused_from.is_(None)
    total, done, expected, seconds, running = session.execute(
        select(
            func.coalesce(func.sum(Step.weight), 0.0),
            func.coalesce(func.sum(Step.weight * _DONE), 0.0),
            func.sum(Step.weight).filter(worked),
            func.sum(Step.seconds).filter(worked),
            func.count().filter(Step.state == StepState.RUNNING),
        ).where(Step.job_id == job.id, Step.phase == job.phase)
    ).one()
    if not job.course:
        return _Reached(0.0, 0.0)
    begin, end = job.course["from"], job.course["to"]
    reached = begin + (end - begin) * (done / total if total else 1.0)
    speed = expected / seconds if seconds else 1.0  # of this machine now, against the paces
    left = (total - done + job.course["later"]) / speed / max(1, running)
    return _Reached(round(min(reached, TOP), 4), left)


def learn(session: Session, job: Job) -> None:
    """Let a job that succeeded teach how long each kind of step takes here; nothing from what was reused."""
    film = session.get(Film, job.film_id) if job.film_id else None
    size = _size(session, job)
    variant = case((Step.kind == "export", Step.variant), else_="")
    rows = session.execute(
        select(Step.kind, variant, func.count(), func.sum(Step.seconds), func.sum(Shot.duration))
        .outerjoin(Shot, Shot.id == Step.subject_id)
        .where(
            Step.job_id == job.id,
            Step.state == StepState.SUCCEEDED,
            Step.reused_from.is_(None),
            Step.seconds.is_not(None),
            Step.result["skipped"].as_string().is_(None),
        )
        .group_by(Step.kind, variant)
        .order_by(Step.kind, variant)  # one order for all: two jobs that end at once lock the same rows
    ).all()
    if film is None and job.kind is JobKind.FILM:
        return
    for kind, which, count, seconds, shot_seconds in rows:
        _, unit = _figure(f"{kind} {which}".strip())
        units = size.units(unit, float(shot_seconds or 0.0)) * (1 if unit == "shot" else count)
        if units <= 0:
            continue
        pace = upsert(Pace).values(kind=kind, variant=which, seconds=float(seconds) / units, jobs=1)
        share = func.greatest(SLOWEST_LESSON, cast(1.0, Float) / (Pace.jobs + 1))
        session.execute(
            pace.on_conflict_do_update(
                index_elements=[Pace.kind, Pace.variant],
                set_={
                    "seconds": Pace.seconds + (pace.excluded.seconds - Pace.seconds) * share,
                    "jobs": Pace.jobs + 1,
                },
            )
        )


_DONE: Any = case(
    (Step.state.in_((StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED)), 1.0), else_=Step.progress
)


def _work(session: Session, job: Job) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of work done and in all, by phase, of the steps that are planned."""
    rows = session.execute(
        select(Step.phase, func.sum(Step.weight * _DONE), func.sum(Step.weight))
        .where(Step.job_id == job.id)
        .group_by(Step.phase)
    ).all()
    return {phase: float(done) for phase, done, _ in rows}, {phase: float(total) for phase, _, total in rows}


def _phases(job: Job) -> list[str]:
    phases = list(EXPECTED[job.kind])
    return phases[: phases.index(job.stop_after) + 1] if job.stop_after in phases else phases


def _is_later(job: Job, phase: str) -> bool:
    phases = _phases(job)
    if phase not in phases:
        return False
    return job.phase is None or phases.index(phase) > phases.index(job.phase)


def _expected(session: Session, job: Job, phases: Sequence[str]) -> Iterator[float]:
    """Seconds of work that phases will have whose steps are not planned yet."""
    paces, size = _paces(session), _size(session, job)
    for phase in phases:
        per_shot, once = EXPECTED[job.kind][phase]
        for kind in per_shot:
            yield sum(_weight(paces, size, kind, seconds) for seconds in size.shots)
        for kind in once:
            yield _weight(paces, size, kind, size.film)


def _weight(paces: dict[str, float], size: Size, name: str, shot: float) -> float:
    kind, _, variant = name.strip().partition(" ")
    key = f"{kind} {variant}" if kind == "export" else kind
    seconds, unit = _figure(key)
    return max(0.001, paces.get(key, seconds) * size.units(unit, shot))


def _figure(key: str) -> tuple[float, str]:
    return BUILT_IN.get(key) or BUILT_IN.get(key.partition(" ")[0], (1.0, "step"))


def _paces(session: Session) -> dict[str, float]:
    rows = session.execute(select(Pace.kind, Pace.variant, Pace.seconds))
    return {f"{kind} {variant}".strip(): seconds for kind, variant, seconds in rows}


def _lengths(session: Session, job: Job) -> dict[Any, float]:
    if job.film_id is None:
        return {}
    return {shot.id: _seconds(shot) for shot in film_shots(session, job.film_id)}


def _seconds(shot: Shot) -> float:
    said = len(shot.narration.split()) / WORDS_PER_SECOND + AIR_SECONDS
    return shot.duration or max(said, shot.asked_duration or 0.0)


def _size(session: Session, job: Job) -> Size:
    """The size of the job's film: of its shots once there are any, else what the brief lets expect."""
    if job.kind is JobKind.TEXT_REMOVAL:
        return _size_of_clip(session.get(Clip, UUID(job.params["asset_id"])))
    film = session.get(Film, job.film_id) if job.film_id else None
    if film is None:
        return Size()
    lengths = tuple(_lengths(session, job).values()) or _from_brief(job.params)
    return Size(film.width * film.height / 1e6, lengths)


def _size_of_clip(clip: Clip | None) -> Size:
    """As it was seen when it came in; before that, a minute of 720p."""
    if clip is None or not clip.duration or not clip.width or not clip.height:
        return Size(0.92, frames=1500.0)
    return Size(clip.width * clip.height / 1e6, frames=clip.duration * (clip.fps or 25.0))


def _from_brief(params: dict[str, Any]) -> tuple[float, ...]:
    words = params["script"] or params["text"]
    spoken = len(words.split()) / WORDS_PER_SECOND
    if params["script"] is None:
        spoken = params["target_duration"] or spoken
        count = max(1, round(spoken / SHOT_SECONDS))
    else:
        count = max(1, len(re.findall(r"\n[ \t]*\n(?!#)", words.strip())) + 1)
    return (max(spoken / count, 1.0),) * count


assert tuple(EXPECTED[JobKind.FILM]) == FILM_PHASES
