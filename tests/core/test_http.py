from __future__ import annotations

import gzip
import hashlib
import logging
import socket
import threading
import time
import traceback
import tracemalloc
from email.utils import formatdate

import pytest

from core.answers import Answer, retry_after
from core.errors import Misconfigured, Permanent, Rejected, Retryable, Unconfirmed
from core.guard import Guard, is_public, parse_allow_list
from core.http import HttpClient
from core.redact import redact
from tests.loopback import Loopback, Reply


@pytest.fixture
def waits():
    return []


def client_for(*servers, waits=None, **kw):
    return HttpClient(
        allow=[s.host for s in servers],
        sleep=(waits.append if waits is not None else lambda s: None),
        **kw,
    )


class Script:
    """Answers in the order written; the last one repeats."""

    def __init__(self, *replies):
        self.replies = list(replies)

    def __call__(self, ask):
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


# -- who may be asked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "168.63.129.16", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
     "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
     "2002:7f00:1::", "nonsense"],
)  # fmt: skip
def test_addresses_that_are_not_on_the_open_internet_are_recognised(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
)
def test_public_addresses_are_recognised(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0"]
)
def test_loopback_is_refused_however_it_is_spelled(host):
    with Loopback(Script(Reply(body=b"{}"))) as server:
        with pytest.raises((Permanent, Retryable)):
            HttpClient(retry_for=0).get(f"http://{host}:{server.port}/")
        assert server.asks == []


def test_an_allowed_host_and_port_is_reached_and_its_neighbour_port_is_not():
    with Loopback(Script(Reply(body=b'{"a": 1}'))) as one, Loopback(Script(Reply(body=b"{}"))) as other:
        http = client_for(one)
        assert http.get_json(one.url) == {"a": 1}
        with pytest.raises(Permanent, match="ALLOW_PRIVATE_HOSTS") as caught:
            http.get_json(other.url)
        assert caught.value.code == "address_refused"
        assert other.asks == []


def test_a_name_is_resolved_once_and_the_socket_goes_to_the_address_that_was_checked():
    with Loopback(Script(Reply(body=b"{}"))) as server:
        looked_up = []

        def rebinding(host, port):
            looked_up.append(host)
            return ["127.0.0.1"] if len(looked_up) == 1 else ["192.0.2.1"]

        http = HttpClient(allow=[f"cdn.example:{server.port}"], resolver=rebinding)
        http.get(f"http://cdn.example:{server.port}/")
        assert looked_up == ["cdn.example"]
        assert server.asks[0].headers["host"] == f"cdn.example:{server.port}"


def test_a_name_with_one_private_address_among_public_ones_is_refused():
    http = HttpClient(resolver=lambda host, port: ["93.184.216.34", "10.0.0.8"])
    with pytest.raises(Permanent) as caught:
        http.get("http://mixed.example/")
    assert caught.value.code == "address_refused"
    assert "10.0.0.8" not in str(caught.value)


def test_each_redirect_is_checked_again():
    with Loopback(Script(Reply(body=b"secret"))) as inner:
        with Loopback(Script(Reply(302, headers={"Location": f"{inner.url}/admin"}))) as outer:
            with pytest.raises(Permanent) as caught:
                client_for(outer).get(f"{outer.url}/start")
            assert caught.value.code == "address_refused"
        assert inner.asks == []


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x/", "http://", "//"]
)
def test_a_redirect_to_something_that_is_not_http_is_refused(target):
    with (
        Loopback(Script(Reply(302, headers={"Location": target}))) as server,
        pytest.raises((Permanent, Retryable)),
    ):
        client_for(server, retry_for=0).get(server.url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://user:pw@example.org/",
        "javascript:1",
        "",
        "http:///x",
    ],
)
def test_urls_that_are_not_plain_http_are_refused(url):
    with pytest.raises(Permanent) as caught:
        HttpClient().get(url)
    assert "pw" not in str(caught.value)


def test_a_redirect_elsewhere_drops_the_authorization_and_one_at_home_keeps_it():
    def answer(ask):
        if ask.path == "/home":
            return Reply(302, headers={"Location": "/next"})
        if ask.path == "/next":
            return Reply(307, headers={"Location": f"{away.url}/there"})
        return Reply(body=b"{}")

    with Loopback(Script(Reply(body=b"{}"))) as away, Loopback(answer) as home:
        client_for(home, away).get(f"{home.url}/home", headers={"Authorization": "Bearer abc", "X-Key": "k"})
        assert home.asks[1].headers["authorization"] == "Bearer abc"
        assert "authorization" not in away.asks[0].headers
        assert "x-key" not in away.asks[0].headers


