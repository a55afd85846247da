"""Phase source: every shot gets its voice, and stock that could show it."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.errors import Unlicensed
from core.ids import new_id
from core.licences import LicenceClass, LicencePolicy
from db.assets import Candidate, Film, RenditionRole, Shot
from providers.base import SpeechProvider, SpeechRequest
from scrapers.base import Candidate as Found
from scrapers.base import Query
from scrapers.kinds import Kind
from scrapers.words import word_score
from services import inputs
from services.films import BORROWED, film_shots, forget_borrowed, found_candidates
from services.timeline import frames_for
from tasks.purchases import buy
from tasks.search import search
from tasks.step import Run, step
from tasks.wiring import enabled_sources, open_speech

MAX_DOWNLOAD = 300 * 1024**2
PER_SOURCE = 12
WORTH = {"order": 0.4, "words": 0.4, "size": 0.12, "shape": 0.08}
"""What each mark of a candidate counts; together 1."""
_PICTURES: tuple[Kind, ...] = ("image", "clip")
_SILENCE: dict[str, Any] = {"stored": None, "words": [], "duration": None}


@step("narrate")
def narrate(run: Run) -> None:
    """Speak a shot's narration and time its words; the shot is as long as that takes."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
    asked = inputs.for_narration(film, shot, run.params)
    speaker = open_speech(run.params["narrator"]) if shot.narration else None
    if speaker is not None and not speaker.local:
        asked["model"] = speaker.model
    made = run.remember(**asked)
    run.note(**inputs.for_length(film, shot))
    if made is None and speaker is None:
        made = _SILENCE
    elif made is None and speaker is not None:
        say = partial(_speak, run, film, shot.narration, speaker)
        made = say() if speaker.local else buy(
            run, purpose="narration", provider=speaker.slug, model=speaker.model, request=asked,
            quote=speaker.quote(len(shot.narration)), call=say, shot_id=shot.id,
        )  # fmt: skip
    assert made is not None
    frames = frames_for(made["duration"], shot.asked_duration, film.fps)
    with run.saving() as session:
        shot = session.get_one(Shot, run.subject_id)
        shot.words = made["words"]
        shot.frames = frames
        shot.duration = frames / film.fps
        if made["stored"] is not None:
            run.attach(session, shot.id, RenditionRole.NARRATION, made)
        run.result = {**made, "frames": frames}


def _speak(run: Run, film: Film, text: str, speaker: SpeechProvider) -> dict[str, Any]:
    out = run.scratch / "narration.wav"
    with run.timing("speech_seconds"):
        speech = speaker.speak(SpeechRequest(text=text, voice=film.voice, language=film.language), out)
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
    asked = inputs.for_search(film, shot, run.params)
    words = tuple(asked["search_words"])
    slugs = run.params["sources"]
    if slugs is None:
        slugs = sorted({*enabled_sources("image"), *enabled_sources("clip")})
    made = run.remember(**asked, sources=slugs if words else [])
    if made is not None:
        found: list[dict[str, Any]] = made["found"]
    else:
        found = _search(run, words, slugs, _shape(film.width, film.height)) if words else []
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
    queries = [Query(words=words, kind=kind, limit=PER_SOURCE) for kind in _PICTURES]
    offered = search(run, slugs, queries).found.values()
    return [item for lists in offered for one in lists for item in _judge(one, policy, words, orientation)]


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


@step("rank")
def rank(run: Run) -> None:
    """Order every shot's candidates so that no picture comes twice while there is another."""
    with run.loading() as session:
        shots = film_shots(session, run.film_id)
        found = found_candidates(session, shots)
    made = run.remember(**inputs.for_ranking(shots, found)) or {"order": _order(shots, found)}
    with run.saving() as session:
        shots = film_shots(session, run.film_id)
        found = found_candidates(session, shots)
        forget_borrowed(session, shots)
        for shot, places in zip(shots, made["order"], strict=True):
            for position, (owner, place) in enumerate(places):
                row = found[shots[owner].id][place]
                if row.shot_id != shot.id:
                    row = _borrow(session, shot, shots[owner], row)
                row.position = position
        run.result = made


def _order(shots: list[Shot], found: dict[UUID, list[Candidate]]) -> list[list[tuple[int, int]]]:
    """For every shot its candidates, best first: the shot that each was found for, and its place there.

    A shot nothing was found for borrows one: its neighbours' spare ones first, nearest first.
    """
    used: set[tuple[str, str]] = set()

    def item(place: tuple[int, int]) -> tuple[str, str]:
        row = found[shots[place[0]].id][place[1]]
        return row.source, row.foreign_id

    order = []
    for number, shot in enumerate(shots):
        places = [(number, place) for place in range(len(found[shot.id]))]
        if not places and inputs.may_borrow(shot):
            nearest = sorted(range(len(shots)), key=lambda other: abs(other - number))
            places = [(other, place) for other in nearest for place in range(len(found[shots[other].id]))]
            places = sorted(places, key=lambda place: item(place) in used)[:1]
        places = sorted(places, key=lambda place: item(place) in used)
        used.update(item(place) for place in places[:1])
        order.append(places)
    return order


def _borrow(session: Session, shot: Shot, owner: Shot, row: Candidate) -> Candidate:
    """Give a shot the candidate of another; its reasons say so."""
    borrowed = Candidate(
        workspace_id=shot.workspace_id,
        shot_id=shot.id,
        source=row.source,
        foreign_id=row.foreign_id,
        kind=row.kind,
        score=0.0,
        reasons={BORROWED: f"shot {owner.position + 1}"},
        facts=row.facts,
    )
    session.add(borrowed)
    return borrowed


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
