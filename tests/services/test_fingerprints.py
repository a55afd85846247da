"""The look-up by bands: every true neighbour, found by the indexes, in its own workspace only."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from core.ids import new_id
from core.likeness import VERSIONS, Fingerprint, HashAlgo
from db.assets import Image
from db.hashes import AssetHash
from db.session import reading, transaction
from services.fingerprints import NEIGHBOURS, add_hashes, hashes_of, near_hashes, near_recordings
from tests.services.makers import House, make_house

PICTURE = HashAlgo.PICTURE


@pytest.fixture
def house(settings_of_a_test) -> House:
    return make_house()


@pytest.fixture
def settings_of_a_test(request):
    """The fixture `settings`, whose name hypothesis has here."""
    return request.getfixturevalue("settings")


def keep(session, house, *prints, **facts):
    asset = Image(
        workspace_id=house.workspace_id, name="A", sha256=f"{random.getrandbits(256):064x}", **facts
    )
    session.add(asset)
    session.flush()
    add_hashes(session, asset, prints)
    return asset.id


def picture(number):
    return Fingerprint(PICTURE, (f"{number:016x}",))


def test_fingerprints_come_back_as_they_were_kept(house):
    prints = [
        Fingerprint(PICTURE, ("8000000000000001", "ffffffffffffffff")),
        Fingerprint(HashAlgo.CHROMAPRINT, items=tuple(range(-20, 20))),
    ]
    with transaction() as session:
        asset_id = keep(session, house, *prints)
    with reading() as session:
        found = hashes_of(session, [asset_id])[asset_id]
    assert sorted(found, key=lambda one: one.algo) == sorted(prints, key=lambda one: one.algo)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), distance=st.integers(0, 11), clusters=st.integers(1, 40))
def test_every_true_neighbour_is_found_and_nothing_else(house, seed, distance, clusters):
    dice = random.Random(seed)
    middles = [dice.getrandbits(64) for _ in range(clusters)]
    values = [dice.choice(middles) ^ flips(dice, dice.randrange(18)) for _ in range(80)]
    asked = dice.choice(middles) ^ flips(dice, dice.randrange(4))
    own = make_house(f"House{seed}-{dice.random()}")
    with transaction() as session:
        stored = {keep(session, own, picture(value)): value for value in values}
        keep(session, house, picture(asked))
    with reading() as session:
        found = near_hashes(session, own.workspace_id, PICTURE, [f"{asked:016x}"], distance=distance)
    brute = {key: (value ^ asked).bit_count() for key, value in stored.items()}
    assert found == {key: bits for key, bits in brute.items() if bits <= distance}


def flips(dice, count):
    return sum(1 << bit for bit in dice.sample(range(64), count))


def test_another_kind_and_an_old_version_are_never_compared(house):
    with transaction() as session:
        asset_id = keep(session, house, picture(1))
        session.execute(AssetHash.__table__.update().values(version=VERSIONS[PICTURE] - 1))
    with reading() as session:
        assert near_hashes(session, house.workspace_id, PICTURE, ["0" * 16]) == {}
        assert near_hashes(session, house.workspace_id, HashAlgo.FRAME, ["0" * 16]) == {}
        assert hashes_of(session, [asset_id]) == {asset_id: []}


def test_a_distance_that_the_bands_do_not_cover_is_refused(house):
    with reading() as session, pytest.raises(ValueError, match="0-11"):
        near_hashes(session, house.workspace_id, PICTURE, ["0" * 16], distance=12)


def test_music_is_found_by_what_it_shares(house):
    dice = random.Random(3)
    music = tuple(dice.getrandbits(32) - 2**31 for _ in range(400))
    other = tuple(dice.getrandbits(32) - 2**31 for _ in range(400))
    with transaction() as session:
        same = keep(session, house, Fingerprint(HashAlgo.CHROMAPRINT, items=music))
        part = keep(session, house, Fingerprint(HashAlgo.CHROMAPRINT, items=music[:60] + other[:340]))
        keep(session, house, Fingerprint(HashAlgo.CHROMAPRINT, items=tuple(n ^ 0x55555550 for n in music)))
    with reading() as session:
        found = near_recordings(session, house.workspace_id, music)
        assert list(found) == [same, part]  # those that share most first
        assert tuple(found[same]) == music
        assert near_recordings(session, house.workspace_id, [7] * 400) == {}


def test_neighbours_and_music_are_looked_up_by_indexes(house):
    with transaction() as session:
        session.execute(text("ALTER TABLE asset_hashes DROP CONSTRAINT fk_asset_hashes_asset_id"))
        session.execute(
            text(
                "INSERT INTO asset_hashes (asset_id, algo, version, position, workspace_id, hash) "
                "SELECT gen_random_uuid(), 'picture', 1, 0, :workspace, "
                "('x' || substr(md5(n::text), 1, 16))::bit(64) FROM generate_series(1, 60000) n"
            ),
            {"workspace": house.workspace_id},
        )
        rows = [
            {"asset_id": new_id(), "algo": HashAlgo.CHROMAPRINT, "version": 1, "position": 0,
             "workspace_id": house.workspace_id, "items": [n], "terms": list(range(n, n + 30))}
            for n in range(3000)
        ]  # fmt: skip
        session.execute(insert(AssetHash), rows)
    with transaction() as session:
        session.execute(text("ANALYZE asset_hashes"))
        plan = explain(session, NEIGHBOURS, {
            "workspace": house.workspace_id, "algo": PICTURE, "version": 1, "hash": "0" * 64, "distance": 7,
            "most": 50, **{f"band{n}": list(range(17)) for n in range(4)},
        })  # fmt: skip
        assert "Seq Scan" not in plan
        assert all(f"ix_asset_hashes_workspace_id_algo_b{n}" in plan for n in range(4))
        plan = explain(session, select(AssetHash.asset_id).where(AssetHash.terms.overlap([1, 2, 3])), {})
        assert "ix_asset_hashes_terms" in plan


def explain(session, statement, values):
    bound = statement.compile(session.get_bind(), compile_kwargs={"render_postcompile": True})
    raw = session.connection().exec_driver_sql(f"EXPLAIN {bound}", bound.construct_params(values))
    return "\n".join(row[0] for row in raw)
