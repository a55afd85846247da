"""Lead a vendor's own client to a server on loopback, whatever host it has in mind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class Detour(httpx.HTTPTransport):
    """`hosts` says what stands for which host: `{"queue.fal.run": "http://127.0.0.1:8090/fal"}`."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        super().__init__()
        self._hosts = {host: httpx.URL(url) for host, url in hosts.items()}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        there = self._hosts.get(request.url.host)
        if there is not None:
            path = there.raw_path.rstrip(b"/") + request.url.raw_path
            request.url = there.copy_with(raw_path=path)
            request.headers["Host"] = there.netloc.decode()
        return super().handle_request(request)


def essence(ask: Any, *names: str) -> dict[str, Any]:
    """What of a request matters: method, path, query, and the headers named; the body is compared by itself."""
    return {
        "method": ask.method,
        "path": ask.path,
        "query": ask.query,
        **{name: ask.headers.get(name) for name in ("authorization", *names)},
    }
