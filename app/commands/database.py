"""Migrate, inspect, seed, back up and restore the database."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core import embedded
from core.errors import Misconfigured
from core.settings import ROOT, get_settings

SAMPLE_SCRIPT = ROOT / "app" / "samples" / "looking-up.md"

if TYPE_CHECKING:
    from alembic.config import Config

DUMP_SECONDS = 3600


def upgrade() -> None:
    """Bring the schema to its newest revision."""
    from alembic import command

    command.upgrade(_alembic(), "head")


def first_key() -> str | None:
    """Make the first workspace and its admin key; None when there is one already."""
    from db.session import transaction
    from services.accounts import bootstrap

    with transaction() as session:
        return bootstrap(session)


@click.command("api-key")
@click.option("--name", default="made at the command line", help="How lists show the key.")
def api_key(name: str) -> None:
    """Make an admin key and show it once; the first one of an installation, or one for a lost one."""
    from db.session import transaction
    from services.accounts import admit

    with _database():
        with transaction() as session:
            key = admit(session, name=name)
        click.echo(key)


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    with _database():
        upgrade()
        click.echo("The database is at the newest schema.")


@click.command()
@click.option("--everything", is_flag=True, help="Also take back the first migration, and with it all data.")
def rollback(*, everything: bool) -> None:
    """Take the last migration back; the first one only when `--everything` says that the data may go."""
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from db.session import engine

    with _database():
        with engine().connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        if current is None:
            raise Misconfigured("There is nothing to take back: the database has no schema yet.")
        first = ScriptDirectory.from_config(_alembic()).get_revision(current).down_revision is None
        if first and not everything:
            raise Misconfigured(
                f"Taking back {current}, the first migration, deletes all data. If that is what you want: "
                "make backup, then .venv/bin/python -m app rollback --everything."
            )
        command.downgrade(_alembic(), "-1")
        click.echo("The last migration is taken back.")


@click.command("db-status")
def db_status() -> None:
    """Show the schema's revision and what is pending."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from db.session import engine

    with _database():
        script = ScriptDirectory.from_config(_alembic())
        with engine().connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        pending = (
            [] if current == script.get_current_head() else list(script.iterate_revisions("head", current))
        )
        click.echo(f"revision  {current or 'none: nothing is migrated yet'}")
        for revision in reversed(pending):
            click.echo(f"pending   {revision.revision}  {revision.doc}")
        if not pending:
            click.echo("pending   nothing")


@click.command()
def seed() -> None:
    """Fill the database with sample data; running it again adds nothing."""
    with _database():
        upgrade()
        from db.session import transaction
        from services.seed import sow

        with transaction() as session:
            click.echo(sow(session, SAMPLE_SCRIPT.read_text(encoding="utf-8")))


@click.command()
@click.option(
    "--to", type=click.Path(path_type=Path), help="The file to write; unset: var/backups/<time>.dump."
)
@click.option(
    "--check/--no-check", default=True, help="Restore the dump into a database of its own and compare."
)
def backup(to: Path | None, *, check: bool) -> None:
    """Dump the database, then prove that the dump restores."""
    with _database() as url:
        now = datetime.now(UTC)
        target = to or get_settings().var_dir / "backups" / f"{now:%Y%m%dT%H%M%SZ}.dump"
        target.parent.mkdir(parents=True, exist_ok=True)
        dump(url, target)
        click.echo(f"{target}  ({target.stat().st_size:,} bytes)")
        if check:
            click.echo(f"It restores: {check_dump(url, target):,} rows came back in a scratch database.")


@click.command()
@click.argument("dump_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask: everything in the database is replaced.")
def restore(dump_file: Path, *, yes: bool) -> None:
    """Replace the database's contents by those of a dump, in one transaction."""
    if not yes:
        click.confirm("Everything in the database is replaced. Go on?", abort=True)
    with _database() as url:
        load(url, dump_file)
        click.echo("Restored.")


