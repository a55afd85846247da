"""Phase source: every shot gets its voice, and stock that could show it."""

from __future__ import annotations

from dataclasses import astuple, replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Unlicensed
from core.licences import LicenceClass, LicencePolicy
from db.assets import Film, RenditionRole, Shot
from providers.base import SpeechProvider, SpeechRequest
from scrapers.base import Candidate as Found
from scrapers.base import Query, shape_of
from scrapers.kinds import Kind
from scrapers.scoring import Wish
from services import inputs
from services.candidates import Row, found_candidates, keep_candidates, write_ranking
from services.films import film_shots
from services.ranking import Place, Shelf, rank_film
from services.timeline import frames_for
from tasks.judging import judge, look_at
from tasks.purchases import buy
from tasks.search import search
from tasks.step import Run, step
from tasks.wiring import enabled_sources, open_speech

MAX_DOWNLOAD = 300 * 1024**2
PER_SOURCE = 12
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


@step("find_stock", version=3)
def find_stock(run: Run) -> None:
    """Search the sources for pictures of a shot, and score them; what is forbidden says so."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
    asked = inputs.for_search(film, shot, run.params)
    words = tuple(asked["search_words"])
    slugs = run.params["sources"]
    if slugs is None:
        slugs = sorted({*enabled_sources("image"), *enabled_sources("clip")})
    made = run.remember(**asked, sources=slugs if words else [])
    if made is None:
        wish = Wish(words, film.width, film.height, float(asked["at_least"]))
        offered = _search(run, film, words, slugs) if words else []
        made = {"found": judge(offered, wish, licence_policy(run.params))}
        look_at(run, made["found"])
    with run.saving() as session:
        keep_candidates(session, session.get_one(Film, run.film_id), run.subject_id, made["found"])
        run.result = made


def _search(run: Run, film: Film, words: tuple[str, ...], slugs: list[str]) -> list[tuple[int, Found]]:
    """Ask every source; one that fails is a warning as long as another one answers."""
    width, height = film.width, film.height
    asked = Query(words, limit=PER_SOURCE, orientation=shape_of(width, height), width=width, height=height)
    queries = [replace(asked, kind=kind) for kind in _PICTURES]
    offered = search(run, slugs, queries).found.values()
    return [placed for lists in offered for one in lists for placed in enumerate(one)]


@step("rank", version=2)
def rank(run: Run) -> None:
    """Choose every shot's picture so that none comes twice, and nothing the project's last films show."""
    with run.loading() as session:
        shots, found = _found(session, run)
    made = run.remember(**inputs.for_ranking(shots, found, run.params))
    if made is None:
        shelves = [Shelf([row.item for row in found[shot.id]], inputs.may_borrow(shot)) for shot in shots]
        with run.timing("rank_seconds"):
            order = rank_film(shelves, run.params["seed"])
        made = {"order": [[list(astuple(place)) for place in places] for places in order]}
    with run.saving() as session:
        shots, found = _found(session, run)
        order = [[Place(*place) for place in places] for places in made["order"]]
        write_ranking(session, shots, found, order)
        run.result = made


def _found(session: Session, run: Run) -> tuple[list[Shot], dict[UUID, list[Row]]]:
    shots = film_shots(session, run.film_id)
    film = session.get_one(Film, run.film_id)
    return shots, found_candidates(session, film, shots, run.params.get("fresh_for_films", 0))


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
