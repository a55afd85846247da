"""Phase shoot: the chosen stock is kept, and every shot gets a take."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent
from db.assets import Asset, AssetKind, Film, Rendition, RenditionRole, Shot, TakeOrigin
from db.session import transaction
from db.submissions import Submission
from db.work import Job, Step
from media.craft import Craft
from providers.base import AnswerState, Handle, VideoProvider, VideoRequest
from scrapers.base import Candidate as Found
from services import inputs
from services.films import add_take, chosen_picture, ranked_candidate
from services.outcomes import tried_providers
from services.submissions import intend, mark_succeeded
from tasks.library import blob_path, find_asset, inspect, is_picture, keep_asset, known_asset, original_of
from tasks.limits import circuit_open
from tasks.routing import Route, choose, look_at
from tasks.source import MAX_DOWNLOAD, licence_policy, origin_facts, pinned
from tasks.step import Run, step
from tasks.submit import ask_vendor, commission, tell_passed_over
from tasks.wiring import fonts_folder, open_source


@step("keep_stock")
def keep_stock(run: Run) -> None:
    """Fetch the picture a shot will show and keep it as a licensed asset; nothing found is no failure."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
        picture = chosen_picture(session, shot, _retake(run))
    made = run.remember(**inputs.for_stock(picture, run.params))
    if made is not None:
        run.save(made)
        return
    with run.timing("search_seconds"), run.loading() as session:
        found = _choose(session, run, shot)
        known = (
            known_asset(session, run.held.workspace_id, found.source, found.foreign_id)
            if isinstance(found, Found)
            else found
        )
    if isinstance(found, Found):
        licence_policy(run.params).check(found.licence)
    if known is not None or found is None:
        run.save({"asset_id": str(known) if known else None})
        return
    assert isinstance(found, Found)
    path = run.scratch / "stock"
    with run.timing("fetch_seconds"):
        open_source(found.source).fetch(found, path, MAX_DOWNLOAD)
    inspected = inspect(
        run, path, filename=found.foreign_id.rsplit("/", 1)[-1][:120], width=film.width, height=film.height
    )
    if inspected.kind == "audio":
        raise Permanent(f"{found.source}:{found.foreign_id} is sound, not a picture.", code="wrong_kind")
    with run.saving() as session:
        asset = keep_asset(
            session,
            workspace_id=run.held.workspace_id,
            inspected=inspected,
            name=found.title,
            source=found.source,
            foreign_id=found.foreign_id,
            licence=found.licence,
            raw_licence=found.raw_licence,
            origin=origin_facts(found),
        )
        run.result = {"asset_id": str(asset.id)}


def _choose(session: Session, run: Run, shot: Shot) -> Found | UUID | None:
    """What the script pins, an asset of ours or an item of a source; else the ranked candidate."""
    reference = shot.image or shot.clip
    if reference is not None:
        source, item = pinned(reference)
        if source != "asset":
            return open_source(source).get(item)
        asset = find_asset(session, run.held.workspace_id, _uuid(item))
        if not is_picture(asset):
            raise Permanent(f"asset:{item} is a {asset.kind.value}, not a picture.", code="wrong_kind")
        return asset.id
    candidate = ranked_candidate(session, shot, _retake(run))
    return Found.from_json(candidate.facts) if candidate is not None else None


def _retake(run: Run) -> int:
    return int(run.held.params.get("retake", 0))


@step("submit_take", soft=900, hard=960)
def submit_take(run: Run) -> None:
    """Have the shot's take made: here, from what was kept or as a card; or by a vendor, which answers later.

    `tasks.routing` says by whom; `fetch_take` brings a vendor's take.
    """
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
        stock = _kept(session, run)
        original = original_of(session, stock) if stock is not None else None
        asked = inputs.for_take(
            film,
            shot,
            run.params,
            retake=_retake(run),
            picture=original.blob_sha256 if original is not None else None,
            shown=stock is not None,
        )
        request = asked["request"]
        tried = tried_providers(session, run.held.step_id, request["seed"])
    seconds = (shot.frames or 1) / film.fps
    craft = Craft(
        fonts_folder(run.settings),
        on_progress=lambda done: run.report(done / seconds),
        should_stop=run.stopped,
    )
    told = ask_vendor(run, request)
    pinned = bool(shot.image or shot.clip)
    looks = look_at(
        run.params,
        VideoRequest(**told),
        pinned=pinned,
        tried=tried,
        circuit_open=circuit_open,
        craft=craft,
    )
    route = choose(run.params["routing"], looks)
    provider = route.provider
    if not provider.local:
        commission(run, route, shot, told)
        return
    made = run.remember(provider=provider.slug, model=provider.model, **asked)
    if made is None:
        made = _make(run, route, shot, request, stock, original)
    with run.saving() as session:
        tell_passed_over(session, run, route)
        take = _save_take(session, run, provider, request, stock, original, made)
        run.result = {**made, "take_id": str(take), "provider": provider.slug, "model": provider.model}


