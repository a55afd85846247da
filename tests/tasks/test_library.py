"""Files that came in: once per source and item, gone when deleted, back when wanted again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.licences import LicencePolicy, parse_licence
from db.assets import Asset, AssetKind, Image, Origin
from db.session import reading, transaction
from scrapers.base import Candidate
from services.renditions import StoredFile
from tasks.inspection import Inspected
from tasks.library import keep_asset, keep_found, known_asset
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


def found(**kw):
    facts = {
        "source": "openverse", "foreign_id": "image/7", "kind": "image", "title": "Cat", "landing_url": "https://a.example/7",
        "media_url": "https://a.example/7.jpg", "creator": "Ann <ann@mail.example>", "creator_url": None,
        "licence": parse_licence(name="CC BY 4.0"), "raw_licence": "by 4.0", "restrictions": ("personality", "trademarked"),
        "description": "Ask me at ann.other@mail.example, token=abcdefghijklmnop " + "x" * 900, "tags": ("cat", "pet"),
    }  # fmt: skip
    return Candidate(**{**facts, **kw})


def test_what_proves_a_licence_is_kept_without_addresses_of_people_and_bounded(house):
    with transaction() as session:
        asset = keep_found(session, house.workspace_id, found(), SEEN, policy=LicencePolicy()).id
    with reading() as session:
        origin = session.get_one(Origin, asset)
    assert origin.restrictions == ["personality", "trademarked"]
    proof = origin.licence_proof
    assert (proof["said_by"], proof["raw"], proof["page"]) == ("openverse", "by 4.0", "https://a.example/7")
    assert proof["item"]["tags"] == "cat, pet"
    assert "mail.example" not in str(proof)
    assert max(len(text) for text in proof["item"].values()) <= 500


def test_an_item_whose_licence_changed_keeps_the_first_and_notes_the_other(house):
    for name in ("CC BY 4.0", "CC BY-NC 4.0", "CC BY-NC 4.0"):
        with transaction() as session:
            one = found(licence=parse_licence(name=name), raw_licence=name)
            asset = keep_found(session, house.workspace_id, one, SEEN, policy=LicencePolicy()).id
    with reading() as session:
        origin = session.get_one(Origin, asset)
    assert (origin.licence, origin.raw_licence, origin.licence_facts["commercial_ok"]) == (
        "CC-BY-4.0",
        "CC BY 4.0",
        True,
    )
    assert [(one["licence"], one["raw"]) for one in origin.licence_proof["changed"]] == [
        ("CC-BY-NC-4.0", "CC BY-NC 4.0")
    ]


def test_an_uploads_licence_is_its_senders_word(house, settings):
    from services.uploads import complete_upload, create_upload, make_clip

    with transaction() as session:
        row = create_upload(
            session, house.workspace_id, house.user_id, filename="waves.mp4", mime="video/mp4", size=None,
            rights={"licence": "Mixkit Stock Video Free License", "source_url": "https://mixkit.co/free-stock-video/waves-1/"},
        )  # fmt: skip
        stored = StoredFile("b" * 64, 1, "video/mp4", "k/b", "waves.mp4")
        clip = make_clip(session, complete_upload(session, house.workspace_id, row.id, stored), stored).id
    with reading() as session:
        origin = session.get_one(Origin, clip)
    assert (origin.licence, origin.licence_class) == ("LicenseRef-Mixkit-Video-Free", "commercial")
    assert origin.licence_proof == {
        "said_by": "user",
        "user_id": str(house.user_id),
        "said": {
            "licence": "Mixkit Stock Video Free License",
            "source_url": "https://mixkit.co/free-stock-video/waves-1/",
        },
    }
