"""The application on a database of its own, and two workspaces that must not see each other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import NullPool, create_engine, text

from app import create_app
from app.commands.database import drop_database
from core.settings import Settings
from db.session import transaction
from services.accounts import create_key, create_workspace
from tests.conftest import _create_database, _on_database

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def module_database(servers, template_database):
    name = f"callsheet_app_{next(NUMBERS)}"
    _create_database(servers.database_url, name, template=template_database)
    yield _on_database(servers.database_url, name)
    drop_database(servers.database_url, name)


@pytest.fixture
def database_url(module_database):
    """One database per file, emptied before each test: making one for each would take most of the time."""
    engine = create_engine(module_database, poolclass=NullPool)
    with engine.begin() as connection:
        for table in ("workspaces", "users", "blobs", "heartbeats", "callback_events"):
            connection.execute(text(f"DELETE FROM {table}"))
    return module_database


@dataclass
class House:
    """A workspace, its owner, and a client that sends its key with every call."""

    workspace_id: UUID
    user_id: UUID
    key: str
    client: FlaskClient


class KeyedClient(FlaskClient):
    key: str | None = None

    def open(self, *args, **kwargs):
        headers = dict(kwargs.pop("headers", None) or {})
        if self.key is not None:
            headers.setdefault("X-API-Key", self.key)
        return super().open(*args, headers=headers, **kwargs)


@pytest.fixture(scope="module")
def module_app():
    made = create_app(Settings(secret_key="s" * 32))
    made.test_client_class = KeyedClient
    return made


@pytest.fixture
def app(module_app, settings):
    """One application per file, with this test's settings: building it takes longer than most tests."""
    module_app.extensions.pop("store", None)
    module_app.config.update(
        SETTINGS=settings, STREAM_POLL_SECONDS=0.02, STREAM_HEARTBEAT_SECONDS=0.05, STREAM_SECONDS=2.0
    )
    return module_app


@pytest.fixture
def anonymous(app):
    return app.test_client()


def make_house(app, name: str, scopes=("admin",)) -> House:
    with transaction() as session:
        workspace, user = create_workspace(session, name, f"{name.lower()}@example.test", name)
        _, key = create_key(session, workspace.id, user.id, name="test", scopes=scopes)
    client = app.test_client()
    client.key = key
    return House(workspace.id, user.id, key, client)


@pytest.fixture
def house(app) -> House:
    return make_house(app, "Ours")


@pytest.fixture
def other(app) -> House:
    return make_house(app, "Theirs")


@pytest.fixture
def client(house) -> FlaskClient:
    return house.client


@pytest.fixture
def film_job() -> dict:
    """The smallest brief that a job takes."""
    return {
        "kind": "film",
        "params": {"script": "# Up\n\n## Night\n\nThe sky is full of stars.\n\nThe moon rises slowly."},
    }
