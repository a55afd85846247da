from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from core.errors import Invalid, Misconfigured, NotFound, Retryable
from core.settings import Settings
from core.storage import DiskStorage, blob_key, content_disposition, open_storage
from core.storage_s3 import S3Storage, make_client

SECRET = b"0123456789abcdef0123456789abcdef"
BASE = "http://films.example"


def s3_client(url, secret="hush-hush-hush", **kw):
    return make_client(
        endpoint_url=url, region="us-east-1", access_key_id="AKIDEXAMPLE", secret_access_key=secret, **kw
    )


@pytest.fixture(params=["disk", "s3"])
def storage(request, tmp_path):
    if request.param == "disk":
        yield DiskStorage(tmp_path / "a store", SECRET, BASE)
    else:
        prefix = f"t{time.time_ns()}/deep"
        yield S3Storage(s3_client(request.getfixturevalue("s3_gateway")), "films", prefix)


def a_file(tmp_path, data=b"moving pictures"):
    path = tmp_path / "in.bin"
    path.write_bytes(data)
    return path, blob_key(hashlib.sha256(data).hexdigest())


# -- one contract, both stores ---------------------------------------------------------------


def test_what_is_put_can_be_read_sized_lent_and_listed(storage, tmp_path):
    path, key = a_file(tmp_path)
    assert not storage.exists(key)
    storage.put(key, path, mime="video/mp4")
    assert storage.exists(key)
    assert storage.size(key) == 15
    with storage.open(key) as f:
        assert f.read(6) == b"moving"
        f.seek(0)
        assert f.read() == b"moving pictures"
    with storage.local(key) as lent:
        assert lent.read_bytes() == b"moving pictures"
    (stored,) = storage.list("blobs/")
    assert (stored.key, stored.size) == (key, 15)
    assert abs(stored.modified.timestamp() - time.time()) < 60
    assert path.exists()


def test_putting_again_replaces_and_deleting_twice_is_fine(storage, tmp_path):
    path, key = a_file(tmp_path)
    storage.put(key, path, mime="video/mp4")
    path.write_bytes(b"other")
    storage.put(key, path, mime="video/mp4")
    assert storage.size(key) == 5
    storage.delete(key)
    storage.delete(key)
    assert not storage.exists(key)
    assert list(storage.list()) == []


def test_what_is_missing_is_not_found(storage):
    key = blob_key("0" * 64)
    with pytest.raises(NotFound):
        storage.open(key)
    with pytest.raises(NotFound):
        storage.size(key)
    with pytest.raises(NotFound), storage.local(key):
        pass


@pytest.mark.parametrize(
    "key",
    ["../outside", "blobs/../../etc/passwd", "/etc/passwd", "a//b", "a/./b", "", ".incoming/x", "a/.hidden", "a\\..\\b",
     "a/%2e%2e/b", "a\0b", "a b", "ä", "a/", "x" * 513, "a\n"],
)  # fmt: skip
def test_keys_cannot_climb_or_hide(storage, tmp_path, key):
    path, _ = a_file(tmp_path)
    for act in (
        lambda: storage.put(key, path, mime="x/y"),
        lambda: storage.open(key),
        lambda: storage.exists(key),
        lambda: storage.size(key),
        lambda: storage.delete(key),
        lambda: storage.presign(key, ttl=5),
        lambda: storage.local(key).__enter__(),
    ):
        with pytest.raises(Invalid) as caught:
            act()
        assert caught.value.field == "key"


def test_listing_takes_a_partial_prefix_and_nothing_else(storage, tmp_path):
    path, _ = a_file(tmp_path)
    for key in ("blobs/aa/1", "blobs/ab/2", "work/3"):
        storage.put(key, path, mime="x/y")
    assert sorted(s.key for s in storage.list("blobs/a")) == ["blobs/aa/1", "blobs/ab/2"]
    assert [s.key for s in storage.list("blobs/aa")] == ["blobs/aa/1"]
    assert list(storage.list("none/")) == []
    assert len(list(storage.list())) == 3


def test_a_file_larger_than_one_part_arrives_whole(storage, tmp_path):
    data = os.urandom(1 << 20) * 17
    path, key = a_file(tmp_path, data)
    storage.put(key, path, mime="video/mp4")
    assert storage.size(key) == len(data)
    with storage.local(key) as lent:
        assert hashlib.sha256(lent.read_bytes()).hexdigest() == key[-64:]


