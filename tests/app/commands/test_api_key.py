"""The key that an operator makes at the command line."""

from __future__ import annotations

from click.testing import CliRunner

from app.commands.database import api_key
from db.session import transaction
from services.accounts import authenticate, bootstrap


def _make_key() -> str:
    done = CliRunner().invoke(api_key, [], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.strip().splitlines()[-1]


def test_the_first_key_of_an_installation_comes_with_its_workspace(settings):
    key = _make_key()

    with transaction() as session:
        assert "admin" in authenticate(session, key).scopes
        assert bootstrap(session) is None


def test_another_key_opens_the_same_workspace_and_leaves_the_first_one_valid(settings):
    with transaction() as session:
        lost = bootstrap(session)

    key = _make_key()

    with transaction() as session:
        found, before = authenticate(session, key), authenticate(session, lost)
        assert found.workspace_id == before.workspace_id
        assert found.key_id != before.key_id
