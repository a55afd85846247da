"""Run ffmpeg as a child process: on a leash, offline, watched, and never leaving half a file.

ffmpeg is GPL: it is only ever a separate program. Inputs may be files and pipes, in an allow-list of
containers: playlists and concat scripts in an upload could name other files of this machine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import which
from typing import IO

from core.errors import Misconfigured, Permanent, PipelineError, Retryable
from core.settings import get_settings
from media.leash import leashed

Frame = bytes | memoryview
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,wav,w64,aiff,caf,mp3,ogg,flac,aac,"
    "ac3,amr,gif,apng,ivf,mjpeg,m4v,h264,hevc,mpegvideo,dv,mxf"
)
_PIPE_BYTES = 1 << 20
_TAIL_BYTES = 64_000
_OLDEST_SYSTEM_VERSION = 6
_CORRUPT = (
    "Invalid data found",
    "moov atom not found",
    "Error while decoding",
    "could not find codec parameters",
    "does not contain any stream",
    "matches no streams",
    "Error submitting packet to decoder",
    "Output file does not contain any stream",
)


@dataclass(frozen=True)
class Result:
    """What one run left behind: the end of stderr, frames written, wall seconds."""

    stderr: str
    frames: int
    seconds: float


@dataclass
class _Watch:
    """What a running ffmpeg has told us so far."""

    deadline: float
    on_progress: Callable[[float], None] | None
    should_stop: Callable[[], bool] | None
    stderr: bytearray = field(default_factory=bytearray)
    progress: bytearray = field(default_factory=bytearray)
    frames: int = 0
    asked: float = 0.0

    def check(self) -> None:
        now = time.monotonic()
        if now > self.deadline:
            raise Retryable("ffmpeg took longer than allowed and was killed.", code="timeout")
        if self.should_stop is not None and now - self.asked >= 0.1:
            self.asked = now
            if self.should_stop():
                raise Retryable("Stopped on request.", code="stopped")

    def read_progress(self, block: bytes) -> None:
        self.progress += block
        *lines, rest = self.progress.split(b"\n")
        self.progress = bytearray(rest)
        for line in lines:
            key, _, value = line.decode("ascii", "replace").strip().partition("=")
            if key == "frame" and value.isdigit():
                self.frames = int(value)
            elif key == "out_time_us" and value.lstrip("-").isdigit() and self.on_progress:
                self.on_progress(max(0.0, int(value) / 1e6))

    def read_stderr(self, block: bytes) -> None:
        self.stderr += block
        del self.stderr[:-_TAIL_BYTES]


@lru_cache(maxsize=1)
def ffmpeg_path() -> str:
    """Name the ffmpeg to use: the setting's, else the system's when able, else the packaged one."""
    configured = get_settings().ffmpeg
    if configured is not None:
        if not os.access(configured, os.X_OK):
            raise Misconfigured(f"FFMPEG names {configured.name}, which cannot be run.", field="FFMPEG")
        return str(configured.resolve())
    system = which("ffmpeg")
    if system and _is_able(system):
        return system
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as e:
        raise Misconfigured("No usable ffmpeg: set FFMPEG to one with libx264 and libass.") from e


def _is_able(program: str) -> bool:
    def ask(*args: str) -> str:
        done = subprocess.run([program, "-hide_banner", *args], capture_output=True, timeout=10, check=False)
        return done.stdout.decode("utf-8", "replace")

    try:
        version = re.search(r"version n?(\d+)\.", ask("-version"))
        if version is None or int(version[1]) < _OLDEST_SYSTEM_VERSION:
            return False
        filters = ask("-filters")
        return " libx264 " in ask("-encoders") and " ass " in filters and " loudnorm " in filters
    except (OSError, subprocess.TimeoutExpired):
        return False


def run(
    args: list[str],
    *,
    timeout: float,
    out: Path | None = None,
    frames: Iterable[Frame] | None = None,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    role: str = "input",
) -> Result:
    """Run ffmpeg with `args` and, when `out` is given, put its output there in one step.

    `frames` feeds `pipe:0`; callbacks are called in the caller's thread, `on_progress` with seconds of
    output. Retryable `timeout`, `stopped`, `disk_full`, `killed`; Permanent `corrupt_media` names
    `role`, what the input is to the caller ("narration", "take", ...).
    """
    watch = _Watch(time.monotonic() + timeout, on_progress, should_stop)
    if out is None:
        return _run(args, frames, watch, role)
    with replacing(out) as scratch:
        return _run([*args, str(scratch)], frames, watch, role)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give a scratch name beside `out` that becomes `out` on success and vanishes on any failure."""
    scratch = out.resolve().with_name(f".{uuid.uuid4().hex}{out.suffix}")
    try:
        yield scratch
        scratch.replace(out)
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Retryable("The disk is full.", code="disk_full") from e
        raise
    finally:
        scratch.unlink(missing_ok=True)