def test_a_store_in_order_passes_its_check(storage):
    storage.check()
    assert list(storage.list()) == []


def test_a_missing_source_file_leaves_nothing_behind(storage, tmp_path):
    with pytest.raises((Retryable, OSError)):
        storage.put("blobs/x", tmp_path / "missing", mime="x/y")
    assert list(storage.list()) == []


# -- S3 --------------------------------------------------------------------------------------


def test_a_presigned_s3_link_serves_ranges_without_credentials(s3_gateway, tmp_path):
    storage = S3Storage(s3_client(s3_gateway), "films")
    path, key = a_file(tmp_path)
    storage.put(key, path, mime="video/mp4")
    url = storage.presign(key, ttl=60, filename="Ein schöner Film.mp4", mime="video/mp4")
    assert requests.get(url, timeout=5).content == b"moving pictures"
    part = requests.get(url, headers={"Range": "bytes=7-"}, timeout=5)
    assert part.content == b"pictures"  # this gateway answers 200 with a Content-Range where AWS says 206
    assert part.headers["Content-Range"] == "bytes 7-14/15"
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["response-content-disposition"][0].startswith("attachment;")
    assert "hush-hush" not in url


def test_a_tampered_s3_link_is_refused(s3_gateway, tmp_path):
    storage = S3Storage(s3_client(s3_gateway), "films")
    path, key = a_file(tmp_path)
    storage.put(key, path, mime="video/mp4")
    url = storage.presign(key, ttl=60)
    broken = url[:-1] + ("0" if url[-1] != "0" else "1")
    assert requests.get(broken, timeout=5).status_code == 403
    assert requests.get(url.split("?")[0], timeout=5).status_code in (400, 401, 403)


def test_a_wrong_s3_secret_or_bucket_asks_for_the_operator(s3_gateway, tmp_path):
    path, key = a_file(tmp_path)
    with pytest.raises(Misconfigured):
        S3Storage(s3_client(s3_gateway, secret="wrong"), "films").put(key, path, mime="x/y")
    with pytest.raises(Misconfigured):
        S3Storage(s3_client(s3_gateway), "no-such-bucket").check()


