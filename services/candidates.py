"""What sources offered for a film: kept with its score, ranked, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import and_, delete, insert, select, text
from sqlalchemy.orm import Session

from core.ids import new_id
from db.assets import Film, Shot
from db.candidates import Candidate, CandidateState
from services.library import find_asset
from services.paging import Page, Window
from services.ranking import FRESH, RECENT, REPEATED, SMALL, Item, Place
from services.works import recently_shown

Failed = tuple[str, str, str]
"""Source and item of a candidate that could not be had, and why."""
MOST_KEPT, MOST_REFUSED = 80, 40
"""Candidates of a shot that are written down, and how many of them that the licence policy forbids."""
_STATES = {
    FRESH: CandidateState.RANKED,
    RECENT: CandidateState.RECENTLY_USED,
    SMALL: CandidateState.TOO_SMALL,
}


@dataclass(frozen=True)
class Row:
    """A candidate as the ranking sees it; `recent_in` names the earlier film that shows it.

    `failed`: its file could not be had. It keeps its place, so that nothing else is ranked anew for that.
    """

    id: UUID
    item: Item
    recent_in: str | None = None
    failed: bool = False


def keep_candidates(
    session: Session, film: Film, shot_id: UUID | None, found: Sequence[dict[str, Any]]
) -> None:
    """Write down what was found for a shot, or for the film's music, instead of what was found before."""
    session.execute(
        delete(Candidate).where(Candidate.film_id == film.id, Candidate.shot_id.is_not_distinct_from(shot_id))
    )
    rows = {
        (item["facts"]["source"], item["facts"]["foreign_id"]): {
            "id": new_id(),
            "workspace_id": film.workspace_id,
            "film_id": film.id,
            "shot_id": shot_id,
            **{name: item["facts"][name] for name in ("source", "foreign_id", "kind")},
            **item,
        }
        for item in reversed(found)
    }
    if rows:
        session.execute(insert(Candidate), list(reversed(rows.values())))


def found_candidates(
    session: Session, film: Film, shots: Sequence[Shot], fresh_for: int
) -> dict[UUID, list[Row]]:
    """What was found for each shot and may be used, best first; what it borrowed is not in it."""
    found: dict[UUID, list[Row]] = {shot.id: [] for shot in shots}
    recent = recently_shown(session, film, fresh_for)
    rows = session.execute(
        select(
            Candidate.shot_id,
            Candidate.id,
            Candidate.source,
            Candidate.foreign_id,
            Candidate.score,
            Candidate.same_as,
            Candidate.perceptual_hash,
            Candidate.small,
            Candidate.state,
        )
        .where(
            Candidate.shot_id.in_(found),
            Candidate.lender_id.is_(None),
            Candidate.state != CandidateState.REFUSED,
        )
        .order_by(Candidate.score.desc(), Candidate.source, Candidate.foreign_id)
    )
    for shot_id, row_id, source, foreign_id, score, names, look, small, state in rows:
        shown_in = recent.shown_in(names, look)
        item = Item(source, foreign_id, score, tuple(names), look, small, shown_in is not None)
        found[cast(UUID, shot_id)].append(Row(row_id, item, shown_in, state is CandidateState.FAILED))
    return found


def write_ranking(
    session: Session,
    shots: Sequence[Shot],
    found: Mapping[UUID, Sequence[Row]],
    order: Sequence[Sequence[Place]],
) -> None:
    """Give every candidate its place and say why; a shot nothing was found for borrows."""
    session.execute(
        delete(Candidate).where(
            Candidate.shot_id.in_([shot.id for shot in shots]), Candidate.lender_id.is_not(None)
        )
    )
    written: list[tuple[UUID, int, str | None, str | None]] = []
    for number, (shot, places) in enumerate(zip(shots, order, strict=True)):
        rows = [found[shots[place.owner].id][place.number] for place in places]
        best = max((row.item.score for row in rows), default=0.0)
        first = next((position for position, row in enumerate(rows) if not row.failed), 0)
        for position, (row, place) in enumerate(zip(rows, places, strict=True)):
            chosen = position == first
            reason = _reason(row, place, position, shot=number, of=len(rows), best=best, chosen=chosen)
            if place.owner != number:
                _borrow(session, shot, row.id, reason)
            elif row.failed:
                written.append((row.id, position, None, None))
            else:
                state = CandidateState.CHOSEN if chosen else _state(place)
                written.append((row.id, position, state.value, reason))
    if written:
        ids, positions, states, reasons = (list(column) for column in zip(*written, strict=True))
        session.execute(_PLACE, {"ids": ids, "positions": positions, "states": states, "reasons": reasons})


def _borrow(session: Session, shot: Shot, row_id: UUID, reason: str) -> None:
    lent = session.get_one(Candidate, row_id)
    copied = ("workspace_id", "film_id", "source", "foreign_id", "kind", "score", "score_version", "parts",
              "same_as", "perceptual_hash", "small", "facts")  # fmt: skip
    session.add(
        Candidate(
            **{name: getattr(lent, name) for name in copied},
            shot_id=shot.id,
            lender_id=lent.shot_id,
            state=CandidateState.CHOSEN,
            position=0,
            reason=reason,
        )
    )


def _state(place: Place) -> CandidateState:
    if place.tier != REPEATED:
        return _STATES[place.tier]
    return CandidateState.NEAR_DUPLICATE if place.distance else CandidateState.USED_ELSEWHERE


