"""Downloads that are cut off and go on: the whole file, the right file, or nothing."""

from __future__ import annotations

import hashlib
import re

import pytest

from core.errors import Permanent, Retryable
from tests.core.test_http import client_for
from tests.loopback import Loopback, Reply

DATA = bytes(range(256)) * 40
TAG = {"ETag": '"one"'}


class Cutting:
    """A server that cuts its first answers off after so many bytes, and knows ranges."""

    def __init__(self, *cuts, data=DATA, headers=TAG):
        self.cuts, self.data, self.headers = list(cuts), data, dict(headers)

    def __call__(self, ask):
        start = 0
        said = re.fullmatch(r"bytes=(\d+)-", ask.headers.get("range", ""))
        mine = {self.headers.get("ETag"), self.headers.get("Last-Modified")} - {None}
        if said and ask.headers.get("if-range") in mine:
            start = int(said[1])
        rest = self.data[start:]
        headers = dict(self.headers)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        body, promise = rest, None
        if self.cuts:
            body, promise = rest[: self.cuts.pop(0)], len(rest)
        return Reply(206 if start else 200, body, "image/png", headers, promise)


def fetch(server, folder, limit=1 << 20, **kw):
    return client_for(server, **kw).download(f"{server.url}/a.png", folder / "a.png", limit)


def ranges(server):
    return [ask.headers.get("range") for ask in server.asks]


@pytest.mark.parametrize("names", [TAG, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}])
def test_a_file_that_is_cut_off_again_and_again_goes_on_where_it_stopped(tmp_path, names):
    with Loopback(Cutting(1000, 2000, 3000, headers=names)) as server:
        got = fetch(server, tmp_path)
        assert ranges(server) == [None, "bytes=1000-", "bytes=3000-", "bytes=6000-"]
        assert {ask.headers.get("if-range") for ask in server.asks[1:]} == set(names.values())
    assert got.path.read_bytes() == DATA
    assert (got.size, got.mime) == (len(DATA), "image/png")
    assert got.sha1 == hashlib.sha1(DATA).hexdigest()
    assert got.sha256 == hashlib.sha256(DATA).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("names", [{}, {"ETag": 'W/"weak"'}])
def test_a_file_that_cannot_be_told_from_another_is_fetched_from_its_beginning(tmp_path, names):
    with Loopback(Cutting(1000, headers=names)) as server:
        assert fetch(server, tmp_path).path.read_bytes() == DATA
        assert ranges(server) == [None, None]


def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path):
    newer = DATA[::-1]
    first, second = Cutting(1000), Cutting(data=newer, headers={"ETag": '"two"'})
    with Loopback(lambda ask: first(ask) if first.cuts else second(ask)) as server:
        got = fetch(server, tmp_path)
        assert ranges(server) == [None, "bytes=1000-"]
    assert got.path.read_bytes() == newer
    assert got.sha256 == hashlib.sha256(newer).hexdigest()


@pytest.mark.parametrize(
    "wrong",
    [
        Reply(416),
        Reply(206, b"x" * 10, headers={"Content-Range": "bytes 5-14/15"}),
        Reply(206, b"x" * 10),
        Reply(206, DATA[1000:], headers={"Content-Range": "bytes 1000-10239/10240", "ETag": '"two"'}),
        Reply(206, DATA[1000:], headers={"Content-Range": "bytes 1000-10239/10240", "Content-Encoding": "gzip"}),
    ],
    ids=["416", "other range", "no range", "other tag", "encoded"],
)  # fmt: skip
def test_a_rest_that_is_not_the_rest_of_this_file_is_not_joined_to_it(tmp_path, wrong):
    whole = Cutting(1000)
    with Loopback(lambda ask: wrong if "range" in ask.headers else whole(ask)) as server:
        assert fetch(server, tmp_path).path.read_bytes() == DATA
        assert ranges(server) == [None, "bytes=1000-", None]


def test_a_part_that_nobody_asked_for_is_refused(tmp_path):
    with (
        Loopback(lambda ask: Reply(206, b"x", headers={"Content-Range": "bytes 0-0/9"})) as server,
        pytest.raises(Permanent, match="206"),
    ):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_limit_counts_the_whole_file_and_not_its_last_part(tmp_path):
    def endless(ask):
        start = int(ask.headers.get("range", "bytes=0-")[6:-1])
        headers = {**TAG, **({"Content-Range": f"bytes {start}-{start + 3999}/*"} if start else {})}
        return Reply(206 if start else 200, b"x" * 3000, "image/png", headers, promise=4000)

    with Loopback(endless) as server, pytest.raises(Permanent) as caught:
        fetch(server, tmp_path, limit=8000)
    assert caught.value.code == "too_large"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_never_comes_whole_leaves_nothing(tmp_path):
    with Loopback(Cutting(10, 10, 10, 10)) as server, pytest.raises(Retryable, match="connection lost"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_long_transfer_is_no_reason_not_to_go_on(tmp_path):
    """Only the waits between the tries are bounded."""
    with Loopback(Cutting(1000)) as server:
        waits = []
        got = fetch(server, tmp_path, retry_for=1.6, waits=waits)
        assert got.size == len(DATA)
        assert len(waits) == 1


def test_the_range_goes_along_a_redirect_and_a_key_does_not(tmp_path):
    cutting = Cutting(1000)
    with (
        Loopback(cutting) as files,
        Loopback(lambda ask: Reply(302, headers={"Location": f"{files.url}/b.png"})) as door,
    ):
        http = client_for(door, files)
        got = http.download(f"{door.url}/a", tmp_path / "a", 1 << 20, headers={"Authorization": "Bearer x"})
        assert [ask.headers.get("range") for ask in files.asks] == [None, "bytes=1000-"]
        assert not any("authorization" in ask.headers for ask in files.asks)
    assert got.path.read_bytes() == DATA