def _run(args: list[str], frames: Iterable[Frame] | None, watch: _Watch, role: str) -> Result:
    started = time.monotonic()
    quiet = ["-nostdin"] if frames is None else []
    command = [ffmpeg_path(), "-hide_banner", "-nostats", *quiet, "-y", "-progress", "pipe:1", *_guard(args)]
    try:
        process = subprocess.Popen(
            leashed(command),
            stdin=subprocess.DEVNULL if frames is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as e:
        raise Retryable(f"ffmpeg could not be started: {e.strerror}.", code="not_started") from e
    with process:
        try:
            _attend(process, watch, iter(frames) if frames is not None else None)
            _wait(process, watch)
        except BaseException:
            kill_group(process)
            raise
    text = watch.stderr.decode("utf-8", "replace")
    if process.returncode != 0:
        raise _error(process.returncode, text, role)
    return Result(text, watch.frames, time.monotonic() - started)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child started in its own session, with everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait(process: subprocess.Popen[bytes], watch: _Watch) -> None:
    """Wait for the exit after both pipes ended, still watching the clock."""
    while process.poll() is None:
        watch.check()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


def _attend(process: subprocess.Popen[bytes], watch: _Watch, frames: Iterator[Frame] | None) -> None:
    """Feed and read the child's pipes from this one thread until it closes them."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, watch.read_progress)
        selector.register(process.stderr, selectors.EVENT_READ, watch.read_stderr)
        if frames is not None:
            assert process.stdin is not None
            selector.register(process.stdin, selectors.EVENT_WRITE, _feeder(process.stdin, frames))
        while selector.get_map():
            for key, events in selector.select(0.1):
                if events & selectors.EVENT_WRITE:
                    if not key.data():
                        selector.unregister(key.fileobj)
                elif block := os.read(key.fd, 65536):
                    key.data(block)
                else:
                    selector.unregister(key.fileobj)
            watch.check()


def _feeder(stdin: IO[bytes], frames: Iterator[Frame]) -> Callable[[], bool]:
    """Make a function that writes what the pipe takes now; False once the last byte is gone."""
    os.set_blocking(stdin.fileno(), False)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    rest = memoryview(b"")

    def feed() -> bool:
        nonlocal rest
        try:
            if not rest:
                rest = memoryview(next(frames)).cast("B")
            rest = rest[os.write(stdin.fileno(), rest) :]
        except BlockingIOError:
            return True
        except (StopIteration, BrokenPipeError):
            stdin.close()
            return False
        return True

    return feed


def _guard(args: list[str]) -> list[str]:
    """Put the protocol and container allow-lists before every input."""
    guarded: list[str] = []
    own_format = False
    for arg in args:
        if arg == "-i":
            guarded += ["-protocol_whitelist", "file,pipe"]
            if not own_format:
                guarded += ["-format_whitelist", CONTAINERS]
            own_format = False
        elif arg == "-f":
            own_format = True
        guarded.append(arg)
    return guarded


def _error(code: int, stderr: str, role: str) -> PipelineError:
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        return Retryable("The disk is full.", code="disk_full")
    if code < 0 or (code in (137, 143, 255) and "Exiting normally, received signal" in stderr):
        return Retryable(f"ffmpeg was killed (signal {abs(code)}).", code="killed")
    if "Cannot allocate memory" in stderr:
        return Retryable("ffmpeg ran out of memory.", code="out_of_memory")
    last = _last_words(stderr)
    if any(sign in stderr for sign in _CORRUPT):
        return Permanent(f"The {role} cannot be decoded: {last}", code="corrupt_media", field=role)
    return Permanent(f"ffmpeg refused the {role}: {last}", code="ffmpeg_failed", field=role)


def _last_words(stderr: str) -> str:
    """Take the telling lines of stderr, without the paths of this machine."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [
        x for x in lines if re.search(r"error|invalid|not found|no such|unable|fail", x, re.IGNORECASE)
    ]
    words = "; ".join((telling or lines)[:2])
    words = re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ?", "", words)
    return re.sub(r"(/[^\s:'\"]+)+/", "", words)[:300] or "no reason given."