def test_a_redirect_loop_ends():
    with Loopback(Script(Reply(302, headers={"Location": "/again"}))) as server:
        with pytest.raises(Permanent, match="redirected more than"):
            client_for(server).get(server.url)
        assert len(server.asks) == 6


def test_offline_refuses_names_without_looking_them_up():
    looked_up = []
    http = HttpClient(offline=True, resolver=lambda h, p: looked_up.append(h) or [])
    with pytest.raises(Misconfigured, match="OFFLINE"):
        http.get("https://example.org/")
    assert looked_up == []


def test_offline_still_reaches_an_allowed_server_on_this_machine_but_not_an_allowed_one_elsewhere():
    with Loopback(Script(Reply(body=b"{}"))) as server:
        assert client_for(server, offline=True).get_json(server.url) == {}
    away = HttpClient(offline=True, allow="nas.lan:80", resolver=lambda h, p: ["192.168.1.9"])
    with pytest.raises(Misconfigured, match="OFFLINE"):
        away.get("http://nas.lan/")


def test_the_allow_list_is_read_and_its_errors_name_the_setting():
    assert parse_allow_list("localhost:11434, [::1]:80,") == {("localhost", 11434), ("::1", 80)}
    for bad in ("localhost", "localhost:", "localhost:0", ":80", "a:b"):
        with pytest.raises(Misconfigured, match="ALLOW_PRIVATE_HOSTS"):
            parse_allow_list(bad)


