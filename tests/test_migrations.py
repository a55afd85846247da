"""Migrations on a real, empty database: there, back, there again, and equal to the models."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from core.settings import ROOT, get_settings
from db import session as db_session

VERSIONS = sorted((ROOT / "migrations" / "versions").glob("*.py"))


@pytest.fixture
def alembic(monkeypatch, empty_database_url, servers, tmp_path) -> Config:
    """Alembic's configuration, pointed at an empty database."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    db_session.reset()
    get_settings.cache_clear()
    yield Config(str(ROOT / "migrations" / "alembic.ini"))
    db_session.reset()
    get_settings.cache_clear()


@pytest.fixture
def engine(empty_database_url) -> Engine:
    made = create_engine(empty_database_url)
    yield made
    made.dispose()


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def _functions(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(
            connection.scalars(
                text(
                    "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                    "WHERE n.nspname = 'public' AND p.prolang = "
                    "(SELECT oid FROM pg_language WHERE lanname = 'plpgsql')"
                )
            )
        )


def _triggers(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
        )
        return {(table, name) for table, name in rows}


def test_the_schema_goes_up_down_and_up_again(alembic, engine):
    command.upgrade(alembic, "head")
    first = _tables(engine), _triggers(engine), _functions(engine)

    command.downgrade(alembic, "base")
    assert _tables(engine) == {"alembic_version"}
    assert _functions(engine) == set()

    command.upgrade(alembic, "head")
    assert (_tables(engine), _triggers(engine), _functions(engine)) == first
    assert {"jobs", "steps", "assets", "ledger_entries"} <= first[0]


def test_the_migrated_schema_is_what_the_models_say(alembic):
    command.upgrade(alembic, "head")

    command.check(alembic)  # raises when autogenerate would write anything


def test_the_check_sees_a_difference(alembic, engine):
    command.upgrade(alembic, "head")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN priority"))

    with pytest.raises(CommandError, match="New upgrade operations detected"):
        command.check(alembic)


def test_append_only_tables_and_balanced_books_are_held_by_triggers(alembic, engine):
    command.upgrade(alembic, "head")

    assert _triggers(engine) >= {
        ("events", "append_only"),
        ("ledger_entries", "append_only"),
        ("script_versions", "append_only"),
        ("ledger_transfers", "append_only"),
        ("ledger_entries", "ledger_balances"),
        ("ledger_entries", "carries"),
        ("ledger_accounts", "carried"),
    }


def test_an_event_cannot_be_changed(alembic, engine):
    command.upgrade(alembic, "head")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'Studio')"))
        connection.execute(text("INSERT INTO events (workspace_id, type) SELECT id, 'seen' FROM workspaces"))

    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text("UPDATE events SET type = 'unseen'"))


def test_a_transfer_that_does_not_sum_to_zero_is_refused_at_commit(alembic, engine):
    command.upgrade(alembic, "head")
    with pytest.raises(DBAPIError, match="does not sum to zero"):
        _give_money_from_nowhere(engine)


def _give_money_from_nowhere(engine: Engine) -> None:
    account = (
        "INSERT INTO ledger_accounts (id, workspace_id, kind, currency) "
        "SELECT gen_random_uuid(), id, 'credits', 'USD' FROM workspaces"
    )
    transfer = (
        "INSERT INTO ledger_transfers (id, workspace_id, posting, amount, currency, idempotency_key) "
        "SELECT gen_random_uuid(), id, 'top_up', 5, 'USD', 'gift' FROM workspaces"
    )
    line = (
        "INSERT INTO ledger_entries (workspace_id, transfer_id, account_id, amount, currency) "
        "SELECT a.workspace_id, t.id, a.id, 5, 'USD' FROM ledger_accounts a, ledger_transfers t"
    )
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'Studio')"))
        for statement in (account, transfer, line):
            connection.execute(text(statement))


def test_a_migration_gives_up_on_a_lock_instead_of_blocking_running_code(alembic, engine):
    command.upgrade(alembic, "head")
    with engine.connect() as holder:
        holder.execute(text("LOCK TABLE jobs IN ACCESS SHARE MODE"))
        began = time.monotonic()
        with pytest.raises(OperationalError, match="lock timeout"):
            command.downgrade(alembic, "-1")

    assert time.monotonic() - began < 15
    assert "jobs" in _tables(engine)


def test_revisions_are_one_line_without_branches(alembic):
    script = ScriptDirectory.from_config(alembic)

    assert len(script.get_heads()) == 1
    assert len(list(script.walk_revisions())) == len(VERSIONS)


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_says_why_and_goes_down(path: Path):
    source = path.read_text()

    assert re.match(r'"""[A-Z][^\n]+\.\n\n.*?Why: ', source, re.DOTALL), "say what it does, then `Why: …`"
    assert re.search(r"^def downgrade\(\) -> None:\n(?!\s+pass$)", source, re.MULTILINE)
