"""Run migrations: one transaction each, never waiting long on a lock that running code holds."""

from alembic import context
from sqlalchemy import text

from db.models import metadata
from db.session import engine

LOCK_TIMEOUT = "3s"
STATEMENT_TIMEOUT = "15min"


def run() -> None:
    with engine().connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            compare_type=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