def _kept(session: Session, run: Run) -> Asset | None:
    result = session.scalar(
        select(Step.result).where(
            Step.job_id == run.job.id, Step.kind == "keep_stock", Step.subject_id == run.subject_id
        )
    )
    asset_id = (result or {}).get("asset_id")
    return find_asset(session, run.held.workspace_id, UUID(asset_id)) if asset_id else None


def _make(
    run: Run,
    route: Route,
    shot: Shot,
    request: dict[str, Any],
    stock: Asset | None,
    original: Rendition | None,
) -> dict[str, Any]:
    """Render here: the submission is written down first, as for any vendor."""
    ask, provider, quote = VideoRequest(**request), route.provider, route.quote
    with transaction() as session:
        submission = intend(
            session,
            session.get_one(Job, run.job.id),
            step_id=run.held.step_id,
            shot_id=shot.id,
            purpose="shot",
            provider=provider.slug,
            model=provider.model,
            request=request,
            quote=quote.amount,
            currency=quote.currency,
            routing=route.to_json(),
        )
    out = run.scratch / "take.mp4"
    with run.timing("render_seconds"):
        if original is None:
            answer = _render(provider, ask, submission.client_token, out)
        else:
            with blob_path(original) as picture:
                field = "clip" if stock is not None and stock.kind is AssetKind.CLIP else "image"
                shown = VideoRequest(**{**request, field: picture})
                answer = _render(provider, shown, submission.client_token, out)
    stored = run.store(
        out,
        mime="video/mp4",
        filename="take.mp4",
        width=ask.width,
        height=ask.height,
        duration=ask.frames / ask.fps,
        codec="h264",
    )
    return {"stored": stored.to_json(), "vendor_id": answer, "cost": 0, "currency": quote.currency}


def _render(provider: VideoProvider, ask: VideoRequest, token: str, out: Any) -> str:
    submitted = provider.submit(ask, token)
    answer = provider.poll([Handle(submitted.vendor_id)])[0]
    if answer.state is not AnswerState.SUCCEEDED:
        raise Permanent(answer.error or "The take was not made.", code="no_take")
    provider.fetch(answer, out)
    return submitted.vendor_id


def _save_take(
    session: Session,
    run: Run,
    provider: VideoProvider,
    request: dict[str, Any],
    stock: Asset | None,
    original: Rendition | None,
    made: dict[str, Any],
) -> UUID:
    shot = session.get_one(Shot, run.subject_id)
    take = add_take(
        session,
        shot,
        origin=TakeOrigin.STOCK if stock is not None else TakeOrigin.RENDERED,
        provider=provider.slug,
        model=provider.model,
        seed=request["seed"],
        cost=made["cost"],
        currency=made["currency"],
        source_asset_id=stock.id if stock is not None else None,
        input_hash=run.input_hash or "",
        instructions=run.held.params.get("instructions", ""),
    )
    run.attach(
        session,
        take.id,
        RenditionRole.ORIGINAL,
        made,
        parents=[original.id] if original is not None else [],
        tool=f"{provider.slug} {provider.model}",
        parameters=request,
    )
    if shot.selected_take_id is None:
        shot.selected_take_id = take.id
    submission = session.scalar(
        select(Submission)
        .where(
            Submission.step_id == run.held.step_id,
            Submission.provider == provider.slug,
            Submission.finished_at.is_(None),
        )
        .order_by(Submission.created_at.desc())
        .limit(1)
        .with_for_update()
    )
    if submission is not None:
        mark_succeeded(
            session,
            submission,
            take_id=take.id,
            actual_cost=made["cost"],
            vendor_id=f"{made['vendor_id']}:{submission.id}",
        )
    return take.id


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Permanent(f"asset:{value} is not an asset id.", code="bad_reference") from error
