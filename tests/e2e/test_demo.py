"""The demo as a newcomer runs it, in a VAR_DIR of the test's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from core.settings import ROOT
from media.probe import probe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

SCRIPT = """# Up

[image: samples:rocket]
[prompt: a rocket]
We built a ladder.

[search: stars]
[prompt: stars]
We climbed it.
"""


def demo(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "app", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "VAR_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_demo_with_a_simulated_vendor_says_so_and_both_bills_agree(tmp_path):
    script = tmp_path / "up.md"
    script.write_text(SCRIPT)
    done = demo(tmp_path / "var", "--script", str(script), "--provider", "kling", "--simulate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kling is a SIMULATOR" in done.stdout
    bill = re.search(r"own bill: (\d+\.\d{6}); ours: (\d+\.\d{6})\.", done.stdout)
    assert bill is not None, done.stdout
    assert bill[1] == bill[2] != "0.000000"
    assert len(re.findall(r"kling kling-3\.0", done.stdout)) == 2
    assert probe(tmp_path / "var" / "demo" / "up.mp4").has_audio
    assert "Everything that was started is stopped again." in done.stdout


def test_a_simulation_of_nobody_is_refused_before_anything_starts(tmp_path):
    done = demo(tmp_path / "var", "--simulate")
    assert done.returncode == 2
    assert "PROVIDER=kling" in done.stderr
    assert not (tmp_path / "var").exists()
