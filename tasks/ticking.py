"""Beat's scheduler: goes on when somebody sets the machine's clock back."""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery.beat import PersistentScheduler

log = structlog.get_logger()


class SteadyScheduler(PersistentScheduler):
    """Fires on whatever the clock does; Celery's own fires nothing for as long as it was set back."""

    _offset: float | None = None

    def tick(self, *args: Any, **more: Any) -> Any:
        self._forget_the_future()
        return super().tick(*args, **more)

    def _forget_the_future(self) -> None:
        """Count from now what was last fired at a time still to come, before a restart too."""
        offset = time.time() - time.monotonic()
        if self._offset is None or offset < self._offset - 1:
            now = self.app.now()
            ahead = [entry for entry in self.schedule.values() if entry.last_run_at > now]
            for entry in ahead:
                entry.last_run_at = now
            if ahead:
                self._heap = None
                log.warning("the clock was set back; duties are counted from now", duties=len(ahead))
        self._offset = offset
