from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import Misconfigured
from core.secrets import flower_basic_auth, secret_key
from core.settings import Settings


def test_a_development_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, secret_key=None)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(settings), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    kept = tmp_path / "secrets" / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["secret_key"]


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    one, two = (Settings(var_dir=tmp_path / name, secret_key=None) for name in ("one", "two"))
    assert secret_key(one) != secret_key(two)
    assert flower_basic_auth(one) != flower_basic_auth(two)


def test_a_given_secret_wins(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, secret_key="given", flower_basic_auth="a:b")
    assert secret_key(settings) == b"given"
    assert flower_basic_auth(settings) == "a:b"
    assert not (tmp_path / "secrets").exists()


def test_production_refuses_to_make_up_secrets(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, callsheet_env="production", secret_key=None)
    with pytest.raises(Misconfigured, match="SECRET_KEY"):
        secret_key(settings)
    with pytest.raises(Misconfigured, match="FLOWER_BASIC_AUTH"):
        flower_basic_auth(settings)


def test_secrets_do_not_show_in_the_settings_text() -> None:
    assert "hush" not in repr(Settings(secret_key="hush", s3_secret_access_key="hush"))
