"""Files that came in: once per source and item, gone when deleted, back when wanted again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.licences import parse_licence
from db.assets import Asset, AssetKind, Image, Origin
from db.session import reading, transaction
from services.renditions import StoredFile
from tasks.inspection import Inspected
from tasks.library import keep_asset, known_asset
from tests.services.makers import at_once, make_house

SEEN = Inspected(
    "image", StoredFile("a" * 64, 1, "image/jpeg", "k", "a.jpg"), None, {"width": 2, "height": 2}
)


def keep(house, foreign_id="1"):
    with transaction() as session:
        return keep_asset(
            session, workspace_id=house.workspace_id, inspected=SEEN, name="A", source="samples",
            foreign_id=foreign_id, licence=parse_licence(url="https://creativecommons.org/publicdomain/zero/1.0/"),
            raw_licence="CC0", origin={"title": "A"},
        ).id  # fmt: skip


def known(house, foreign_id="1"):
    with reading() as session:
        return known_asset(session, house.workspace_id, "samples", foreign_id)


def count(table):
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_an_item_of_a_source_is_one_asset_of_a_workspace(house):
    first = keep(house)
    assert keep(house) == first == known(house)
    other = make_house("Other")
    assert known(other) is None
    assert keep(other) != first
    assert keep(house, "2") != first


def test_a_deleted_asset_is_not_known_and_comes_back_when_it_is_kept_again(house):
    first = keep(house)
    with transaction() as session:
        session.get_one(Asset, first).deleted_at = func.now()
    assert known(house) is None
    assert keep(house) == first
    assert known(house) == first


def test_shots_that_keep_the_same_picture_at_once_end_with_one_asset(house):
    answers = at_once(4, lambda _: keep(house))
    assert not [a for a in answers if isinstance(a, Exception)], answers
    assert len(set(answers)) == 1
    assert (count(Origin), count(Image)) == (1, 1)


@pytest.mark.parametrize("kind", [AssetKind.IMAGE])
def test_a_kept_picture_has_its_licence_and_its_file(house, kind):
    asset_id = keep(house)
    with reading() as session:
        assert session.get_one(Asset, asset_id).kind is kind
        assert session.get_one(Origin, asset_id).licence == "CC0-1.0"
