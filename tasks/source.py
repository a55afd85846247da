"""Phase source: every shot gets its voice, and stock that could show it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.errors import PipelineError, Unlicensed
from core.ids import new_id
from core.licences import LicenceClass, LicencePolicy
from db.assets import Candidate, Film, RenditionRole, Shot
from providers.base import SpeechRequest
from scrapers.base import Candidate as Found
from scrapers.base import Query
from scrapers.words import word_score
from services.films import film_shots
from tasks.step import Run, step
from tasks.timeline import frames_for
from tasks.wiring import enabled_sources, open_source, open_speech

log = structlog.get_logger()

MAX_DOWNLOAD = 300 * 1024**2
PER_SOURCE = 12
WORTH = {"order": 0.4, "words": 0.4, "size": 0.12, "shape": 0.08}
"""What each mark of a candidate counts; together 1."""
_SILENCE: dict[str, Any] = {"stored": None, "words": [], "duration": None}


@step("narrate")
def narrate(run: Run) -> None:
    """Speak a shot's narration and time its words; the shot is as long as that takes."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        fps = session.get_one(Film, run.film_id).fps
    made = _speak(run, shot.narration) if shot.narration else _SILENCE
    frames = frames_for(made["duration"], shot.asked_duration, fps)
    with run.saving() as session:
        shot = session.get_one(Shot, run.subject_id)
        shot.words = made["words"]
        shot.frames = frames
        shot.duration = frames / fps
        if made["stored"] is not None:
            run.attach(session, shot.id, RenditionRole.NARRATION, made)
        run.result = {**made, "frames": frames}


def _speak(run: Run, text: str) -> dict[str, Any]:
    made = run.remember(
        text=text,
        narrator=run.params["narrator"],
        voice=run.params["voice"],
        language=run.params["language"],
    )
    if made is not None:
        return made
    speaker = open_speech(run.params["narrator"])
    out = run.scratch / "narration.wav"
    with run.timing("speech_seconds"):
        speech = speaker.speak(
            SpeechRequest(text=text, voice=run.params["voice"], language=run.params["language"]), out
        )
    words = [[word.text, round(word.start, 3), round(word.end, 3)] for word in speech.words]
    stored = run.store(
        out,
        mime="audio/wav",
        filename="narration.wav",
        duration=speech.duration,
        codec="pcm_s16le",
        facts={"voice": speech.voice, "model": speech.model, "provider": speaker.slug},
    )
    return {"stored": stored.to_json(), "words": words, "duration": speech.duration}


