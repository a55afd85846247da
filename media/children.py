"""Start our own scripts that load PyAV as child processes: on a leash, killed once nobody waits for them."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.errors import Permanent, Retryable
from media.ffmpeg import kill_group
from media.leash import leashed

Stop = Callable[[], bool] | None


class Child:
    """A running script; leaving the `with` kills it when it has not ended."""

    def __init__(self, name: str, role: str) -> None:
        script = Path(__file__).with_name(f"{name}.py")
        self._role, self._rest = role, b""
        self._process = subprocess.Popen(
            leashed([sys.executable, "-I", str(script)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
            pipesize=1 << 20,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._in, self._out):
            with suppress(OSError):
                pipe.close()

    def tell(self, question: dict[str, Any]) -> None:
        self.write(memoryview(json.dumps(question).encode() + b"\n"))

    def write(self, block: memoryview) -> None:
        while block:
            block = block[self._in.write(block) or 0 :]

    def end(self) -> None:
        self._in.close()

    def fill(self, block: memoryview) -> None:
        """Read as much as the block holds."""
        while block:
            count = self._out.readinto(block)  # type: ignore[attr-defined]  # unbuffered: a raw file
            if not count:
                raise self._died()
            block = block[count:]

    def rest(self) -> bytes:
        """Read everything that comes after the last answer."""
        data, self._rest = self._rest + self._out.read(), b""
        return data

    def answer(self, *, timeout: float | None = None, should_stop: Stop = None) -> dict[str, Any]:
        """Wait for a JSON line. Retryable `stopped` or `timeout`, Permanent `corrupt_media` when it died."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if should_stop is not None and should_stop():
                    raise Retryable("Stopped on request.", code="stopped")
                if deadline is not None and time.monotonic() > deadline:
                    raise Retryable("Looking into the file took too long.", code="timeout")
                if selector.select(0.1):
                    block = self._out.read(65536)
                    if not block:
                        raise self._died()
                    self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        if self._process.poll() is None:
            kill_group(self._process)

    def _died(self) -> Permanent | Retryable:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        if self._process.returncode == -9:
            return Retryable(f"What worked on the {self._role} was killed.", code="killed")
        return Permanent(f"The {self._role} crashes what reads it.", code="corrupt_media", field=self._role)
