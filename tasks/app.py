"""The Celery application, and what each of its processes does when it starts."""

from __future__ import annotations

import time
import warnings
from typing import Any

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert as upsert

from core.logging import configure_logging
from core.settings import get_settings
from db.session import dispose_after_fork, engine, transaction
from db.work import Heartbeat

HEARTBEAT_SECONDS = 10.0

app = Celery(
    "callsheet",
    include=[
        "tasks.write",
        "tasks.source",
        "tasks.music",
        "tasks.stock",
        "tasks.shoot",
        "tasks.submit",
        "tasks.poll",
        "tasks.mend",
        "tasks.callbacks",
        "tasks.takes_text",
        "tasks.finish",
        "tasks.deliver",
        "tasks.scrape",
        "tasks.text_removal",
        "tasks.bought_removal",
        "tasks.moderate",
        "tasks.notify",
        "tasks.uploads",
        "tasks.beat",
        "tasks.scratch",
        "tasks.schedules",
    ],
)
app.config_from_object("celeryconfig")

_last_report = 0.0


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    configure_logging(get_settings(), "worker")


warnings.filterwarnings("ignore", category=SecurityWarning)  # messages are JSON: no root can be pickled


@signals.beat_init.connect
def _say_that_beat_runs(**_: Any) -> None:
    """Celery's own word for it is among the quiet ones."""
    structlog.get_logger().info("beat ready.")


@signals.worker_process_init.connect
def _start_child(**_: Any) -> None:
    dispose_after_fork()


@signals.heartbeat_sent.connect
def _report_worker(sender: Any, **_: Any) -> None:
    """Write that this worker lives and what it can do; health reads it.

    Runs in the worker's parent process, which must keep no connection that a later child could inherit.
    """
    global _last_report  # noqa: PLW0603 (one timer per process, on the consumer's own thread)
    if time.monotonic() - _last_report < HEARTBEAT_SECONDS:
        return
    _last_report = time.monotonic()
    from tasks.wiring import describe_abilities, warn_of_disabled

    warn_of_disabled()
    worker = sender.eventer.hostname if hasattr(sender, "eventer") else str(sender)
    facts = {"worker": worker, **describe_abilities()}
    try:
        with transaction() as session:
            for queue in app.amqp.queues.consume_from:
                session.execute(
                    upsert(Heartbeat)
                    .values(name=f"worker:{queue}", facts=facts, beaten_at=func.now())
                    .on_conflict_do_update(
                        index_elements=["name"], set_={"facts": facts, "beaten_at": func.now()}
                    )
                )
    finally:
        engine().dispose()
