"""The processes of the Procfile, as lists of arguments."""

from __future__ import annotations

import os
import re
import shlex
import string
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import Misconfigured
from core.settings import ROOT

LINE = re.compile(r"(?P<name>[a-z-]+): (?P<command>.+)")


def command_lines(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """The Procfile's commands by name, split into words before `$NAME` is filled in."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    found = [LINE.fullmatch(line) for line in lines if line.strip()]
    return {match["name"]: _arguments(match["command"], environment) for match in found if match is not None}


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` completed with what the Procfile names and with our programs first on the path."""
    from core.settings import Settings

    settings = Settings()
    filled = {
        "VAR_DIR": str(settings.var_dir),
        "IO_THREADS": str(settings.io_threads),
        "MEDIA_SLOTS": str(settings.media_slots),
        "REMAP_SIGTERM": "SIGQUIT",  # a stopped worker gives unfinished messages back at once
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    if filled["MEDIA_SLOTS"] == "0":
        filled["MEDIA_SLOTS"] = str(usable_cores())
    filled["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), filled.get("PATH", os.defpath)])
    return filled


def usable_cores() -> int:
    """Cores this process may run on, which a container or taskset may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _arguments(command: str, environment: Mapping[str, str]) -> list[str]:
    words = [string.Template(word).substitute(environment) for word in shlex.split(command)]
    program = Path(sys.executable).parent / words[0]
    if not program.exists():
        raise Misconfigured(f"{program} is missing: run `make clean demo` to install everything anew.")
    return [sys.executable, str(program), *words[1:]]
