"""Start a program that dies with us.

Run as a script: `python -I -S leash.py <parent pid> <program> <args...>`. The kernel then kills the
program when the thread that started it is gone, even by SIGKILL, so no encoder outlives a killed
worker. A script of its own because code between fork and exec is unsafe in a process with threads.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def leashed(command: list[str]) -> list[str]:
    """Wrap a command line so that the program is killed when its starter dies (Linux only)."""
    if not sys.platform.startswith("linux"):
        return command
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *command]


def main() -> None:
    import ctypes

    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the leash was on
        sys.exit(137)
    os.execv(command[0], command)  # noqa: S606 - the point of this script; no shell


if __name__ == "__main__":
    main()
