"""Text that a vendor removes: ordered when the job asks for it, or when what was done here does not pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Misconfigured, OverBudget, Permanent, Rejected
from core.storage import blob_key
from db.assets import Asset, RenditionRole
from db.submissions import Submission
from db.work import Step
from providers.base import RemovalRequest, TextRemover
from services import inputs, outcomes
from services.renditions import StoredFile, add_rendition
from tasks.errands import ERRANDS, Errand
from tasks.library import original_of, public_link
from tasks.removers import HERE, facts, for_vendor, vendor_for
from tasks.routing import refuse_unknown_price
from tasks.step import Run, step, storage
from tasks.submit import bring_home, write_down
from tasks.text_removal import NOTHING, asked_clip, result_of
from tasks.wiring import open_remover

PURPOSE = "text_removal"
LINK_HOURS = 24.0
"""How long a vendor may take to read a clip."""


@step("order_clip")
def order_clip(run: Run) -> None:
    """Write down what a vendor is to clean, unless there is no need, no vendor, or no money for it."""
    with run.loading() as session:
        original = asked_clip(session, run)
        seen = result_of(session, run, "find_text")
        checked = result_of(session, run, "verify_clip", "local")
        tried = outcomes.tried_providers(session, run.held.step_id)
        locked = _locked(session, run)
        clip = facts(session, original)
    slug = vendor_for(run.params)
    why = None
    if not seen["count"]:
        why = NOTHING
    elif checked.get("proof", {}).get("clean"):
        why = "What was done here passes."
    elif slug is None:
        why = "No vendor may be asked: the job says local, or none has a key."
    if why is not None or slug is None:
        run.save({"skipped": why})
        return
    if locked is not None:
        raise Permanent(
            f"{slug} has made it and holds it back: {locked} Nothing is ordered a second time.", code="locked"
        )
    if not clip["duration"]:  # sent with its job, and nobody has described it yet: the price hangs on these
        clip |= {"width": seen["width"], "height": seen["height"], "duration": seen["frames"] / seen["fps"]}
    asked = {"clip": original.blob_sha256, "asked": inputs.for_cleaning(run.params)}
    if run.params["method"] not in HERE:
        _order(run, open_remover(slug), asked, clip, tried)
        return
    try:
        _order(run, open_remover(slug), asked, clip, tried)
    except (Rejected, Permanent, Misconfigured) as error:  # the job asked for the best there is, not for this
        short = "The budget does not allow to ask a vendor. " if isinstance(error, OverBudget) else ""
        run.inputs, run.input_hash = {}, None
        run.save({"skipped": f"{short}{error.message}"})


def _order(
    run: Run,
    remover: TextRemover,
    asked: dict[str, Any],
    clip: dict[str, Any],
    tried: dict[tuple[str, str], str],
) -> None:
    """Have a vendor clean the clip, unless an equal order was paid for before."""
    if (why := tried.get((remover.slug, remover.model))) is not None:
        raise Permanent(f"{remover.slug} did not clean it: {why}", code="not_cleaned")
    made = run.remember(provider=remover.slug, model=remover.model, **asked)
    if made is not None:
        with run.saving():
            run.result = {**made, "cost": 0}
        return
    request = {"params": run.params, "clip": asked["clip"], **clip}
    with _put_to_vendor(request) as told:
        quote = remover.quote(told)
    refuse_unknown_price(remover.slug, quote, run.params)
    with run.saving() as session:
        write_down(session, run, remover, request, quote, purpose=PURPOSE)


def _locked(session: Session, run: Run) -> str | None:
    """What a vendor said of an order of this clip that it has made and holds back."""
    return session.scalar(
        select(Submission.error_message)
        .where(Submission.step_id == run.held.step_id, Submission.error_code == "locked")
        .order_by(Submission.created_at.desc())
        .limit(1)
    )


@step("fetch_clip", soft=900, hard=960)
def fetch_clip(run: Run) -> None:
    """Bring home a clip that a vendor has cleaned."""
    bring_home(run)


@contextmanager
def _put_to_vendor(request: dict[str, Any]) -> Iterator[RemovalRequest]:
    """Lend the clip as a file, and as a link where the world outside reaches us."""
    key = blob_key(request["clip"])
    size = {name: request[name] for name in ("width", "height", "duration", "size")}
    with storage().local(key) as path:
        link = public_link(key, filename="clip.mp4", mime="video/mp4", hours=LINK_HOURS)
        yield for_vendor(request["params"], url=link, clip=path, **size)


def _frame_of_clip(session: Session, row: Submission) -> tuple[int, int] | None:
    step_ = session.get(Step, row.step_id) if row.step_id else None
    if step_ is None or step_.subject_id is None or session.get(Asset, step_.subject_id) is None:
        return None
    return row.request["width"], row.request["height"]


def _keep_clip(session: Session, row: Submission, made: dict[str, Any]) -> dict[str, Any]:
    """Give the clip the vendor's file, for it was paid; `report_clip` says whether it is any good."""
    asked_by = session.get_one(Step, row.step_id)
    clip = session.get_one(Asset, asked_by.subject_id)
    made["stored"] |= {"filename": "cleaned.mp4"}
    add_rendition(
        session,
        workspace_id=row.workspace_id,
        asset_id=clip.id,
        role=RenditionRole.CLEANED,
        stored=StoredFile.from_json(made["stored"]),
        input_hash=row.input_hash,
        parents=[original_of(session, clip).id],
        step_id=row.step_id,
        tool=f"{row.provider} {row.model}",
        parameters=inputs.for_cleaning(row.request["params"]),
    )
    return {}


ERRANDS[PURPOSE] = Errand(_put_to_vendor, _frame_of_clip, _keep_clip)
