"""The benches' own client and sums, and the API's benchmark in small."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import pytest

from bench.api import PATHS, SIZES, Rounds, ratios_of
from bench.load import Load, drive, request_of
from bench.memory import look_at
from bench.memory import ratios_of as growth_of


@pytest.fixture
def echo():
    """A server that answers each request with what it got, in two pieces."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(line):
        held = b""
        with line:
            while piece := line.recv(65536):
                held += piece
                while b"\r\n\r\n" in held:
                    head, _, rest = held.partition(b"\r\n\r\n")
                    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                    body, held = rest[:length], rest[length:]
                    status = b"404 Gone" if b"/missing" in head else b"200 OK"
                    line.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % (length + 2))
                    line.sendall(body + b"!!")

    def accept():
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def test_every_request_is_answered_once_over_several_connections(echo):
    load = drive(
        echo, [request_of("POST", "/", "key", {"n": n}) for n in range(25)], connections=4, expect=200
    )
    assert sorted(json.loads(body[:-2])["n"] for body in load.bodies) == list(range(25))
    assert len(load.latencies) == 25
    assert load.per_second > 0


def test_an_answer_that_was_not_expected_stops_the_benchmark(echo):
    with pytest.raises(RuntimeError, match="Answered 404 instead of 200"):
        drive(echo, [request_of("GET", "/missing")], connections=1, expect=200)


def test_quantiles_are_of_the_requests_that_took_so_long():
    load = Load([n / 1000 for n in range(1, 101)], 1.0, [])
    assert (load.quantile(0.5), load.quantile(0.99), load.quantile(1.0)) == (50, 99, 100)


def test_ratios_compare_ours_with_the_bare_one_and_long_lists_with_the_shortest():
    def took(count, seconds):
        return Rounds([Load([seconds] * count, 1.0, []) for _ in range(3)])

    loads = {"bare_submit": took(100, 1), "submit": took(60, 1), "submit_scrape": took(80, 1)}
    loads |= {"bare_get": took(200, 1), "get": took(100, 1)}
    pages = {(size, page): took(1, n) for n, size in enumerate(SIZES, start=1) for page in PATHS}
    ratios = ratios_of(loads, pages)
    assert (ratios["submit_vs_bare"], ratios["submit_scrape_vs_bare"], ratios["get_vs_bare"]) == (
        0.6,
        0.8,
        0.5,
    )
    assert (ratios["list_100k_vs_1k"], ratios["deep_1m_vs_1k"]) == (2, 3)


def test_growth_is_the_last_sample_over_the_first():
    samples = [{"rss": 100.0, "pss": 50.0}, {"rss": 300.0, "pss": 50.0}, {"rss": 110.0, "pss": 60.0}]
    assert growth_of({"prefork": samples}) == {"prefork_rss_10k_vs_1k": 1.1, "prefork_pss_10k_vs_1k": 1.2}


def test_a_process_that_holds_more_is_seen_to_hold_more():
    hold = "import sys; held = b'x' * int(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    seen = []
    for size in (1, 64 * 2**20):
        with subprocess.Popen(
            [sys.executable, "-c", hold, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            seen.append(look_at(process.pid, children=False, looks=3)["rss"])
            process.stdin.close()
    assert seen[1] - seen[0] > 60