@step("find_stock", version=2)
def find_stock(run: Run) -> None:
    """Search the sources for pictures of a shot; what the licence policy forbids is left out."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
    if shot.image or shot.clip or not shot.search_words:
        found: list[dict[str, Any]] = []
    else:
        words = tuple(shot.search_words)
        orientation = _shape(film.width, film.height)
        asked = run.params["sources"]
        slugs = sorted({*enabled_sources("image"), *enabled_sources("clip")}) if asked is None else asked
        made = run.remember(
            words=words,
            sources=slugs,
            orientation=orientation,
            size=[film.width, film.height],
            licences=run.params["licences"],
        )
        found = _search(run, words, slugs, orientation) if made is None else made["found"]
    with run.saving() as session:
        session.execute(delete(Candidate).where(Candidate.shot_id == run.subject_id))
        for item in found:
            session.execute(
                upsert(Candidate)
                .values(
                    id=new_id(),
                    workspace_id=run.held.workspace_id,
                    shot_id=run.subject_id,
                    source=item["facts"]["source"],
                    foreign_id=item["facts"]["foreign_id"],
                    kind=item["facts"]["kind"],
                    score=item["score"],
                    reasons=item["reasons"],
                    facts=item["facts"],
                )
                .on_conflict_do_nothing()
            )
        run.result = {"found": found}


def _search(run: Run, words: tuple[str, ...], slugs: list[str], orientation: str) -> list[dict[str, Any]]:
    """Ask every source; one that fails is a warning as long as another one answers."""
    policy = licence_policy(run.params)
    found: list[dict[str, Any]] = []
    troubles: list[PipelineError] = []
    for slug in slugs:
        try:
            source = open_source(slug)
            for kind in [kind for kind in ("image", "clip") if kind in source.kinds]:
                found += _judge(
                    source.search(Query(words=words, kind=kind, limit=PER_SOURCE)), policy, words, orientation
                )
        except PipelineError as error:
            log.warning("a source did not answer", source=slug, error=error.message)
            troubles.append(error)
    if troubles and len(troubles) == len(slugs):
        raise troubles[0]
    return found


def _judge(
    candidates: list[Found], policy: LicencePolicy, words: tuple[str, ...], orientation: str
) -> list[dict[str, Any]]:
    """Score what was found; drop what the policy forbids.

    What a picture shows counts most: the source's own order, and how many of the words its title and tags
    have. Size and shape count little, since any picture can be fitted into any frame.
    """
    kept = []
    for order, candidate in enumerate(candidates):
        if not policy.verdict(candidate.licence).ok:
            continue
        short = min(candidate.width or 0, candidate.height or 0)
        reasons = {
            "order": round(1 / (1 + order / 3), 4),
            "words": round(min(word_score(words, candidate.title, candidate.tags) / len(words), 1.0), 4),
            "size": round(min(short / 720, 1.0), 4),
            "shape": float(_shape(candidate.width or 0, candidate.height or 0) == orientation),
        }
        score = sum(WORTH[name] * mark for name, mark in reasons.items())
        kept.append({"facts": candidate.to_json(), "score": round(score, 4), "reasons": reasons})
    return kept


def origin_facts(candidate: Found) -> dict[str, Any]:
    """The provenance columns of a kept candidate."""
    return {
        "title": candidate.title,
        "landing_url": candidate.landing_url,
        "media_url": candidate.media_url,
        "creator": candidate.creator,
        "creator_url": candidate.creator_url,
        "attribution": candidate.attribution,
    }


@step("rank")
def rank(run: Run) -> None:
    """Order every shot's candidates so that no picture comes twice while there is another."""
    with run.saving() as session:
        shots = film_shots(session, run.film_id)
        found: dict[UUID, list[Candidate]] = {shot.id: [] for shot in shots}
        for row in session.scalars(
            select(Candidate)
            .where(Candidate.shot_id.in_(found))
            .order_by(Candidate.score.desc(), Candidate.source, Candidate.foreign_id)
        ):
            found[row.shot_id].append(row)
        used: set[tuple[str, str]] = set()
        chosen = {}
        for shot in shots:
            rows = found[shot.id] or _borrow(session, shot, shots, found, used)
            fresh = [row for row in rows if (row.source, row.foreign_id) not in used]
            ordered = fresh + [row for row in rows if row not in fresh]
            for position, row in enumerate(ordered):
                row.position = position
            if ordered:
                used.add((ordered[0].source, ordered[0].foreign_id))
                chosen[str(shot.id)] = f"{ordered[0].source}:{ordered[0].foreign_id}"
        run.result = {"chosen": chosen}


def _borrow(
    session: Session,
    shot: Shot,
    shots: list[Shot],
    found: dict[UUID, list[Candidate]],
    used: set[tuple[str, str]],
) -> list[Candidate]:
    """Find a picture for a shot nothing was found for: its neighbours' spare ones first, nearest first.

    A shot that pins its picture, or asks for none, keeps that. What is borrowed says so in its reasons.
    """
    if shot.image or shot.clip or (shot.title and not shot.search_words):
        return []
    nearest = sorted(shots, key=lambda other: abs(other.position - shot.position))
    offers = [(row, other) for other in nearest if other.id != shot.id for row in found[other.id]]
    spare = [offer for offer in offers if (offer[0].source, offer[0].foreign_id) not in used]
    if not offers:
        return []
    row, other = (spare or offers)[0]
    borrowed = Candidate(
        workspace_id=shot.workspace_id,
        shot_id=shot.id,
        source=row.source,
        foreign_id=row.foreign_id,
        kind=row.kind,
        score=0.0,
        reasons={"borrowed_from": f"shot {other.position + 1}"},
        facts=row.facts,
    )
    session.add(borrowed)
    session.flush()
    return [borrowed]


def licence_policy(params: dict[str, Any]) -> LicencePolicy:
    """The brief's licence policy as a value."""
    asked = params["licences"]
    return LicencePolicy(
        frozenset(LicenceClass(name) for name in asked["allow"]), asked["share_alike"], asked["commercial"]
    )


def pinned(reference: str) -> tuple[str, str]:
    """Split a script's reference into source and item; a bare URL has no licence, so it is refused."""
    if reference.startswith(("http://", "https://")):
        raise Unlicensed(
            f"{reference} comes without a licence. Upload the file with its licence and name it "
            "as `asset:<id>`."
        )
    source, _, item = reference.partition(":")
    return source, item


def _shape(width: int, height: int) -> str:
    if abs(width - height) * 8 <= max(width, height):
        return "square"
    return "landscape" if width > height else "portrait"
