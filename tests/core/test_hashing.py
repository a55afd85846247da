from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.hashing import canonical_json, digest, file_sha256
from core.ids import new_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


@given(json_values, json_values)
def test_equal_digests_mean_equal_values(one: object, two: object) -> None:
    if digest(one) == digest(two):
        assert canonical_json(one) == canonical_json(two)


def test_a_whole_float_is_the_integer_it_is_and_a_tuple_is_a_list() -> None:
    assert digest({"fps": 30.0, "size": (1, 2)}) == digest({"fps": 30, "size": [1, 2]})
    assert digest({"flag": True}) != digest({"flag": 1})
    assert digest({"at": 0.1}) != digest({"at": 0.2})


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_ids_are_version_seven_and_sort_by_the_time_they_were_made() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert all(isinstance(one, UUID) and one.version == 7 for one in made)
    assert len(set(made)) == 1000