def _reason(row: Row, place: Place, position: int, *, shot: int, of: int, best: float, chosen: bool) -> str:
    """Say in a sentence why a candidate stands where it stands; shots count from 1 for people."""
    why = ""
    if place.tier == REPEATED:
        shown = "this shot" if place.other == shot else f"shot {(place.other or 0) + 1}"
        alike = f"looks like the picture of {shown} (distance {place.distance})"
        why = alike if place.distance else f"{shown} shows it already"
    elif place.tier == RECENT:
        why = f"used in the film “{row.recent_in}” of this project"
    elif place.tier == SMALL:
        why = "it claims fewer pixels than a film takes"
    if not chosen:
        score = f"scores {row.item.score:.2f}, the best {best:.2f}"
        return f"ranked {position + 1} of {of}: {why or score}"
    if place.owner != shot:
        lender = f"chosen: borrowed from shot {place.owner + 1}, because nothing was found for this one"
        return f"{lender}; {why}" if why else lender
    if why:
        return f"chosen although {why}: there is nothing else" if of > 1 else f"chosen although {why}"
    return f"chosen: the best of {of}, with {row.item.score:.2f}"


_PLACE = text(
    """
UPDATE candidates SET position = new.position, state = coalesce(new.state, candidates.state),
    reason = coalesce(new.reason, candidates.reason)
FROM unnest(
        CAST(:ids AS uuid[]), CAST(:positions AS int[]), CAST(:states AS text[]), CAST(:reasons AS text[])
    ) AS new (id, position, state, reason)
WHERE candidates.id = new.id
"""
)


def chosen_picture(session: Session, shot: Shot, retake: int) -> str | None:
    """What a shot will show, as `<source>:<item>`: what its script pins, else the ranked candidate."""
    if pinned := shot.image or shot.clip:
        return pinned
    rows = ranked_candidates(session, shot, retake)
    return f"{rows[0].source}:{rows[0].foreign_id}" if rows else None


def ranked_candidates(session: Session, shot: Shot, retake: int) -> list[Candidate]:
    """The candidates to try, the best first; for each retake it begins with the next one, round and round.

    One whose file could not be had is not tried again before the shot is ranked anew.
    """
    rows = list(
        session.scalars(
            select(Candidate)
            .where(
                Candidate.shot_id == shot.id,
                Candidate.position.is_not(None),
                Candidate.state != CandidateState.FAILED,
            )
            .order_by(Candidate.position)
        )
    )
    first = retake % len(rows) if rows else 0
    return rows[first:] + rows[:first]


def keep_music_candidates(
    session: Session, film: Film, found: Sequence[dict[str, Any]], rows: Sequence[Row], order: Sequence[Place]
) -> None:
    """Write down what was found for the film's music; `rows` are those that may be used."""
    best = max((row.item.score for row in rows), default=0.0)
    ranked = {}
    for position, place in enumerate(order):
        row = rows[place.number]
        reason = _reason(row, place, position, shot=0, of=len(order), best=best, chosen=position == 0)
        state = CandidateState.CHOSEN if position == 0 else _state(place)
        ranked[row.item.source, row.item.foreign_id] = {
            "position": position,
            "state": state.value,
            "reason": reason,
        }
    keep_candidates(
        session,
        film,
        None,
        [
            {**item, **ranked.get((item["facts"]["source"], item["facts"]["foreign_id"]), {})}
            for item in found
        ],
    )


def mark_kept(
    session: Session,
    film_id: UUID,
    shot_id: UUID | None,
    kept: str | None,
    asset_id: UUID | None,
    failed: Sequence[Failed],
) -> None:
    """Say of the candidates of a shot, or of the music, which one became an asset and which could not.

    `kept` is its source and item: `<source>:<item>`.
    """
    rows = {
        f"{row.source}:{row.foreign_id}": row
        for row in session.scalars(
            select(Candidate).where(
                Candidate.film_id == film_id,
                Candidate.shot_id.is_not_distinct_from(shot_id),
                Candidate.position.is_not(None),
            )
        )
    }
    for source, foreign_id, why in failed:
        if row := rows.get(f"{source}:{foreign_id}"):
            row.state, row.reason = CandidateState.FAILED, f"failed: {why}"
    for item, row in rows.items():
        if row.state is CandidateState.CHOSEN and item != kept:
            row.state = CandidateState.SHOWN_BEFORE
            row.reason = "an earlier take shows it" if row.asset_id else "another is shown"
    row = rows.get(kept) if kept is not None else None
    if row is not None:
        if failed:
            row.reason = f"chosen after {len(failed)} that could not be had"
        elif row.state is not CandidateState.CHOSEN:
            row.reason = f"chosen for another take; {row.reason}"
        row.state, row.asset_id = CandidateState.CHOSEN, asset_id


def list_candidates(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    shot_id: UUID | None = None,
    film_id: UUID | None = None,
) -> Page[Candidate]:
    """What was found for a shot, or for a film's music: first what is ranked, then what is refused."""
    if shot_id is not None:
        find_asset(session, workspace_id, Shot, shot_id)
    elif film_id is not None:
        find_asset(session, workspace_id, Film, film_id)
    place = (Candidate.position.asc().nulls_last(), Candidate.score.desc(), Candidate.id)
    mine = Candidate.shot_id == shot_id
    if shot_id is None:
        mine = and_(Candidate.film_id == film_id, Candidate.shot_id.is_(None))
    ids = session.scalars(select(Candidate.id).where(mine).order_by(*place)).all()
    start = ids.index(window.after) + 1 if window.after in ids else 0
    wanted = ids[start : start + window.limit]
    rows = session.scalars(select(Candidate).where(Candidate.id.in_(wanted)).order_by(*place)).all()
    more = start + window.limit < len(ids)
    return Page(rows, wanted[-1] if more else None)
