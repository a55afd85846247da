"""The vendor that `docs/adding-a-provider.md` adds, taken off the page and run as if it were one of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import ROOT

PAGE = ROOT / "docs" / "adding-a-provider.md"
FILES = ("providers/acme.py", "providers/acme.toml", "simulator/acme.py", "tests/providers/test_acme.py")
_BLOCK = re.compile(r"^```(?:python|toml)\n# ([\w/]+\.(?:py|toml))\n(.*?)^```", re.DOTALL | re.MULTILINE)
_REACH = """
import pathlib, providers, simulator
here = pathlib.Path(__file__).parent
providers.__path__.append(str(here / "providers"))
simulator.__path__.append(str(here / "simulator"))
"""


@pytest.fixture
def written(tmp_path) -> Path:
    """The page's files in a folder, and a plugin by which the packages reach into it."""
    for name, source in _BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    (tmp_path / "reaching_here.py").write_text(_REACH)
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "reaching_here", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(400)
def test_the_vendor_on_the_page_is_found_kept_to_the_contract_and_bought_from(written):
    assert sorted(str(path.relative_to(written)) for path in written.rglob("acme.*")) == sorted(FILES[:3])
    contract = run(written, "tests/providers/test_contract.py", "-k", "acme")
    assert int(re.search(r"(\d+) passed", contract)[1]) >= 10
    own = run(written, str(written / FILES[3]))
    assert "5 passed" in own


def test_the_files_on_the_page_are_as_tidy_as_ours(written):
    tools = Path(sys.executable).parent
    for name in (name for name in FILES if name.endswith(".py")):
        source = (written / name).read_text()  # how its imports are sorted hangs on its being there
        for command in (["check", "--ignore", "I001"], ["format", "--check"]):
            lint = [str(tools / "ruff"), *command, "--stdin-filename", str(ROOT / name), "-"]
            done = subprocess.run(
                lint, cwd=ROOT, input=source, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
