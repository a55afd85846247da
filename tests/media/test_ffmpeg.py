from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from core.errors import Misconfigured, Permanent, Retryable
from core.settings import get_settings
from media.ffmpeg import ffmpeg_path, run

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc=s=64x64:r=10"]


def children_running_ffmpeg() -> list[psutil.Process]:
    me = psutil.Process()
    return [p for p in me.children(recursive=True) if "ffmpeg" in p.name() and p.status() != "zombie"]


def test_it_reports_progress_in_seconds_and_counts_frames(tmp_path: Path) -> None:
    seen: list[float] = []
    out = tmp_path / "a.mp4"
    result = run(
        ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2"], out=out, timeout=20, on_progress=seen.append
    )
    assert result.frames == 50
    assert seen[-1] == pytest.approx(2.0, abs=0.1)
    assert out.stat().st_size > 0


def test_a_timeout_kills_ffmpeg_and_leaves_nothing_behind(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(Retryable) as e:
        run(ENDLESS, out=tmp_path / "a.mp4", timeout=0.5)
    assert e.value.code == "timeout"
    assert time.monotonic() - started < 1.5
    assert list(tmp_path.iterdir()) == []
    assert children_running_ffmpeg() == []


def test_a_wish_to_stop_kills_ffmpeg_within_a_second(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(Retryable) as e:
        run(ENDLESS, out=tmp_path / "a.mp4", timeout=20, should_stop=lambda: time.monotonic() - started > 0.4)
    assert e.value.code == "stopped"
    assert time.monotonic() - started < 1.4
    assert list(tmp_path.iterdir()) == []
    assert children_running_ffmpeg() == []


def test_an_exception_while_drawing_frames_kills_ffmpeg_and_escapes(tmp_path: Path) -> None:
    def frames():
        yield bytes(64 * 64 * 3 // 2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(
            ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "64x64", "-i", "pipe:0"],
            out=tmp_path / "a.mp4",
            frames=frames(),
            timeout=20,
        )
    assert list(tmp_path.iterdir()) == []
    assert children_running_ffmpeg() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the leash is a Linux kernel feature")
def test_ffmpeg_dies_when_its_worker_is_killed(tmp_path: Path) -> None:
    code = (
        "from media.ffmpeg import run\nfrom pathlib import Path\n"
        f"run({ENDLESS!r}, out=Path({str(tmp_path / 'a.mp4')!r}), timeout=60)\n"
    )
    root = Path(__file__).parents[2]
    worker = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        deadline = time.monotonic() + 10
        found: list[psutil.Process] = []
        while not found and time.monotonic() < deadline:
            found = [p for p in psutil.Process(worker.pid).children() if "ffmpeg" in p.name()]
            time.sleep(0.05)
        assert found, "ffmpeg never started"
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    _, alive = psutil.wait_procs(found, timeout=2)
    assert alive == []


def test_an_ffmpeg_killed_by_somebody_else_may_be_tried_again() -> None:
    def kill(_: float) -> None:
        for p in children_running_ffmpeg():
            p.kill()

    with pytest.raises(Retryable) as e:
        run([*ENDLESS, "-f", "null", "-"], timeout=20, on_progress=kill)
    assert e.value.code == "killed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full to play a full disk")
def test_a_full_disk_may_be_tried_again() -> None:
    with pytest.raises(Retryable) as e:
        run(["-f", "lavfi", "-i", "testsrc=s=320x180:d=1", "-f", "rawvideo", "/dev/full"], timeout=20)
    assert e.value.code == "disk_full"


def test_a_corrupt_input_is_named_by_its_role_without_the_path(tmp_path: Path) -> None:
    bad = tmp_path / "secret-folder-name.mp4"
    bad.write_bytes(os.urandom(5000))
    with pytest.raises(Permanent) as e:
        run(["-i", str(bad), "-f", "null", "-"], timeout=20, role="narration")
    assert e.value.code == "corrupt_media"
    assert "narration" in e.value.message
    assert str(tmp_path) not in e.value.message


def test_a_playlist_cannot_name_other_files(tmp_path: Path, make_clip) -> None:
    clip = make_clip("plain.mp4")
    for name, text in (
        ("list.txt", f"ffconcat version 1.0\nfile '{clip}'\n"),
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"),
    ):
        playlist = tmp_path / name
        playlist.write_text(text)
        with pytest.raises(Permanent):
            run(["-i", str(playlist), "-f", "null", "-"], timeout=20)


def test_the_network_is_out_of_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        with pytest.raises(Permanent):
            run(["-i", f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4", "-f", "null", "-"], timeout=20)
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_chosen_ffmpeg_can_do_what_we_need() -> None:
    answer = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-filters"], capture_output=True, timeout=20, check=True
    )
    for name in (b" ass ", b" sidechaincompress ", b" ebur128 ", b" alimiter ", b" tpad "):
        assert name in answer.stdout


@pytest.fixture
def fresh_choice():
    ffmpeg_path.cache_clear()
    yield
    ffmpeg_path.cache_clear()


def test_the_systems_ffmpeg_is_used_when_it_is_new_and_able(
    fresh_choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "bin" / "ffmpeg"
    system.parent.mkdir()
    system.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(system.parent))
    assert ffmpeg_path() == str(system)


@pytest.mark.parametrize(
    "says", ["ffmpeg version 5.1.9-0+deb12u1 Copyright", "ffmpeg version n9.0 Copyright", "gibberish"]
)
def test_an_old_or_unable_system_ffmpeg_is_passed_over(
    fresh_choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    system = tmp_path / "ffmpeg"
    system.write_text(f'#!/bin/sh\necho "{says}"\n')
    system.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert ffmpeg_path() == imageio_ffmpeg.get_ffmpeg_exe()


def test_an_ffmpeg_that_cannot_be_run_is_one_sentence_about_the_setting(
    fresh_choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFMPEG", str(tmp_path / "nowhere"))
    get_settings.cache_clear()
    try:
        with pytest.raises(Misconfigured, match="FFMPEG"):
            ffmpeg_path()
    finally:
        monkeypatch.delenv("FFMPEG")
        get_settings.cache_clear()
