"""A small HTTP client that asks as fast as it is answered: threads, one keep-alive connection each.

It writes prepared bytes and reads to the end of the body, so that on a machine it shares with the server
it takes little of what it measures. Anything but the expected status stops the benchmark.
"""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What one round showed; seconds per request in `latencies`, `seconds` from first to last."""

    latencies: list[float]
    seconds: float
    bodies: list[bytes]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds within which `share` of the requests were answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000


def request_of(method: str, path: str, key: str = "", body: Any = None) -> bytes:
    """One request as bytes."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
    if key:
        lines.append(f"X-API-Key: {key}")
    if body is not None:
        lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode() + _HEAD_END + content


def drive(port: int, requests: Sequence[bytes], *, connections: int, expect: int) -> Load:
    """Send every request once, spread over the connections; each connection waits for its answer."""
    latencies: list[float] = []
    bodies: list[bytes] = []
    faults: list[Exception] = []
    ready = threading.Barrier(connections + 1)

    def work(own: Sequence[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.wait(PATIENCE)
            try:
                for request in own:
                    began = time.perf_counter()
                    line.sendall(request)
                    bodies.append(_answer(line, expect))
                    latencies.append(time.perf_counter() - began)
            except (OSError, RuntimeError) as error:
                faults.append(error)

    threads = [
        threading.Thread(target=work, args=(requests[n::connections],), daemon=True)
        for n in range(connections)
    ]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if faults:
        raise faults[0]
    return Load(latencies, seconds, bodies)


def _answer(line: socket.socket, expect: int) -> bytes:
    held = b""
    while _HEAD_END not in held:
        held += _more(line)
    head, _, body = held.partition(_HEAD_END)
    status = int(head[9:12])
    length = next(
        int(row.partition(b":")[2])
        for row in head.split(b"\r\n")[1:]
        if row.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += _more(line)
    if status != expect:
        raise RuntimeError(f"Answered {status} instead of {expect}: {body[:500].decode(errors='replace')}")
    return body


def _more(line: socket.socket) -> bytes:
    piece = line.recv(65536)
    if not piece:
        raise RuntimeError("The server closed the connection.")
    return piece
