"""Celery's settings; why each is what it is, is in docs/pipeline.md.

Messages carry ids only and Postgres holds the truth, so a lost message costs time and a doubled one a
claim that finds nothing. The visibility timeout is long on purpose: a lease, not the broker, decides when
a silent worker's step is given to another.
"""

from kombu.entity import Exchange, Queue

from core.embedded import broker_url as _broker_url
from core.embedded import redis_url as _redis_url
from core.settings import get_settings

_settings = get_settings()
_LONGEST_STEP = 3600
_PREFIX = "callsheet:"

broker_url = _broker_url(_settings)
result_backend = _redis_url(_settings)  # read by chords alone

if broker_url.startswith("redis"):
    broker_transport_options = {
        "visibility_timeout": 2 * _LONGEST_STEP,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "global_keyprefix": _PREFIX,
    }
else:
    broker_transport_options = {"confirm_publish": True}
    broker_heartbeat = 30
    # Delayed delivery takes no direct exchange.
    _exchange = Exchange("callsheet", type="topic")  # type: ignore[no-untyped-call]
    _arguments = {"x-queue-type": "quorum", "x-consumer-timeout": 2 * _LONGEST_STEP * 1000}
    task_queues = [
        Queue(name, _exchange, routing_key=name, queue_arguments=_arguments)  # type: ignore[no-untyped-call]
        for name in ("control", "scrape", "submit", "poll", "notify", "media")
    ]
    worker_detect_quorum_queues = True
result_backend_transport_options = {
    "visibility_timeout": 2 * _LONGEST_STEP,
    "global_keyprefix": _PREFIX,
    "retry_policy": {"timeout": 2.0},
}
visibility_timeout = 2 * _LONGEST_STEP
redis_socket_timeout = 30
redis_socket_connect_timeout = 2
redis_socket_keepalive = True

broker_connection_timeout = 2
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_pool_acquire_timeout = 5
task_publish_retry = False

task_serializer = result_serializer = "json"
accept_content = ["json"]
timezone = "UTC"

task_ignore_result = True
result_expires = 3600
result_chord_expires = 7200
task_acks_late = True
task_reject_on_worker_lost = False  # the lease gives the step back; a looping message would not
task_acks_on_timeout = True
task_track_started = False
worker_prefetch_multiplier = 1
worker_soft_shutdown_timeout = 5.0
worker_enable_soft_shutdown_on_idle = False  # nothing to give back: waits live in Postgres
worker_max_tasks_per_child = 2000
worker_max_memory_per_child = 1_500_000
worker_eta_task_limit = 500
worker_send_task_events = True
task_send_sent_event = False  # received, started and ended are what Flower shows
worker_hijack_root_logger = False
worker_redirect_stdouts = False
beat_max_loop_interval = 3
beat_scheduler = "tasks.ticking:SteadyScheduler"
beat_schedule_filename = str(_settings.var_dir / "celerybeat-schedule")

task_default_queue = "control"
task_routes = {
    "find_stock": {"queue": "scrape"},
    "find_music": {"queue": "scrape"},
    "keep_stock": {"queue": "scrape"},
    "search_source": {"queue": "scrape"},
    "keep_candidates": {"queue": "scrape"},
    "narrate": {"queue": "media"},
    "submit_take": {"queue": "media"},
    "send_submission": {"queue": "submit"},
    "fetch_take": {"queue": "submit"},
    "keep_late_take": {"queue": "submit"},
    "poll_submissions": {"queue": "poll"},
    "mend_submissions": {"queue": "poll"},
    "take_callback": {"queue": "poll"},
    "take_callbacks": {"queue": "poll"},
    "clean_take": {"queue": "media"},
    "render_segment": {"queue": "media"},
    "credits_card": {"queue": "media"},
    "mix_sound": {"queue": "media"},
    "compose": {"queue": "media"},
    "export": {"queue": "media"},
    "moderate": {"queue": "media"},
    "notify_people": {"queue": "notify"},
    "find_text": {"queue": "media"},
    "clean_clip": {"queue": "media"},
    "order_clip": {"queue": "submit"},
    "fetch_clip": {"queue": "submit"},
    "verify_clip": {"queue": "media"},
    "report_clip": {"queue": "media"},
    "inspect_upload": {"queue": "media"},
}


def _every(task: str, seconds: float) -> dict[str, object]:
    """A duty; its message is worthless once the next one is due.

    Beat keeps one connection for good, and only a second try makes it open a new one.
    """
    return {
        "task": task,
        "schedule": seconds,
        "options": {
            "expires": max(2 * seconds, 5.0),
            "retry": True,
            "retry_policy": {"max_retries": 1, "interval_start": 0},
        },
    }


beat_schedule = {
    "tick": _every("tick", 5.0),
    "advance-idle-jobs": _every("advance_idle_jobs", _settings.sweep_seconds),
    "reclaim-expired-leases": _every("reclaim_expired_leases", _settings.sweep_seconds),
    "poll-submissions": _every("poll_submissions", min(_settings.poll_seconds, 2.0)),
    "mend-submissions": _every("mend_submissions", min(_settings.sweep_seconds, 2.0)),
    "take-callbacks": _every("take_callbacks", min(_settings.sweep_seconds, 2.0)),
    "forget-callbacks": _every("forget_callbacks", 3600.0),
    "recheck-budgets": _every("recheck_budgets", _settings.sweep_seconds),
    "run-due-schedules": _every("run_due_schedules", 5.0),
    "end-overdue-jobs": _every("end_overdue_jobs", _settings.sweep_seconds),
    "expire-uploads": _every("expire_uploads", 600.0),
    "expire-holds": _every("expire_holds", 60.0),
    "expire-approvals": _every("expire_approvals", 60.0),
    "heed-clock": _every("heed_clock", 30.0),
    "clean-blobs": _every("clean_blobs", 3600.0),
    "forget-source-errors": _every("forget_source_errors", 3600.0),
    "clean-scratch": _every("clean_scratch", 600.0),
    "verify-books": _every("verify_books", 300.0),
}
