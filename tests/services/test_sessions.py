"""What a session is for is held: a glancing one refuses every change, which would stay."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.ids import new_id
from db.identity import WorkspaceRow
from db.prepared import Prepared, run_together
from db.session import glancing, single
from tests.services.makers import make_house


@pytest.fixture
def house(settings):
    return make_house()


CHANGES = {
    "insert": insert(WorkspaceRow).values(name="New"),
    "update": update(WorkspaceRow).values(name="New"),
    "delete": delete(WorkspaceRow),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_glancing_session_runs_no_statement_that_changes(house, change):
    with pytest.raises(RuntimeError, match="use transaction"), glancing() as session:
        session.execute(change)
    assert names() == ["House"]


def test_a_glancing_session_writes_no_object(house):
    with glancing() as session:
        session.scalars(select(WorkspaceRow)).one().name = "New"
        with pytest.raises(RuntimeError, match="use transaction"):
            session.flush()
    assert names() == ["House"]


def test_what_was_changed_on_a_loaded_row_and_not_written_is_lost(house):
    with glancing() as session:
        session.scalars(select(WorkspaceRow)).one().name = "New"
        assert session.scalars(select(WorkspaceRow.name)).all() == ["House"]
    assert names() == ["House"]


def names():
    with glancing() as session:
        return list(session.scalars(select(WorkspaceRow.name)))


RENAME = Prepared("test_rename", "old text, new text", "UPDATE workspaces SET name = $new WHERE name = $old")
FILE = Prepared(
    "test_file",
    "id uuid, workspace uuid",
    "INSERT INTO activities (id, workspace_id, action) VALUES ($id, $workspace, 'house.named') RETURNING action",
)


def test_statements_of_one_message_are_all_done_or_none(house):
    """Also where each statement would be a transaction of its own."""
    rename = RENAME.call(old="House", new="Home")
    with single() as connection, pytest.raises(IntegrityError):
        run_together(connection, rename, FILE.call(id=new_id(), workspace=new_id()))
    assert names() == ["House"]
    with single() as connection:
        said = run_together(connection, rename, FILE.call(id=new_id(), workspace=house.workspace_id))
        assert said.scalar_one() == "house.named"
    assert names() == ["Home"]
