"""Flower's configuration: a view behind a login, which can change nothing."""

import ast
from typing import Any

from core.errors import Misconfigured
from core.settings import get_settings

_settings = get_settings()
if _settings.flower_basic_auth is None:
    raise Misconfigured(
        "Flower needs a login: set FLOWER_BASIC_AUTH=user:password, or start it with `make up`."
    )

address = _settings.api_host
port = _settings.flower_port
basic_auth = [_settings.flower_basic_auth.get_secret_value()]
read_only = True  # with control allowed, its API may send any task
persistent = True
db = str(_settings.var_dir / "flower.db")
state_save_interval = 10_000  # ms; without it a killed Flower forgets everything
max_tasks = 10_000
purge_offline_workers = 600
natural_time = True
auto_refresh = True
tasks_columns = "name,kwargs,state,received,started,runtime,worker,exception"


def format_task(task: Any) -> Any:
    """Name a task by what it does, on what and at which attempt; its metrics stay counted by kind."""
    if (task.kwargs or "").startswith("{'job': "):
        said = ast.literal_eval(task.kwargs)
        attempt = f"#{said['attempt']}" if "attempt" in said else ""
        task.name = " ".join(part for part in (task.name, task.args, attempt) if part)
        task.kwargs = f"job {said['job']}"
    return task
