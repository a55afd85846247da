"""Phase shoot, first half: the pictures that a shot is made of are fetched and kept with their licences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Permanent
from core.licences import Licence
from db.assets import Asset, AssetKind, Film, Origin, Shot
from scrapers.base import Candidate as Found
from services import inputs
from services.candidates import chosen_picture, mark_kept, ranked_candidates
from services.films import kept_asset
from tasks.asked import asking
from tasks.inspection import Inspected, inspect
from tasks.library import find_asset, is_picture, keep_found, kept_already
from tasks.source import MAX_DOWNLOAD, licence_policy, pinned
from tasks.step import Run, step
from tasks.tries import MOST_TRIES, first_of, tell
from tasks.uses import as_found, tell_uses
from tasks.wiring import open_source

STILLS = ("image",)
PICTURES = ("image", "clip")


@step("keep_stock", version=2)
def keep_stock(run: Run) -> None:
    """Keep the picture a shot will show as a licensed asset, and the one that a vendor begins with.

    Nothing found is no failure. Sources that ask for it are told that theirs is used.
    """
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
        picture = chosen_picture(session, shot, retake_of(run))
        rows = [] if shot.image or shot.clip else ranked_candidates(session, shot, retake_of(run))
        tries = [Found.from_json(row.facts) for row in rows[:MOST_TRIES]]
    made = run.remember(**inputs.for_stock(picture, shot.reference, run.params))
    if made is None:
        made = _find(run, film, shot, tries)
    with run.loading() as session:
        used = as_found(session, (kept_asset(made), kept_asset(made, "reference")))
    uses = tell_uses(run, used)
    with run.saving() as session:
        _conclude(session, run, shot, {**made, "uses": uses} if uses else made)


def _find(run: Run, film: Film, shot: Shot, tries: list[Found]) -> dict[str, Any]:
    """Fetch what the script pins, else the first candidate that can be had; what is kept stays kept."""
    with run.timing("search_seconds"), run.loading() as session:
        pinned_one = _named(session, run, pin) if (pin := shot.image or shot.clip) else None
        begun_with = _begin(session, run, shot)
    tried = first_of(run, shot.id, tries, partial(_try, run, film)) if tries else None
    shown = tried.got if tried is not None else _fetch(run, film, pinned_one, PICTURES)
    first = _fetch(run, film, begun_with, STILLS, "begin")
    with run.keeping() as session:
        result = _kept_as(_keep(session, run, shown), _keep(session, run, first))
    return result | (tell(tried) if tried is not None else {})


def _conclude(session: Session, run: Run, shot: Shot, result: dict[str, Any]) -> None:
    """End the step, and have the candidates say which was kept and which could not be had.

    The plan compares with what is shown in the end; an equal shot elsewhere with what was tried first.
    """
    run.result = result
    if picture := result.get("picture"):
        asset_id = UUID(result["asset_id"]) if result["asset_id"] else None
        failed = [(source, item, why) for source, item, why in result["failed"]]
        mark_kept(session, run.film_id, shot.id, picture, asset_id, failed)
        run.note(**inputs.for_stock(picture, shot.reference, run.params))


def _try(run: Run, film: Film, number: int, one: Found) -> Fetched | UUID | None:
    with run.loading() as session:
        found = _unless_known(session, run, one)
    return _fetch(run, film, found, PICTURES, f"try-{number}")


@dataclass(frozen=True)
class Fetched:
    """What a source had, looked into and stored; it becomes an asset in the end."""

    found: Found
    inspected: Inspected


def _kept_as(shown: UUID | None, begun_with: UUID | None) -> dict[str, Any]:
    result: dict[str, Any] = {"asset_id": str(shown) if shown else None}
    return result if begun_with is None else {**result, "reference": {"asset_id": str(begun_with)}}


def _begin(session: Session, run: Run, shot: Shot) -> Found | UUID | None:
    """The still that a vendor's take begins with."""
    if not shot.reference:
        return None
    found = _named(session, run, shot.reference)
    if isinstance(found, UUID) and (asset := session.get_one(Asset, found)).kind is not AssetKind.IMAGE:
        raise Permanent(f"{shot.reference} is a {asset.kind.value}, not a still.", code="wrong_kind")
    return found


def _named(session: Session, run: Run, reference: str) -> Found | UUID:
    """What a script names: an asset of ours, or an item of a source, which may be an asset already.

    Ours too must have a licence that the brief takes.
    """
    source, item = pinned(reference)
    if source != "asset":
        with asking(run, source):
            found = open_source(source).get(item)
        return _unless_known(session, run, found)
    asset = find_asset(session, run.held.workspace_id, _uuid(item))
    if not is_picture(asset):
        raise Permanent(f"asset:{item} is a {asset.kind.value}, not a picture.", code="wrong_kind")
    if origin := session.get(Origin, asset.id):
        licence_policy(run.params).check(Licence.from_json(origin.licence_facts))
    return asset.id


def _unless_known(session: Session, run: Run, found: Found) -> Found | UUID:
    policy = licence_policy(run.params)
    policy.check(found.licence)
    return kept_already(session, run.held.workspace_id, found, policy) or found


def _fetch(
    run: Run, film: Film, found: Found | UUID | None, kinds: tuple[str, ...], out: str = "stock"
) -> Fetched | UUID | None:
    if not isinstance(found, Found):
        return found
    path = run.scratch / out
    name = found.foreign_id.rsplit("/", 1)[-1][:120]
    with asking(run, found.source):
        with run.timing("fetch_seconds"):
            open_source(found.source).fetch(found, path, MAX_DOWNLOAD)
        inspected = inspect(run, path, filename=name, width=film.width, height=film.height, found=found)
        if inspected.kind not in kinds:
            wanted = "a still" if kinds == STILLS else "a picture"
            what = "sound" if inspected.kind == "audio" else f"a {inspected.kind}"
            raise Permanent(f"{found.source}:{found.foreign_id} is {what}, not {wanted}.", code="wrong_kind")
    return Fetched(found, inspected)


def _keep(session: Session, run: Run, fetched: Fetched | UUID | None) -> UUID | None:
    if not isinstance(fetched, Fetched):
        return fetched
    policy = licence_policy(run.params)
    return keep_found(session, run.held.workspace_id, fetched.found, fetched.inspected, policy=policy).id


def retake_of(run: Run) -> int:
    return int(run.held.params.get("retake", 0))


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Permanent(f"asset:{value} is not an asset id.", code="bad_reference") from error
