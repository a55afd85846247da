"""The master judged before it is delivered, by whom the brief names; what it must not show stops the film."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from core.errors import Moderated, Permanent
from db.assets import Film, Rendition
from media.export import poster
from providers.base import Moderator
from services.timeline import picture_times
from tasks.library import blob_path
from tasks.purchases import buy
from tasks.step import Run, step
from tasks.wiring import open_moderator


@step("moderate")
def moderate(run: Run) -> None:
    """Have pictures of the master judged, one every few seconds; raises Moderated naming what was seen."""
    moderator = open_moderator(run.params["moderation"])
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        master = session.get(Rendition, film.master_rendition_id) if film.master_rendition_id else None
    if master is None:
        raise Permanent("The film has no master to judge.", code="no_master")
    made = run.remember(master=master.blob_sha256, moderator=moderator.slug, model=moderator.model)
    if made is None:
        findings: list[list[Any]] = []
        times = picture_times(master.duration or 0.0)
        with blob_path(master) as path:
            for number, at in enumerate(times):
                judge = partial(_judge, run, moderator, path, at)
                asked = {"master": master.blob_sha256, "at": at}
                seen = judge() if moderator.local else buy(
                    run, purpose="moderation", provider=moderator.slug, model=moderator.model,
                    request=asked, quote=moderator.quote(1), call=judge,
                )  # fmt: skip
                findings += [[at, *finding] for finding in seen["findings"]]
                run.report((number + 1) / len(times))
        made = {"findings": findings, "pictures": len(times)}
    if made["findings"]:
        at, label, confidence, _ = made["findings"][0]
        raise Moderated(
            f"{moderator.slug} sees “{label}” ({confidence:.0%}) at {at:g} s of the film"
            f"{', and more' if len(made['findings']) > 1 else ''}. Change the shot and retry.",
        )
    run.save(made)


def _judge(run: Run, moderator: Moderator, master: Path, at: float) -> dict[str, Any]:
    picture = run.scratch / "judged.jpg"
    poster(master, picture, at=at)
    found = moderator.judge(picture)
    return {"findings": [[one.label, one.confidence, one.parent] for one in found]}
