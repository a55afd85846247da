"""Gunicorn's configuration; every value that an installation changes is a setting."""

from typing import Any

from core.settings import get_settings

_settings = get_settings()

bind = f"{_settings.api_host}:{_settings.api_port}"
worker_class = "gthread"
workers = 2
threads = 32  # a long poll or an event stream holds one
timeout = 60
graceful_timeout = 15
keepalive = 15
max_requests = 20_000  # a slow leak in any library ends here
max_requests_jitter = 2_000
accesslog = None  # the application logs each request, with its id and time
errorlog = "-"
control_socket_disable = True  # signals are enough; a socket beside the process is one more door


def post_worker_init(_worker: Any) -> None:
    """Load the pipeline before the first request, which would wait half a second for it."""
    import tasks.quotes  # noqa: F401
