"""The documents against the code: settings, commands, links, names, words, and the tour as it is printed."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from pydantic_core import PydanticUndefined
from werkzeug.serving import make_server

from core.registry import PROVIDERS, SOURCES
from core.settings import ROOT, Settings, VendorSettings

ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = sorted([ROOT / name for name in ROOT_PAGES] + list((ROOT / "docs").rglob("*.md")))
FOLDERS = ("app", "tasks", "providers", "scrapers", "db", "services", "media", "core", "migrations")
FOLDERS += ("tests", "simulator", "bench", "docs", ".ci")
ELSEWHERE = {"KEY", "API", "REMAP_SIGTERM", "ACME_API_KEY", "BENCH_FOOTAGE", "BENCH_FRAMES", "BENCH_STYLES"}
"""Names in capitals that are no settings: the tour's, one of Celery's, a made-up vendor's, a benchmark's."""
page = pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _code(text: str) -> Iterator[str]:
    """What stands between backticks: blocks and words."""
    yield from re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


# -- settings --------------------------------------------------------------------------------------


def _default_of(name: str) -> str:
    default = Settings.model_fields[name.lower()].default
    assert default is not PydanticUndefined
    if name == "VAR_DIR":
        return "./var"
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _described(name: str) -> str:
    return Settings.model_fields[name.lower()].description or ""


def test_configuration_md_has_every_setting_with_its_default_and_meaning():
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| (-|`[^`]*`) \| (.+) \|$", _read("docs/configuration.md"), re.MULTILINE
    )
    documented = {
        name: (default.strip("`-") if default == "-" else default[1:-1], text) for name, default, text in rows
    }
    expected = {
        name: (_default_of(name), _described(name))
        for name in (field.upper() for field in Settings.model_fields)
    }

    assert documented == expected


def test_the_example_file_has_every_setting_with_its_default_and_meaning():
    found, comment = {}, []
    for line in _read(".env.example").splitlines():
        if setting := re.fullmatch(r"#([A-Z0-9_]+)=(.*)", line):
            found[setting[1]] = (setting[2], " ".join(comment))
        comment = [*comment, line[2:]] if line.startswith("# ") and "--" not in line else []

    assert found == {
        name: (_default_of(name), _described(name))
        for name in (field.upper() for field in Settings.model_fields)
    }


def test_every_setting_is_described_in_a_sentence():
    for name, field in Settings.model_fields.items():
        assert re.fullmatch(r"[A-Z`].{8,}[.)`]\.?", field.description or ""), name


@page
def test_every_name_in_capitals_is_a_setting_of_ours_or_of_compose(path):
    known = {name.upper() for name in Settings.model_fields} | ELSEWHERE
    slugs = (*PROVIDERS.slugs(), *SOURCES.slugs())
    known |= {f"{slug}_{name}".upper() for slug in slugs for name in VendorSettings.model_fields}
    known |= set(re.findall(r"\$\{(\w+)", _read("docker-compose.yml")))
    named = {
        name
        for code in _code(path.read_text(encoding="utf-8"))
        for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", code)
    }

    assert named - known == set()


# -- commands, links, paths, addresses -------------------------------------------------------------


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", _read("Makefile"), re.MULTILINE))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target_that_people_may_call():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", _read("Makefile"), re.MULTILINE)

    assert set(re.findall(r"^  make ([a-z-]+)", done.stdout, re.MULTILINE)) == _targets()
    assert set(phony[1].split()) - {"install"} == _targets()


@page
def test_every_make_target_that_is_named_exists(path):
    named = {
        name
        for code in _code(path.read_text(encoding="utf-8"))
        for names in re.findall(r"^\s*make ((?:[a-z-]+ ?)+)", code, re.MULTILINE)
        for name in names.split()
    }
    assert named - _targets() == set()


def test_every_make_target_is_told_somewhere():
    told = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert {target for target in _targets() if f"make {target}" not in told} - {
        "chaos",
        "simulator",
        "seed",
    } == set()


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@page
def test_every_relative_link_leads_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        target, _, anchor = unquote(link).partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), link
        assert ROOT in [there, *there.parents], f"{link} leaves the checkout"
        assert not anchor or anchor in _anchors(there), link


@page
def test_every_file_that_is_named_exists(path):
    names = {found.name for folder in FOLDERS for found in (ROOT / folder).rglob("*.*")}
    names |= {found.name for found in ROOT.iterdir()}
    for code in _code(path.read_text(encoding="utf-8")):
        if "\n" in code.strip() or "<" in code:
            continue
        for word in code.split():
            if re.fullmatch(rf"({'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", word):
                assert (ROOT / word).exists() or _is_made_later(word), word
            elif re.fullmatch(r"[\w.-]+\.(py|toml|lock|yml)", word):
                assert word in names, word


def _is_made_later(word: str) -> bool:
    """Folders that git leaves out while they are empty."""
    return word.rstrip("/") in {"simulator", "tests/chaos", "bench/results"}


def test_every_address_in_the_documents_is_one_of_the_api(settings):
    from app import create_app

    rules = {
        (method, re.sub(r"<[^>]+>", "{}", rule.rule))
        for rule in create_app(settings).url_map.iter_rules()
        for method in rule.methods or ()
    }
    shortened = {rule.removeprefix("/api/v1") for _, rule in rules}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for method, address in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)", text):
            rule = re.sub(r"\{[^}]*\}", "{}", address)
            assert (method, rule) in rules or (method, f"/api/v1{rule}") in rules, (
                f"{path.name}: {method} {address}"
            )
        for address in re.findall(r"\$API(/[^\s\"'`?]*)", text):
            rule = re.sub(r"\$(\w+|\([^)]*\))", "{}", address)
            assert rule.rstrip(")") in shortened, f"{path.name}: {address}"
        for address in re.findall(r"^\| ((?:`/[a-z/-]+`(?:, )?)+) \|", text, re.MULTILINE):
            for named in re.findall(r"`([^`]+)`", address):
                assert any(f"{rule}/".startswith(f"{named}/") for rule in shortened), f"{path.name}: {named}"


# -- what the documents explain --------------------------------------------------------------------


def _enums() -> list[type[StrEnum]]:
    modules: list[ModuleType] = [
        importlib.import_module(name)
        for name in (
            "db.assets",
            "db.identity",
            "db.money",
            "db.review",
            "db.submissions",
            "db.schedules",
            "db.work",
            "core.licences",
        )
    ]
    return sorted(
        {
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum
        },
        key=lambda kind: kind.__name__,
    )


@pytest.mark.parametrize("kind", _enums(), ids=lambda kind: kind.__name__)
def test_the_glossary_has_every_word_that_is_stored(kind):
    glossary = _read("docs/glossary.md")

    assert {member.value for member in kind if f"`{member.value}`" not in glossary} == set()


def test_the_pipeline_page_has_every_phase_gate_step_and_duty(settings):
    from tasks import pipeline
    from tasks.app import app

    app.loader.import_default_modules()
    text = _read("docs/pipeline.md")
    film = set(app.conf.task_routes) | {"write_script", "break_down", "rank", "close"}
    film -= {"search_source", "keep_candidates", "inspect_upload"}

    for phases in pipeline.PHASES.values():
        for phase in phases:
            assert re.search(rf"\b{phase.name}\b", text), phase.name
    assert {name for name in film if f"`{name}`" not in text} == set()
    assert {
        entry["task"] for entry in app.conf.beat_schedule.values() if f"`{entry['task']}`" not in text
    } == set()


def test_the_pipeline_page_says_why_every_setting_of_celery_is_as_it_is(settings):
    source = re.sub(r'""".*?"""', "", _read("celeryconfig.py"), flags=re.DOTALL)
    names = set(re.findall(r"^ {0,4}([a-z][a-z_]+) = ", source, re.MULTILINE))
    plain = {"broker_url", "result_backend", "broker_transport_options", "result_backend_transport_options"}
    plain |= {"timezone", "task_routes", "task_default_queue", "beat_schedule", "beat_schedule_filename"}
    plain |= {"task_serializer", "result_serializer", "worker_hijack_root_logger", "worker_redirect_stdouts"}
    plain |= {"task_default_queue_type", "worker_detect_quorum_queues", "broker_connection_retry_on_startup"}
    plain |= {"redis_socket_timeout", "redis_socket_connect_timeout", "redis_socket_keepalive"}
    text = _read("docs/pipeline.md")

    assert {name for name in names - plain if f"`{name}`" not in text} == set()


def test_decisions_are_numbered_without_gaps_and_named_by_their_titles():
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert [int(path.name[:4]) for path in found] == list(range(1, len(found) + 1))
    for path in found:
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. ")


def test_the_readme_shows_a_frame_of_a_film():
    from PIL import Image

    frame = ROOT / "docs" / "images" / "frame.jpg"
    with Image.open(frame) as picture:
        assert min(picture.size) >= 480
    assert frame.stat().st_size <= 150_000
    assert "docs/images/frame.jpg" in _read("README.md")


# -- examples that run -----------------------------------------------------------------------------


def _example(name: str) -> ModuleType:
    """The page's Python block, as the file it says it is."""
    source = re.search(r"^```python\n(.*?)^```", _read(name), re.DOTALL | re.MULTILINE)[1]
    module = ModuleType("example")
    sys.modules["example"] = module
    try:
        exec(compile(source, name, "exec"), vars(module))  # our own page
    finally:
        del sys.modules["example"]
    return module


