"""Places at which a test can have a process die, stall or fail.

Crashes that matter happen between two instructions, where no outside kill can aim. Code that must survive
one says `reach("claim.after")`; a test arms the point by a file in `VAR_DIR/failpoints`, so that a worker
which runs already obeys, and exactly one process does: the one that takes the file away. To kill a whole
worker at a point, order `stall`, wait until it is `reached`, and kill from outside.
Without FAILPOINTS=true, and always in production, `reach` does nothing.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Literal

from core.errors import Retryable
from core.settings import Settings, get_settings

Action = Literal["kill", "stall", "fail"]
STALL_SECONDS = 10.0


def reach(point: str, job: str = "", step: str = "") -> None:
    """Do what was ordered for this point, once; mostly nothing.

    `job` is the id of the job concerned, `step` the kind of the step: an order may be for one of them
    alone. Raises Retryable when the order is `fail`.
    """
    settings = get_settings()
    if not settings.failpoints or settings.callsheet_env == "production":
        return
    folder = settings.var_dir / "failpoints"
    order = folder / point
    try:
        wish = json.loads(order.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if (wish["job"] and wish["job"] != job) or (wish["step"] and wish["step"] != step):
        return
    taken = folder / f".{point}.{os.getpid()}"
    try:
        order.rename(taken)
    except FileNotFoundError:
        return  # another process was first
    taken.write_text(str(os.getpid()), encoding="utf-8")
    taken.rename(folder / f"{point}.reached")
    _obey(wish["action"], point)


def arm(settings: Settings, point: str, action: Action, *, job: str = "", step: str = "") -> None:
    """Order an action for the next process that reaches the point (in this job, in such a step)."""
    folder = settings.var_dir / "failpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{point}.reached").unlink(missing_ok=True)
    draft = folder / f".{point}"
    draft.write_text(json.dumps({"action": action, "job": job, "step": step}), encoding="utf-8")
    draft.replace(folder / point)


def reached(settings: Settings, point: str) -> int | None:
    """The id of the process that took the last order for this point, None while nobody did."""
    try:
        return int((settings.var_dir / "failpoints" / f"{point}.reached").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def disarm(settings: Settings) -> None:
    """Withdraw every order."""
    folder = settings.var_dir / "failpoints"
    for order in folder.iterdir() if folder.is_dir() else ():
        order.unlink(missing_ok=True)


def _obey(action: Action, point: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stall":
        time.sleep(STALL_SECONDS)
        return
    raise Retryable(f"The failpoint {point} was armed.", code="failpoint")
