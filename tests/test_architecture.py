"""The shape of the house: who may import whom, what no file may contain, what the database must hold."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Enum as EnumColumn
from sqlalchemy import create_engine, text

from core.settings import ROOT
from db.models import metadata

PACKAGES = ("app", "tasks", "providers", "scrapers", "db", "services", "media", "core")
FOLDERS = {*PACKAGES, "migrations", "tests", "simulator", "bench", "docs"}
MADE_HERE = {"var", "__pycache__", "htmlcov"}
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "importlinter"
]["contracts"]
SOURCES = sorted(
    [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")] + list(ROOT.glob("*.py"))
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHES = sorted((ROOT / "bench").rglob("*.py"))

LONG_FILES = {
    "core/licences.py": "one table of licences and the few functions that read it",
    "db/assets.py": "joined-table inheritance: the kinds of one id space are read together",
    "providers/base.py": "everything an adapter takes and gives, read as one page",
    "services/claims.py": "one life of a claim; its statements share their parts and are read together",
    "tasks/finish.py": "the five steps of one phase",
    "tasks/step.py": "one mechanism: claim, heartbeat, time limit, judgement, save",
    "tasks/pipeline.py": "the call sheet and the one function that moves a job",
}
ROOM = 320
"""Lines a file may have without a reason."""

READS_ENVIRONMENT = {
    "core/settings.py": "the one reader",
    "app/commands/demo.py": "an installation of its own for this process and its children",
    "app/commands/stack.py": "hands its own process the addresses its children get",
    "app/commands/database.py": "hands its own process the address; builds pg_dump's environment",
    "app/commands/supervision.py": "builds the children's environment",
    "core/embedded/postgres.py": "builds the server's environment",
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# -- who imports whom ------------------------------------------------------------------------------


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(program), "--no-cache", "--no-logo", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def copy_of_the_code(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=lambda directory, names: [
                name for name in names if not (name.endswith(".py") or (Path(directory) / name).is_dir())
            ],
        )
    return folder


def _forbidden_arrows(contract: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if contract["type"] == "independence":
        yield from ((a, b) for a in contract["modules"] for b in contract["modules"] if a != b)
        return
    yield from ((a, b) for a in contract["source_modules"] for b in contract["forbidden_modules"])


def test_every_import_contract_holds():
    done = _lint(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


@pytest.mark.parametrize("contract", CONTRACTS, ids=[contract["name"] for contract in CONTRACTS])
def test_a_contract_fails_when_it_is_broken(copy_of_the_code, contract):
    arrows = list(_forbidden_arrows(contract))
    intruders = []
    for source, target in arrows:
        intruder = copy_of_the_code / source / f"intruder_{target.replace('.', '_')}.py"
        intruder.write_text(f"import {target}\n")
        intruders.append(intruder)
    try:
        done = _lint(copy_of_the_code)
    finally:
        for intruder in intruders:
            intruder.unlink()

    assert done.returncode == 1
    assert f"{contract['name']} BROKEN" in " ".join(done.stdout.split())
    for source, target in arrows:
        assert re.search(
            rf"{source}\.intruder_{target.replace('.', '_')} -> {re.escape(target)}\b", done.stdout
        ), f"{source} -> {target} went unseen:\n{done.stdout}"


@pytest.mark.parametrize("module", ["celery", "flask"])
def test_the_left_side_and_the_craft_know_no_framework(module):
    inner = [path for path in SOURCES if _name(path).split("/")[0] in PACKAGES[2:]]
    assert len(inner) > 50
    offenders = [
        _name(path) for path in inner if any(name.split(".")[0] == module for name in _imports(path))
    ]
    assert offenders == []


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


@pytest.mark.parametrize("module", ["av", "espeakng_loader"])
def test_gpl_libraries_are_imported_only_by_scripts_that_run_as_children(module):
    importers = [
        _name(path) for path in SOURCES if any(name.split(".")[0] == module for name in _imports(path))
    ]

    children = {
        f"media/{name}_process.py" for name in ("probe", "index", "decode", "encode", "join", "prove")
    }
    children |= {"providers/espeak_child.py", "providers/espeak.py"}
    assert set(importers) <= children
    for name in importers:
        if name == "providers/espeak.py":  # it asks the package where its files are, inside a function
            assert "ctypes" not in set(_imports(ROOT / name))


def test_the_api_s_process_loads_no_picture_library_even_when_it_quotes_a_film(settings):
    code = """
import sys
from app import create_app
from core.briefs import load_params
from core.settings import get_settings
from tasks import pipeline
create_app(get_settings())
pipeline.check("film", load_params("film", {"script": "Hello."}))
print(sorted({"av", "cv2", "PIL", "skimage"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


# -- what no file contains -------------------------------------------------------------------------


def test_the_top_level_has_the_folders_of_the_architecture_and_no_other():
    found = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}

    assert found - MADE_HERE <= FOLDERS
    assert set(PACKAGES) | {"migrations", "tests", "docs", "bench"} <= found


@pytest.mark.parametrize(
    "word", ["autoretry_for", "task_always_eager", "CELERY_TASK_ALWAYS_EAGER", "pickle.loads", "shell=True"]
)
def test_a_forbidden_word_stands_nowhere(word):
    here = Path(__file__)
    found = [
        _name(path) for path in [*SOURCES, *TESTS, *BENCHES] if path != here and word in path.read_text()
    ]
    assert found == []


def test_nothing_is_left_to_be_done_later():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    offenders = {
        f"{_name(path)}:{number}"
        for path in {*SOURCES, *TESTS, *BENCHES} - {Path(__file__)}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    }
    assert offenders == set()


def test_only_settings_and_the_makers_of_children_read_the_environment():
    readers = {_name(path) for path in SOURCES if _reads_environment(_tree(path))}
    assert readers - set(READS_ENVIRONMENT) == set()


def _reads_environment(tree: ast.Module) -> bool:
    names = {"environ", "environb", "getenv", "putenv"}
    return any(
        (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names})
        for node in ast.walk(tree)
    )


def test_no_file_is_named_for_being_handy():
    handy = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|stuff|v\d+)(_|\.py$)")
    everything = [path for path in [*SOURCES, *TESTS, *BENCHES] if handy.search(path.name)]
    assert [_name(path) for path in everything] == []