def test_a_proxy_in_the_environment_cannot_pass_the_guard_by(monkeypatch):
    with Loopback(Script(Reply(body=b"{}"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(Permanent):
            HttpClient(resolver=lambda h, p: ["10.0.0.1"]).get("http://inner.example/")
        assert proxy.asks == []


# -- what is asked ---------------------------------------------------------------------------


def test_the_user_agent_names_product_and_contact():
    with Loopback(Script(Reply(body=b"{}"))) as server:
        client_for(server, contact="https://films.example/; ops@films.example").get(server.url)
        agent = server.asks[0].headers["user-agent"]
    assert agent.startswith("Callsheet/")
    assert "(https://films.example/; ops@films.example)" in agent


def test_a_contact_with_a_line_break_is_refused():
    with pytest.raises(Misconfigured, match="CONTACT"):
        HttpClient(contact="me@example.org\r\nX-Evil: 1")


def test_cookies_are_not_kept():
    with Loopback(Script(Reply(body=b"{}", headers={"Set-Cookie": "a=b"}))) as server:
        http = client_for(server)
        http.get(server.url)
        http.get(server.url)
        assert "cookie" not in server.asks[1].headers


# -- what is read ----------------------------------------------------------------------------


def test_a_gzipped_answer_is_read():
    with Loopback(
        Script(Reply(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"}))
    ) as server:
        assert client_for(server).get_json(server.url) == {"a": 1}


def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path):
    bomb = gzip.compress(b"\0" * (300 << 20), compresslevel=9)
    assert len(bomb) < 400_000
    with Loopback(Script(Reply(body=bomb, headers={"Content-Encoding": "gzip"}))) as server:
        http = client_for(server)
        tracemalloc.start()
        with pytest.raises(Permanent) as caught:
            http.download(server.url, tmp_path / "a.bin", 5 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert caught.value.code == "too_large"
    assert peak < 8 << 20
    assert list(tmp_path.iterdir()) == []


def test_a_json_answer_has_a_limit_too():
    with (
        Loopback(
            Script(Reply(body=gzip.compress(b" " * (40 << 20)), headers={"Content-Encoding": "gzip"}))
        ) as server,
        pytest.raises(Permanent) as caught,
    ):
        client_for(server).get(server.url)
    assert caught.value.code == "too_large"


def test_html_where_json_was_promised_is_named():
    with (
        Loopback(Script(Reply(body=b"<html><p>Blocked by  CDN</p>", mime="text/html"))) as server,
        pytest.raises(Permanent, match="Blocked by CDN") as caught,
    ):
        client_for(server).get_json(server.url)
    assert caught.value.code == "not_json"


def test_a_download_is_saved_whole_with_its_digests(tmp_path):
    data = bytes(range(256)) * 4000
    with Loopback(Script(Reply(body=data, mime="image/png; q=1"))) as server:
        got = client_for(server).download(server.url, tmp_path / "deep" / "a.png", 2 << 20)
    assert got.path.read_bytes() == data
    assert (got.size, got.mime) == (len(data), "image/png")
    assert got.sha1 == hashlib.sha1(data).hexdigest()
    assert got.sha256 == hashlib.sha256(data).hexdigest()


def test_a_download_promising_too_much_is_refused_before_reading(tmp_path):
    with (
        Loopback(Script(Reply(body=b"x", promise=10**9))) as server,
        pytest.raises(Permanent, match="1000000000") as caught,
    ):
        client_for(server).download(server.url, tmp_path / "a", 1000)
    assert caught.value.code == "too_large"


def test_a_cut_off_download_is_tried_again_and_leaves_nothing_when_it_never_arrives(tmp_path, waits):
    whole, cut = Reply(body=b"x" * 1000), Reply(body=b"x" * 400, promise=1000)
    with Loopback(Script(cut, whole)) as server:
        client_for(server, waits=waits).download(server.url, tmp_path / "a", 5000)
        assert (tmp_path / "a").stat().st_size == 1000
        assert len(server.asks) == 2
    with Loopback(Script(cut)) as server:
        with pytest.raises(Retryable, match="connection lost"):
            client_for(server).download(server.url, tmp_path / "b", 5000)
        assert len(server.asks) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_server_that_drips_meets_the_deadline(tmp_path):
    stop = threading.Event()

    def drip(listener):
        conn, _ = listener.accept()
        conn.recv(4096)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            try:
                conn.sendall(b"x")
            except OSError:
                break
        conn.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        http = HttpClient(allow=f"127.0.0.1:{port}", retry_for=0)
        started = time.monotonic()
        with pytest.raises(Retryable):
            http.download(f"http://127.0.0.1:{port}/", tmp_path / "a", 10**6, deadline=0.4)
        assert time.monotonic() - started < 3
        stop.set()
        thread.join()


# -- what is tried again ---------------------------------------------------------------------


def test_a_read_waits_as_long_as_the_server_asked(waits):
    with Loopback(
        Script(Reply(429, b"<html>slow down</html>", "text/html", {"Retry-After": "7"}), Reply(body=b"{}"))
    ) as server:
        assert client_for(server, waits=waits).get_json(server.url) == {}
    assert waits == [7.0]


def test_a_wait_written_as_a_date_is_understood(waits):
    date = formatdate(time.time() + 9, usegmt=True)
    with Loopback(Script(Reply(503, headers={"Retry-After": date}), Reply(body=b"{}"))) as server:
        client_for(server, waits=waits).get_json(server.url)
    assert 5 < waits[0] <= 9


def test_a_wait_written_only_in_the_text_is_understood(waits):
    text = b'{"detail": "Request was throttled. Expected available in 3600 seconds."}'
    with Loopback(Script(Reply(429, text))) as server:
        with pytest.raises(Retryable) as caught:
            client_for(server, waits=waits).get(server.url)
        assert len(server.asks) == 1
    assert caught.value.retry_after == 3600
    assert waits == []


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"Retry-After": "120"}, "", 120.0),
        ({"Retry-After": "45.5"}, "", 45.5),
        ({"retry-after-ms": "90500", "Retry-After": "1"}, "", 90.5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0.0),
        ({}, "Expected available in 3600 seconds.", 3600.0),
        ({}, "Your rate limit resets in ~40s.", 40.0),
        ({}, "throttled because of exceeding a request limit rate (60/minute)", 60.0),
        ({}, "throttled because of exceeding a request limit rate (2000/day)", 86_400.0),
        ({"Retry-After": "soon"}, "later", None),
        ({}, "", None),
    ],
)
def test_a_wish_to_be_left_alone_is_read_in_all_its_dialects(headers, text, seconds):
    assert retry_after(Answer(429, headers, text.encode(), "https://x.example/")) == seconds


def test_a_longer_wait_than_thirty_seconds_is_handed_to_the_caller(waits):
    with (
        Loopback(Script(Reply(429, headers={"Retry-After": "31"}))) as server,
        pytest.raises(Retryable) as caught,
    ):
        client_for(server, waits=waits).get(server.url)
    assert (caught.value.retry_after, caught.value.code, waits) == (31.0, "throttled", [])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_on_reads_are_tried_four_times(status):
    with Loopback(Script(Reply(status, b"oops"))) as server:
        with pytest.raises(Retryable):
            client_for(server).get(server.url)
        assert len(server.asks) == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (401, Misconfigured), (402, Misconfigured), (403, Misconfigured), (404, Permanent),
     (410, Permanent), (422, Rejected), (418, Permanent), (304, Permanent)],
)  # fmt: skip
def test_refusals_are_not_repeated_and_sorted_by_what_to_do(status, error):
    with Loopback(Script(Reply(status, b'{"detail": "no"}'))) as server:
        with pytest.raises(error) as caught:
            client_for(server).get(server.url)
        assert len(server.asks) == 1
        assert caught.value.code == f"http_{status}"


def test_an_expected_status_comes_back_as_an_answer():
    with Loopback(Script(Reply(401, b'{"detail": "x"}'))) as server:
        assert client_for(server).get(server.url, expect=(401,)).status == 401


