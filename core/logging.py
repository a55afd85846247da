"""Logs: one line of JSON in production, readable in a terminal, secrets blanked out in both."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.types import Processor

from core.redact import redact
from core.settings import Settings

# Celery says twice what every task does; a step says once what became of it, and duties are silent.
_QUIET = (
    "celery.app.trace",
    "celery.worker.strategy",
    "celery.beat",
    "urllib3",
    "botocore",
    "boto3",
    "s3transfer",
    "amqp",
    "kombu.pidbox",
    "werkzeug",
    "gunicorn.access",
)
_SECRET_NAMES = ("key", "token", "secret", "password", "authorization", "signature", "credential")
_HARMLESS = ("key_prefix", "idempotency_key", "storage_key", "token_count")


def configure_logging(settings: Settings, service: str) -> None:
    """Send structlog's and the standard library's records through one formatter to stderr.

    `service` names the process (`api`, `worker-io`, `beat`, …). `request_id`, `job`, `step` and `task`
    come from `structlog.contextvars.bind_contextvars`. Safe to call again: the last call counts.
    """
    pretty = settings.log_format == "pretty" or (
        settings.log_format == "auto" and settings.callsheet_env == "development" and sys.stderr.isatty()
    )
    shared = _shared_processors(service)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last(pretty=pretty)],
        )
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _StderrHandler(logging.Handler):
    """Writes to what is stderr now: one that was replaced may be closed."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def _shared_processors(service: str) -> list[Processor]:
    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        add_service,
        blank_secrets,
    ]


def _last(*, pretty: bool) -> list[Processor]:
    if pretty:
        return [structlog.dev.ConsoleRenderer()]
    return [
        structlog.processors.format_exc_info,
        _redact_exception,
        structlog.processors.JSONRenderer(default=str),
    ]


def _redact_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The one text that is written after `blank_secrets` has been over the event."""
    if "exception" in event:
        event["exception"] = redact(str(event["exception"]))
    return event


def blank_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank out values whose name says secret, and secrets inside texts, at any depth."""
    for name, value in event.items():
        event[name] = _blank(name, value)
    return event


def _blank(name: str, value: Any) -> Any:
    lowered = name.lower()
    if lowered not in _HARMLESS and isinstance(value, str) and lowered.endswith(_SECRET_NAMES):
        return "***"
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: _blank(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(name, v) for v in value]
    return value