def test_the_example_of_a_provider_writes_a_script(settings):
    from providers.base import Context, ScriptRequest

    adapter = _example("docs/adding-a-provider.md").ADAPTER
    draft = adapter(Context(http=None, settings=settings)).write(ScriptRequest(brief="Anything."))

    assert adapter.enabled(settings) is None
    assert [shot.narration for _, shot in draft.script.shots] == ["Still waters run deep.", "So do films."]


def test_the_example_of_a_source_finds_licensed_pictures_and_no_others(settings):
    from scrapers.base import Query

    item = {"id": 4711, "title": "A brig", "page": "https://harbour.example.org/4711"}
    item |= {"file": "https://harbour.example.org/4711.jpg", "width": 800, "height": 600}
    free = item | {"licence_url": "https://creativecommons.org/publicdomain/zero/1.0/"}
    pages = iter([{"items": [free, item], "next_page": 2}, {"items": [free | {"id": 4712}]}])

    class Museum:
        def get_json(self, url, *, params):
            return next(pages)

    source = _example("docs/adding-a-source.md").ADAPTER(Museum(), settings)
    found = source.search(Query(words=("brig",)))

    assert [(candidate.foreign_id, candidate.licence.id) for candidate in found] == [
        ("4711", "CC0-1.0"),
        ("4712", "CC0-1.0"),
    ]