def test_a_check_inside_the_loop_can_ask_for_another_try(waits):
    def check(answer: Answer) -> None:
        if b"error" in answer.body:
            raise Retryable("lag", retry_after=5)

    with Loopback(Script(Reply(body=b'{"error": 1}'), Reply(body=b'{"ok": 1}'))) as server:
        assert client_for(server, waits=waits).get_json(server.url, check=check) == {"ok": 1}
    assert waits == [5]


def test_nobody_listening_is_retryable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    http = HttpClient(allow=f"127.0.0.1:{port}", sleep=lambda s: None)
    with pytest.raises(Retryable, match="cannot reach"):
        http.get(f"http://127.0.0.1:{port}/")
    with pytest.raises(Retryable, match="cannot reach"):
        http.post(f"http://127.0.0.1:{port}/", json_body={})


def test_an_unknown_name_is_retryable():
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Retryable, match=r"cannot reach nowhere\.example"):
        HttpClient(resolver=unknown, sleep=lambda s: None).get("http://nowhere.example/?key=hush")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_after_a_write_is_unconfirmed_and_never_repeated(status):
    with Loopback(Script(Reply(status))) as server:
        with pytest.raises(Unconfirmed):
            client_for(server).post_json(server.url, {"buy": 1})
        assert len(server.asks) == 1


def test_silence_after_a_write_is_unconfirmed_and_after_a_read_retryable():
    release = threading.Event()
    with Loopback(Script(Reply(hang=release))) as server:
        http = client_for(server, timeout=(1, 0.2))
        with pytest.raises(Unconfirmed):
            http.post_json(server.url, {})
        assert len(server.asks) == 1
        with pytest.raises(Retryable, match="no answer in time"):
            http.get(server.url)
        assert len(server.asks) == 5
        release.set()


def test_a_connection_lost_after_a_write_is_unconfirmed():
    release = threading.Event()
    release.set()
    with Loopback(Script(Reply(hang=release))) as server, pytest.raises(Unconfirmed):
        client_for(server).post_json(server.url, {})


def test_a_throttled_write_was_not_accepted_and_says_when():
    with Loopback(Script(Reply(429, headers={"Retry-After": "3"}))) as server:
        with pytest.raises(Retryable) as caught:
            client_for(server).post_json(server.url, {})
        assert caught.value.retry_after == 3
        assert len(server.asks) == 1


def test_a_write_declared_safe_is_repeated():
    with Loopback(Script(Reply(500), Reply(body=b'{"token": 1}'))) as server:
        assert client_for(server).post_json(server.url, {}, safe=True) == {"token": 1}
        assert len(server.asks) == 2


def test_an_unreadable_answer_to_a_write_is_unconfirmed():
    with Loopback(Script(Reply(body=b"<html>"))) as server, pytest.raises(Unconfirmed):
        client_for(server).post_json(server.url, {})


def test_a_write_is_not_carried_along_a_redirect():
    with Loopback(Script(Reply(307, headers={"Location": "/elsewhere"}))) as server:
        with pytest.raises(Permanent):
            client_for(server).post_json(server.url, {})
        assert len(server.asks) == 1


# -- what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["https://x.example/api?key=hush&q=moon", "https://x.example/?q=1&access_token=hush", "GET /?X-Amz-Signature=hush&a=1",
     "https://me:hush@x.example/", "Authorization: Bearer hush-hush-hush-hush", '{"client_secret": "hush"}',
     "{'api_key': 'hush'}", "?sig=hush", "https://pixabay.com/api/?key=hush&q=a", "https://x.example/?token=hush",
     "https://api.unsplash.com/photos?client_id=hush", "Authorization: Token hush-hush-hush-hush"],
)  # fmt: skip
def test_secrets_are_blanked_out(text):
    assert "hush" not in redact(text)


def test_ordinary_words_stay():
    text = "https://x.example/?q=monkey+business&page=2 answered: the access token expired"
    assert redact(text) == text


def test_a_key_in_the_query_shows_neither_in_the_error_nor_its_trace_nor_the_log(caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")  # where another test has configured it to be quiet
    key = "hush-1234"  # so that the trace's own source lines do not show it
    with Loopback(Script(Reply(403, f"bad key: ?key={key}".encode()))) as server:
        with pytest.raises(Misconfigured) as refused:
            client_for(server).get(server.url, params={"key": key})
        assert server.asks[0].query == {"key": key}
    with pytest.raises(Retryable) as unreachable:
        client_for(server, retry_for=0).get(f"{server.url}/?key={key}")
    for caught in (refused, unreachable):
        assert key not in "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1" in caplog.text
    assert key not in caplog.text


def test_the_guard_says_no_before_anything_is_sent_when_used_alone():
    with pytest.raises(Permanent):
        Guard().addresses("localhost", 80)
