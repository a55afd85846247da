"""The scratch folder: what a killed process left there is deleted."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import structlog
from sqlalchemy import select

from core.settings import get_settings
from core.storage import INCOMING
from db.session import reading
from db.work import Step, StepState
from tasks.beat import duty

log = structlog.get_logger()

LEFT_SECONDS = 3600.0
"""Nothing is worked on for so long without a change in its folder."""


@duty("clean_scratch")
def clean_scratch() -> None:
    """Delete what nobody has touched for an hour, unless its step is still being worked on.

    A step deletes its own folder; one whose worker was killed cannot, nor does it finish what it was storing.
    """
    home = get_settings().var_dir
    folders = [folder for folder in (home / "scratch", home / "store" / INCOMING) if folder.is_dir()]
    left = [path for folder in folders for path in folder.iterdir() if _age(path) > LEFT_SECONDS]
    if not left:
        return
    with reading() as session:
        rows = session.execute(select(Step.id, Step.attempt).where(Step.state == StepState.RUNNING)).all()
    at_work = {f"{row.id}-{row.attempt}" for row in rows}
    gone = [path for path in left if path.name not in at_work]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    log.info("deleted what killed processes had left", count=len(gone))


def _age(path: Path) -> float:
    """Seconds since anything in it changed; 0 when it goes away meanwhile."""
    try:
        times = [path.stat().st_mtime, *(inner.stat().st_mtime for inner in path.rglob("*"))]
    except OSError:
        return 0.0
    return time.time() - max(times)