def dump(url: str, target: Path) -> None:
    """Write pg_dump's custom format; the file appears only when it is whole."""
    draft = target.with_suffix(".part")
    try:
        _client("pg_dump", url, ["--format=custom", "--no-owner", "--no-privileges", f"--file={draft}"])
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def load(url: str, source: Path) -> None:
    """Replace what the dump names; on any error nothing has changed."""
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction"]
    # The extension belongs to the superuser and is in every database of ours already.
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        listing = _client("pg_restore", None, ["--list", str(source)])
        kept = [line for line in listing.splitlines() if " EXTENSION " not in line]
        chosen.write("\n".join(kept) + "\n")
        chosen.flush()
        _client("pg_restore", url, [*options, f"--use-list={chosen.name}", str(source)])


def check_dump(url: str, source: Path) -> int:
    """Restore into a scratch database and drop it again; the number of rows that came back.

    Raises Misconfigured when the tables differ. Rows are counted, not compared: work may go on meanwhile.
    """
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    address = make_url(url)
    name = f"callsheet_check_{datetime.now(UTC):%Y%m%d%H%M%S%f}"
    owner = create_engine(address, isolation_level="AUTOCOMMIT")
    try:
        with owner.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            scratch = address.set(database=name).render_as_string(hide_password=False)
            load(scratch, source)
            restored, present = count_rows(scratch), count_rows(url)
        finally:
            drop_database(url, name)
    finally:
        owner.dispose()
    if restored.keys() != present.keys():
        raise Misconfigured("The restored database has other tables than this one: do not rely on the dump.")
    return sum(restored.values())


def drop_database(url: str, name: str) -> None:
    """Drop a database of the role's own, with the sessions this role has in it; gone already is fine.

    Not by `WITH (FORCE)`: that wants the right to end every process there, and the server's own
    autovacuum worker belongs to the superuser. A plain drop sends the worker away and waits for it.
    """
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    ours = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = :name AND usename = current_user"
    )
    try:
        with engine.connect() as connection:
            connection.execute(ours, {"name": name})
            connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
    finally:
        engine.dispose()


def count_rows(url: str) -> dict[str, int]:
    """Rows of each table in the public schema."""
    from sqlalchemy import create_engine, inspect, text

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            quote = engine.dialect.identifier_preparer.quote
            return {
                table: int(connection.execute(text(f"SELECT count(*) FROM {quote(table)}")).scalar_one())  # noqa: S608 - quoted by the dialect
                for table in inspect(connection).get_table_names()
            }
    finally:
        engine.dispose()


@contextmanager
def _database() -> Iterator[str]:
    """Yield the database's address; an embedded server that had to be started is stopped again."""
    from db.session import reset

    with embedded.running(get_settings()) as found:
        os.environ.update(embedded.env_for_children(found))
        get_settings.cache_clear()
        reset()
        try:
            yield found.database_url
        finally:
            reset()


def _alembic() -> Config:
    from alembic.config import Config

    return Config(str(ROOT / "migrations" / "alembic.ini"))


def _client(name: str, url: str | None, options: list[str]) -> str:
    """Run one of PostgreSQL's programs; the password goes by the environment, not by the process list."""
    from sqlalchemy.engine import make_url

    environment = dict(os.environ)
    arguments = list(options)
    if url:
        address = make_url(url)
        host = address.host or address.query.get("host")
        environment |= {"PGPASSWORD": address.password or "", "PGUSER": address.username or ""}
        environment |= {"PGHOST": str(host or ""), "PGPORT": str(address.port or 5432)}
        database = address.database or ""
        arguments += [f"--dbname={database}"]
    from core.embedded.postgres import program

    done = subprocess.run(
        [str(program(name)), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DUMP_SECONDS,
        check=False,
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no message"]
        raise Misconfigured(f"{name} failed: {last[0]}")
    return done.stdout


COMMANDS = (api_key, migrate, rollback, db_status, seed, backup, restore)