@pytest.fixture
def api(stack) -> Iterator[tuple[str, str]]:
    """The API on loopback in front of the running workers: its address and a key."""
    from app import create_app
    from core.settings import get_settings
    from db.session import transaction
    from services.accounts import create_key, create_workspace

    with transaction() as session:
        workspace, user = create_workspace(session, "Tour", "tour@example.test", "Tour")
        _, key = create_key(session, workspace.id, user.id, name="tour", scopes=["admin"])
    server = make_server("127.0.0.1", 0, create_app(get_settings()), threaded=True)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address, key
    finally:
        server.shutdown()
        thread.join(10)


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_tour_of_the_readme_is_true(api, tmp_path):
    address, key = api
    blocks = re.findall(r"^```sh tour\n(.*?)^```", _read("README.md"), re.DOTALL | re.MULTILINE)
    tour = "set -eu\n" + "\n".join(blocks).replace(
        'downloads.master)"', f'downloads.master | sed "s#^http://[^/]*#{address}#")"'
    )
    done = subprocess.run(
        ["sh", "-c", tour],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "API": f"{address}/api/v1",
            "KEY": key,
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:5] == ["0", "USD", "succeeded", "deliver", "1.0"]
    assert '"creator":"SpaceX"' in done.stdout
    assert {"answered", "cancelling"} <= set(said)
    assert "params.size" in said[-1]
    assert (tmp_path / "up.mp4").read_bytes()[4:8] == b"ftyp"