def test_an_s3_store_that_is_away_is_retryable(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path, key = a_file(tmp_path)
    storage = S3Storage(s3_client(f"http://127.0.0.1:{port}", timeout=(0.5, 0.5)), "films")
    with pytest.raises(Retryable):
        storage.put(key, path, mime="x/y")
    with pytest.raises(Retryable):
        storage.size(key)


def test_boto3_is_not_imported_for_the_disk_store():
    code = "import sys; from core.storage import open_storage; assert 'boto3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, cwd=Path(__file__).parents[2])


# -- disk ------------------------------------------------------------------------------------


def signed(disk, **kw):
    key = blob_key("ab" * 32)
    url = urlsplit(disk.presign(key, **kw))
    query = {k: v[0] for k, v in parse_qs(url.query).items()}
    query["expires"] = int(query["expires"])
    return url, {"key": key, **query}


def test_a_signed_link_is_accepted_until_it_expires(tmp_path):
    now = [1000.0]
    disk = DiskStorage(tmp_path, SECRET, BASE, clock=lambda: now[0])
    url, parts = signed(disk, ttl=60)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{BASE}/api/v1/files/{parts['key']}"
    assert disk.verify_signature(**parts)
    now[0] = 1059.9
    assert disk.verify_signature(**parts)
    now[0] = 1060.0
    assert not disk.verify_signature(**parts)


@pytest.mark.parametrize(
    "change",
    [{"key": blob_key("cd" * 32)}, {"expires": 99**9}, {"signature": "0" * 64}, {"signature": ""}, {"signature": "é"},
     {"signature": "\udcff"}, {"filename": "other.html"}, {"filename": None}, {"mime": "text/html"}, {"mime": None}],
)  # fmt: skip
def test_a_changed_link_is_refused(tmp_path, change):
    disk = DiskStorage(tmp_path, SECRET, BASE)
    _, parts = signed(disk, ttl=60, filename="a.mp4", mime="video/mp4")
    assert disk.verify_signature(**parts)
    assert not disk.verify_signature(**{**parts, **change})


def test_parts_of_a_link_cannot_be_shifted_into_one_another(tmp_path):
    disk = DiskStorage(tmp_path, SECRET, BASE)
    _, parts = signed(disk, ttl=60, filename="x", mime=None)
    parts.pop("filename")
    assert not disk.verify_signature(**parts, mime="x")


def test_another_secret_makes_other_links(tmp_path):
    _, parts = signed(DiskStorage(tmp_path, SECRET, BASE), ttl=60)
    assert not DiskStorage(tmp_path, SECRET[::-1], BASE).verify_signature(**parts)
    with pytest.raises(Misconfigured, match="SECRET_KEY"):
        DiskStorage(tmp_path, b"short", BASE)


def test_a_symbolic_link_in_the_folder_leads_nowhere(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("hush")
    store = tmp_path / "store"
    store.mkdir()
    (store / "door").symlink_to(tmp_path / "outside")
    (store / "file").symlink_to(tmp_path / "outside" / "secret")
    disk = DiskStorage(store, SECRET, BASE)
    for key in ("door/secret", "file"):
        with pytest.raises(Invalid):
            disk.open(key)
    assert list(disk.list()) == []


def test_readers_see_the_old_or_the_whole_new_file_while_it_is_replaced(tmp_path):
    disk = DiskStorage(tmp_path / "store", SECRET, BASE)
    old, new = b"a" * 3_000_000, b"b" * 3_000_000
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(new)
    disk.put("k", tmp_path / "old", mime="x/y")
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            with disk.open("k") as f:
                data = f.read()
            seen.add((len(data), len(set(data))))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        disk.put("k", tmp_path / "new", mime="x/y")
        disk.put("k", tmp_path / "old", mime="x/y")
    stop.set()
    reader.join()
    assert seen == {(3_000_000, 1)}


def test_a_full_disk_is_named_and_leaves_no_half_file(tmp_path, monkeypatch):
    disk = DiskStorage(tmp_path / "store", SECRET, BASE)
    path, key = a_file(tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(Retryable) as caught:
        disk.put(key, path, mime="x/y")
    assert caught.value.code == "disk_full"
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == []


def test_a_download_name_is_written_for_every_browser():
    header = content_disposition('Über "uns"; 50%\r\n.mp4')
    assert "\r" not in header
    assert header.startswith('attachment; filename="_ber _uns__ 50___.mp4"')
    assert "filename*=UTF-8''%C3%9Cber" in header


# -- opening ---------------------------------------------------------------------------------


def settings(tmp_path, **kw):
    return Settings(_env_file=None, var_dir=tmp_path, **kw)


def test_the_disk_store_opens_under_var_dir_with_the_given_secret(tmp_path):
    store = open_storage(settings(tmp_path), secret=SECRET, base_url="")
    path, key = a_file(tmp_path)
    store.put(key, path, mime="x/y")
    assert (tmp_path / "store" / key).is_file()
    assert store.presign(key, ttl=5).startswith("/api/v1/files/blobs/")


def test_the_disk_store_signs_with_the_installations_own_secret_when_none_is_given(tmp_path):
    _, parts = signed(open_storage(settings(tmp_path)), ttl=60)
    assert open_storage(settings(tmp_path)).verify_signature(**parts)
    other = tmp_path / "another installation"
    other.mkdir()
    assert not open_storage(settings(other)).verify_signature(**parts)


def test_an_s3_url_opens_a_bucket_with_a_prefix(tmp_path, s3_gateway):
    store = open_storage(
        settings(tmp_path, storage_url="s3://films/some/where", s3_endpoint_url=s3_gateway,
                 s3_access_key_id="AKIDEXAMPLE", s3_secret_access_key="hush-hush-hush")
    )  # fmt: skip
    path, key = a_file(tmp_path)
    store.put(key, path, mime="x/y")
    assert [s.key for s in store.list()] == [key]
    assert f"/films/some/where/{key}" in store.presign(key, ttl=5)


@pytest.mark.parametrize("url", ["", "s3://", "s3:///x", "ftp://x", "s3://UPPER/x", "/some/folder"])
def test_an_unknown_storage_url_names_the_setting(tmp_path, url):
    with pytest.raises(Misconfigured, match="STORAGE_URL"):
        open_storage(settings(tmp_path, storage_url=url))
