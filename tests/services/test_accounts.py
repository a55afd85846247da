from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from core.errors import Invalid
from db.identity import ApiKey, WorkspaceRow
from db.session import reading, transaction
from services.accounts import authenticate, bootstrap, create_key


@pytest.mark.usefixtures("settings")
def test_the_first_start_makes_one_workspace_and_one_key_however_many_start_at_once():
    keys = []

    def start():
        with transaction() as session:
            keys.append(bootstrap(session))

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    made = [key for key in keys if key]
    assert len(keys) == 5
    assert len(made) == 1
    with reading() as session:
        assert session.scalars(select(WorkspaceRow.name)).all() == ["Studio"]
        caller = authenticate(session, made[0])
        assert caller is not None
        assert caller.scopes == {"admin"}


@pytest.mark.usefixtures("settings")
def test_only_the_digest_of_a_key_is_kept():
    with transaction() as session:
        key = bootstrap(session)
    with reading() as session:
        row = session.scalar(select(ApiKey))
        kept = " ".join(str(getattr(row, column.key)) for column in ApiKey.__table__.columns)
    assert key.startswith(row.prefix)
    assert key not in kept
    assert key.rpartition("_")[2] not in kept
    assert len(key) == len("cs_") + 8 + 1 + 43


@pytest.mark.usefixtures("settings")
def test_a_key_needs_a_scope():
    with transaction() as session:
        bootstrap(session)
        row = session.scalar(select(ApiKey))
        with pytest.raises(Invalid, match="scope"):
            create_key(session, row.workspace_id, row.user_id, name="none", scopes=[])
