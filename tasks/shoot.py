"""Phase shoot, second half: every shot gets a take."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent
from db.assets import Asset, AssetKind, Film, Rendition, RenditionRole, Shot, TakeOrigin
from db.session import transaction
from db.submissions import Submission
from db.work import Job
from media.craft import Craft
from providers.base import AnswerState, Handle, VideoProvider, VideoRequest
from services import inputs
from services.films import add_take
from services.outcomes import tried_providers
from services.submissions import intend, mark_succeeded
from tasks.library import blob_path, find_asset, original_of
from tasks.limits import circuit_open
from tasks.routing import Route, choose, look_at
from tasks.step import Run, step
from tasks.stock import retake_of
from tasks.submit import ask_vendor, commission, tell_passed_over
from tasks.takes import ask_for_take, kept_for
from tasks.wiring import fonts_folder


@step("submit_take", soft=900, hard=960)
def submit_take(run: Run) -> None:
    """Have the shot's take made: here, from what was kept or as a card; or by a vendor, which answers later.

    `tasks.routing` says by whom; `fetch_take` brings a vendor's take.
    """
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        film = session.get_one(Film, run.film_id)
        stock, reference = _kept(session, run), _kept(session, run, "reference")
        original = original_of(session, stock) if stock is not None else None
        begun_with = original_of(session, reference).blob_sha256 if reference is not None else None
        asked = inputs.for_take(
            film,
            shot,
            run.params,
            retake=retake_of(run),
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
    told = ask_vendor(run, request, begun_with)
    with ask_for_take(told) as ask:
        looks = look_at(
            run.params,
            ask,
            pinned=bool(shot.image or shot.clip),
            moving=stock is not None and stock.kind is AssetKind.CLIP,
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
    run.note(audio=ask.audio)
    if made is None:
        made = _make(run, route, shot, request, stock, original)
    with run.saving() as session:
        tell_passed_over(session, run, route)
        take = _save_take(session, run, provider, request, stock, original, made)
        run.result = {**made, "take_id": str(take), "provider": provider.slug, "model": provider.model}


def _kept(session: Session, run: Run, part: str | None = None) -> Asset | None:
    asset_id = kept_for(session, run.job.id, run.subject_id, part)
    return find_asset(session, run.held.workspace_id, asset_id) if asset_id is not None else None


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
