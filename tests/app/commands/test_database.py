"""Backups that restore."""

from __future__ import annotations

import json
import time

import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, text

from app.commands.database import check_dump, count_rows, drop_database, dump, load, migrate, rollback
from core.errors import Misconfigured
from db.session import transaction
from services.accounts import bootstrap


def test_a_dump_restores_every_row_after_the_rows_are_gone(settings, tmp_path):
    with transaction() as session:
        bootstrap(session)
    before = count_rows(settings.database_url)
    target = tmp_path / "with space" / "a.dump"
    target.parent.mkdir()

    dump(settings.database_url, target)
    checked = check_dump(settings.database_url, target)
    engine = create_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE workspaces, users CASCADE"))
    engine.dispose()
    load(settings.database_url, target)

    assert checked == sum(before.values()) > 3
    assert count_rows(settings.database_url) == before


def test_a_broken_dump_changes_nothing_and_says_so(settings, tmp_path):
    with transaction() as session:
        bootstrap(session)
    before = count_rows(settings.database_url)
    broken = tmp_path / "broken.dump"
    broken.write_bytes(b"PGDMP but not really")

    with pytest.raises(Misconfigured, match="pg_restore failed"):
        load(settings.database_url, broken)
    assert count_rows(settings.database_url) == before


def test_the_first_migration_is_taken_back_only_when_told_that_everything_may_go(settings):
    with transaction() as session:
        bootstrap(session)
    before = count_rows(settings.database_url)

    refused = CliRunner().invoke(rollback)
    assert isinstance(refused.exception, Misconfigured)
    assert count_rows(settings.database_url) == before

    assert CliRunner().invoke(rollback, ["--everything"]).exit_code == 0
    nothing = CliRunner().invoke(rollback)
    assert "nothing to take back" in str(nothing.exception)
    assert CliRunner().invoke(migrate).exit_code == 0
    assert sum(count_rows(settings.database_url).values()) == 1  # Alembic's own row


def test_a_database_that_autovacuum_works_in_can_be_dropped(servers, empty_database_url, admin):
    """The worker is the superuser's process: a drop by force would be refused while it is there."""
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(
            text(
                "CREATE TABLE busy (n int) WITH (autovacuum_vacuum_insert_threshold = 1,"
                " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,"
                " autovacuum_vacuum_cost_limit = 1)"
            )
        )
        connection.execute(text("INSERT INTO busy SELECT generate_series(1, 200000)"))
    admin("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    admin("SELECT pg_reload_conf()")
    try:
        deadline = time.monotonic() + 60
        at_work = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'autovacuum worker'"
        while not admin(at_work):
            assert time.monotonic() < deadline, "autovacuum never came"
            time.sleep(0.05)

        drop_database(servers.database_url, name)  # with our own session still open in it

        assert admin(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0
    finally:
        admin("ALTER SYSTEM RESET autovacuum_naptime")
        admin("SELECT pg_reload_conf()")
        engine.dispose()


@pytest.fixture
def admin(servers, servers_dir):
    """Run one statement as the embedded server's superuser."""
    state = json.loads((servers_dir / "embedded.json").read_text())["postgres"]
    connection = psycopg2.connect(
        host=state["socket"], dbname="postgres", user="postgres", password=state["superuser_password"]
    )
    connection.autocommit = True

    def run(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None

    yield run
    connection.close()
