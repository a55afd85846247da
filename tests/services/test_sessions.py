"""What a session is for is held: a glancing one refuses every change, which would stay."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update

from db.identity import WorkspaceRow
from db.session import glancing
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