def test_a_long_file_has_a_reason_and_a_reason_has_a_long_file():
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {name: lines for name, lines in lengths.items() if lines > ROOM and name not in LONG_FILES} == {}
    assert {name for name in LONG_FILES if lengths.get(name, 0) <= ROOM} == set()


def test_every_program_that_is_waited_for_has_a_time_limit():
    without = [
        f"{_name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"subprocess.run", "subprocess.check_output", "subprocess.check_call"}
        and "timeout" not in {keyword.arg for keyword in node.keywords}
    ]
    assert without == []


def test_services_neither_commit_nor_wait_nor_call_out():
    forbidden = {"commit", "rollback", "sleep", "apply_async", "delay"}
    offenders = [
        f"{_name(path)}:{node.lineno} {node.func.attr}"
        for path in sorted((ROOT / "services").glob("*.py"))
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in forbidden
    ]
    assert offenders == []


def test_only_the_step_judges_errors_for_another_try():
    deciders = [
        _name(path)
        for path in sorted((ROOT / "tasks").glob("*.py"))
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"self.retry", "task.retry"}
    ]
    assert deciders == []


# -- Celery ----------------------------------------------------------------------------------------


@pytest.fixture
def celery_app(settings):
    from tasks.app import app

    app.loader.import_default_modules()
    return app


def _served_queues() -> set[str]:
    found = re.findall(r" -Q (\S+)", (ROOT / "Procfile").read_text())
    return {queue for names in found for queue in names.split(",")}


def test_every_task_has_a_plain_name_and_a_queue_that_a_worker_serves(celery_app):
    names = [name for name in celery_app.tasks if not name.startswith("celery.")]
    routed = {name: celery_app.amqp.router.route({}, name)["queue"].name for name in names}

    assert len(names) > 20
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert set(routed.values()) <= _served_queues()


def test_every_route_and_every_duty_names_a_task_that_exists(celery_app):
    routes, schedule = celery_app.conf.task_routes, celery_app.conf.beat_schedule

    assert set(routes) - set(celery_app.tasks) == set()
    assert {entry["task"] for entry in schedule.values()} - set(celery_app.tasks) == set()


def test_what_computes_runs_in_the_media_queue(celery_app):
    """A step that times ffmpeg or speech must not run in the pool of threads."""
    heavy = re.compile(r"(render|speech|mix|join|encode|clean)_seconds")
    for path in sorted((ROOT / "tasks").glob("*.py")):
        for node in _tree(path).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            kinds = [d.args[0].value for d in node.decorator_list if isinstance(d, ast.Call) and d.args]
            if kinds and heavy.search(ast.unparse(node)):
                assert celery_app.amqp.router.route({}, kinds[0])["queue"].name == "media", kinds[0]


def test_every_step_of_every_phase_is_a_task(celery_app, settings):
    from tasks import pipeline

    planned = set(re.findall(r'(?:StepPlan|_for_shot)\("([a-z_]+)"', Path(pipeline.__file__).read_text()))

    assert len(planned) > 15
    assert planned - set(celery_app.tasks) == set()


def test_a_step_outlives_no_visibility_timeout(celery_app):
    limits = [task.time_limit for name, task in celery_app.tasks.items() if not name.startswith("celery.")]

    assert max(limit for limit in limits if limit) * 1.5 < celery_app.conf.visibility_timeout


# -- the database ----------------------------------------------------------------------------------


def test_every_enum_in_the_database_has_exactly_the_values_of_its_class(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        checks = {
            name: set(re.findall(r"'([^']*)'::", definition))
            for name, definition in connection.execute(
                text(
                    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                    "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
                )
            )
        }
    engine.dispose()
    columns = [
        (table.name, column.name, column.type)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, EnumColumn)
    ]

    assert len(columns) > 10
    for table, column, kind in columns:
        assert checks[f"ck_{table}_{kind.name}"] == {member.value for member in kind.enum_class}, (
            f"{table}.{column}"
        )


def test_what_belongs_to_a_workspace_names_it():
    shared = {"workspaces", "users", "heartbeats", "blobs", "paces", "callback_events"}
    through = {"attempts": "step_id", "derivations": "child_rendition_id", "asset_tags": "asset_id"}
    through |= {"collection_members": "collection_id"}
    for table in metadata.sorted_tables:
        if table.name in shared or "workspace_id" in table.columns:
            continue
        owner = through.get(table.name, "id")
        assert table.columns[owner].foreign_keys, f"{table.name} belongs to nobody"
