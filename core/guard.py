"""The outbound guard: which addresses this installation may connect to (SSRF, DNS rebinding, offline).

The name is resolved once, every answer is checked, and the socket is opened to a checked address, so
there is no second look-up that could answer differently. Redirects open new connections and pass here again.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from core.errors import Invalid, Misconfigured, Permanent

Resolver = Callable[[str, int], list[str]]

# Public by number, yet answered by the hypervisor: Azure's wire server.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def resolve(host: str, port: int) -> list[str]:
    """List the addresses of `host`, in the system's order of preference; OSError when there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def is_public(address: str) -> bool:
    """Tell whether `address` is on the open internet, looking through IPv4 wrapped in IPv6."""
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    inner: ipaddress.IPv4Address | None = None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and ip not in _METADATA


def parse_allow_list(text: str | Iterable[str]) -> frozenset[tuple[str, int]]:
    """Read `host:port` items (a comma list or an iterable); raises Misconfigured on anything else."""
    items = text.split(",") if isinstance(text, str) else list(text)
    allowed = set()
    for item in (raw.strip() for raw in items):
        if not item:
            continue
        host, _, port = item.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise Misconfigured(
                f"ALLOW_PRIVATE_HOSTS: {item!r} is not host:port, for example 127.0.0.1:11434"
            )
        allowed.add((_bare(host), int(port)))
    return frozenset(allowed)


@dataclass(frozen=True)
class Guard:
    """Decides about (host, port) pairs. `allow` lists what may be private; `offline` refuses the rest."""

    allow: frozenset[tuple[str, int]] = frozenset()
    offline: bool = False
    resolver: Resolver = field(default=resolve)

    def precheck(self, host: str, port: int) -> None:
        """Refuse what needs no look-up to be refused, so that offline installations send no DNS query."""
        if self.offline and (_bare(host), port) not in self.allow:
            raise Misconfigured(f"{host} was not asked: OFFLINE is set. Unset it to use the network.")

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve `host` and return addresses that may be connected to; raises when any is not allowed."""
        self.precheck(host, port)
        found = self.resolver(_bare(host), port)
        listed = (_bare(host), port) in self.allow
        for address in found:
            if self.offline and not ipaddress.ip_address(address.split("%", 1)[0]).is_loopback:
                raise Misconfigured(f"{host} is not on this machine and OFFLINE is set.")
            if not listed and not is_public(address):
                raise Permanent(
                    f"{host}:{port} is not a public address. "
                    "If it is meant, an operator lists it as host:port in ALLOW_PRIVATE_HOSTS.",
                    code="address_refused",
                )
        return found

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """Open the socket of `connection` to a checked address, trying each in turn."""
        last: OSError | None = None
        try:
            addresses = self.addresses(connection.host, connection.port)
        except (OSError, UnicodeError) as exc:
            trouble = exc if isinstance(exc, socket.gaierror) else socket.gaierror(str(exc))
            raise NameResolutionError(connection.host, connection, trouble) from None
        timeout = connection.timeout if isinstance(connection.timeout, int | float) else 10.0
        for address in addresses:
            try:
                opened = socket.create_connection((address, connection.port), timeout)
            except OSError as exc:
                last = exc
                continue
            for option in connection.socket_options or ():
                opened.setsockopt(*option)
            return opened
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(connection, "connect timed out") from None
        raise NewConnectionError(connection, f"cannot connect: {last}") from None


class GuardedAdapter(HTTPAdapter):
    """A requests adapter whose sockets are opened by a Guard."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Let requests make its pool manager, then give it pools whose connections ask the guard."""
        super().init_poolmanager(*args, **kwargs)
        guard = self._guard

        # Classes in a function: urllib3 builds connections itself and passes nothing of ours through.
        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return guard.connect(self)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return guard.connect(self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


def check_url(url: str, *, field_name: str = "url") -> tuple[str, str, int]:
    """Split an http(s) URL into (scheme, host, port); raises Invalid naming what is wrong with it."""
    from urllib3.util import parse_url

    try:
        parts = parse_url(url)
    except ValueError:
        raise Invalid("not a URL", field=field_name) from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise Invalid("only http:// and https:// URLs with a host are fetched", field=field_name)
    if parts.auth:
        raise Invalid("a URL may not carry a user name or password", field=field_name)
    return parts.scheme, parts.host, parts.port or (443 if parts.scheme == "https" else 80)


def _bare(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()
