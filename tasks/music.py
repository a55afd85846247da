"""Phase source: the film gets its music: an asset, a named piece, or what is found for some words."""

from __future__ import annotations

from dataclasses import astuple
from functools import partial
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Invalid, Permanent
from core.ids import new_id
from core.licences import Licence
from core.wording import speaking_seconds
from db.assets import Film, Origin
from db.candidates import CandidateState
from media.ambient import render_ambient
from scrapers.base import Candidate, Query
from scrapers.scoring import Wish
from services.candidates import Row, keep_music_candidates, mark_kept
from services.ranking import Item, Place, Shelf, rank_film
from services.works import recently_shown
from tasks.asked import asking
from tasks.inspection import Inspected, inspect
from tasks.judging import judge
from tasks.library import find_asset, keep_found, kept_already, original_of
from tasks.search import search
from tasks.source import MAX_DOWNLOAD, licence_policy
from tasks.step import Run, step
from tasks.tries import MOST_TRIES, first_of, tell
from tasks.wiring import enabled_sources, open_source

MUSIC_SECONDS = 60.0
LEAST_SECONDS = 10.0
"""What is shorter is a sound, not music."""
PER_SOURCE = 12


@step("find_music", version=2)
def find_music(run: Run) -> None:
    """Find, fetch or make the music the brief asks for."""
    music = run.params["music"]
    if music["from"] == "asset":
        with run.loading() as session:
            asset = find_asset(session, run.held.workspace_id, UUID(music["id"]))
            if origin := session.get(Origin, asset.id):
                licence_policy(run.params).check(Licence.from_json(origin.licence_facts))
            run.name_inputs(music=original_of(session, asset).blob_sha256)
        with run.saving() as session:
            _use_music(session, run, {"asset_id": str(asset.id)})
    elif music["id"] is None:
        _find_by_words(run, music)
    else:
        _take_piece(run, music)


def _take_piece(run: Run, music: dict[str, Any]) -> None:
    made = run.remember(music=music, seed=run.params["seed"], licences=run.params["licences"])
    if made is None:
        with run.timing("search_seconds"), asking(run, music["from"]):
            candidate = open_source(music["from"]).get(music["id"])
        if candidate.kind != "audio":
            raise Invalid(f"{music['from']}:{music['id']} is not sound.", field="params.music.id")
        got = _fetch(run, 0, candidate)
        with run.saving() as session:
            _use_music(session, run, {"asset_id": str(_keep(session, run, candidate, got))})
        return
    with run.saving() as session:
        _use_music(session, run, made)


def _find_by_words(run: Run, music: dict[str, Any]) -> None:
    """Search, rank and fetch; a film for which nothing is found is silent, and its job says so."""
    words = (*music.get("words", ()), *([music["mood"]] if music.get("mood") else []))
    slugs = _named(run.params["sources"]) if music["from"] == "search" else [music["from"]]
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        recent = recently_shown(session, film, run.params.get("fresh_for_films", 0))
    params = run.params
    expected = params["target_duration"] or speaking_seconds(params["script"] or params["text"])
    seconds = 15 * ceil(expected / 15)
    made = run.remember(
        music=music, seed=params["seed"], licences=params["licences"], sources=sorted(slugs), seconds=seconds,
        heard=sorted(recent.names),
    )  # fmt: skip
    if made is None:
        query = Query(words=words, kind="audio", limit=PER_SOURCE, min_duration=LEAST_SECONDS)
        offered = search(run, slugs, [query]).found.values()
        placed = [one for lists in offered for found in lists for one in enumerate(found)]
        found = judge(placed, Wish(words, seconds=float(seconds)), licence_policy(params))
        usable = [one for one in found if one["state"] == CandidateState.FOUND]
        rows = [_row(one, recent.shown_in(one["same_as"], None)) for one in usable]
        (order,) = rank_film([Shelf([row.item for row in rows])], params["seed"])
        with run.keeping() as session:
            keep_music_candidates(session, session.get_one(Film, run.film_id), found, rows, order)
        if not order:
            raise Permanent(f"No music was found for {', '.join(words)}: the film has none.", code="no_music")
        tries = [Candidate.from_json(usable[place.number]["facts"]) for place in order]
        tried = first_of(run, None, tries[:MOST_TRIES], partial(_fetch, run))
        with run.keeping() as session:
            asset_id = _keep(session, run, tried.found, tried.got)
        ranked = [list(astuple(place)) for place in order]
        made = {"asset_id": str(asset_id), **tell(tried), "found": found, "order": ranked}
    with run.saving() as session:
        usable = [one for one in made["found"] if one["state"] == CandidateState.FOUND]
        rows = [_row(one, recent.shown_in(one["same_as"], None)) for one in usable]
        order = [Place(*place) for place in made["order"]]
        keep_music_candidates(session, session.get_one(Film, run.film_id), made["found"], rows, order)
        failed = [(source, item, why) for source, item, why in made["failed"]]
        mark_kept(session, run.film_id, None, made["picture"], UUID(made["asset_id"]), failed)
        _use_music(session, run, made)


def _named(asked: list[str] | None) -> list[str]:
    """The sources of sound among those that the brief names; every enabled one where it names none."""
    enabled = enabled_sources("audio")
    return enabled if asked is None else [slug for slug in asked if slug in enabled]


def _row(found: dict[str, Any], recent_in: str | None) -> Row:
    facts = found["facts"]
    names = tuple(found["same_as"])
    item = Item(facts["source"], facts["foreign_id"], found["score"], names, recent=recent_in is not None)
    return Row(new_id(), item, recent_in)


def _fetch(run: Run, number: int, candidate: Candidate) -> Inspected | UUID:
    """Fetch a piece, or make it; the asset that it is already, where it is one."""
    policy = licence_policy(run.params)
    policy.check(candidate.licence)
    with run.loading() as session:
        workspace, item = run.held.workspace_id, _item(run, candidate)
        known = kept_already(session, workspace, candidate, policy, foreign_id=item)
    if known is not None:
        return known
    out = run.scratch / f"music-{number}.wav"
    with run.timing("fetch_seconds"), asking(run, candidate.source):
        if candidate.generated is not None:
            mood: Any = candidate.generated
            render_ambient(out, duration=MUSIC_SECONDS, seed=run.params["seed"], mood=mood)
        else:
            open_source(candidate.source).fetch(candidate, out, MAX_DOWNLOAD)
    inspected = inspect(run, out, filename=f"{candidate.foreign_id}.wav", width=2, height=2, found=candidate)
    if inspected.kind != "audio":
        raise Invalid(f"{candidate.source}:{candidate.foreign_id} is not sound.", field="params.music.id")
    return inspected


def _keep(session: Session, run: Run, candidate: Candidate, got: Inspected | UUID) -> UUID:
    if isinstance(got, UUID):
        return got
    item, policy = _item(run, candidate), licence_policy(run.params)
    workspace = run.held.workspace_id
    return keep_found(session, workspace, candidate, got, policy=policy, foreign_id=item).id


def _item(run: Run, candidate: Candidate) -> str:
    """What is made here differs by seed, so each seed's piece is an item of its own."""
    seed = run.params["seed"]
    return f"{candidate.foreign_id}-{seed}" if candidate.generated and seed else candidate.foreign_id


def _use_music(session: Session, run: Run, result: dict[str, Any]) -> None:
    film = session.get_one(Film, run.film_id)
    film.metadata_ = {**film.metadata_, "music_asset_id": result["asset_id"]}
    run.result = result
