"""The one way out of the house: a POST to a public address, over HTTPS, and nothing else.

A name is resolved once for each attempt. Every address that stands under it must be public, and one of these very
addresses is connected to: nobody can answer one thing when it is looked at and another when it is used. The
certificate must be good for the name. Nothing is followed (no redirect), nothing is kept (no cookie, no connection),
nothing is taken from the environment (no proxy), and of the answer only its head is read.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from matching.delivering import Trouble, host_and_port

__all__ = ["Address", "Answered", "NotAnswered", "Outbound", "addresses_of", "is_public"]

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""The addresses under a name, as text. Raises `OSError` where there are none."""
_CONNECT_SECONDS: Final = 5.0
_WHOLE_SECONDS: Final = 15.0
_MOST_ADDRESSES: Final = 3
"""Of many addresses so many are tried."""
_NOT_PUBLIC: Final = tuple(
    map(
        IPv4Network,
        [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    )
)
"""IANA's special-purpose registry (RFC 6890), whole: what the standard library knows of it differs by its version."""
_GLOBAL: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given out to anybody (RFC 4291); what translates or tunnels to IPv4 within it is named below."""
_DISGUISED: Final = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20", "5f00::/16", "64:ff9b::/96"))
)


class NotAnswered(Exception):  # noqa: N818 - what came of an attempt
    """No answer came, and why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of an answer: its status, and `Retry-After` as written."""

    status: int
    retry_after: str | None


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may reach an address: no private, local, shared, reserved or disguised one."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC)
    # A zone names an interface of this machine.
    if address.scope_id is not None or address not in _GLOBAL:
        return False
    return address.is_global and not any(address in network for network in _DISGUISED)


async def addresses_of(host: str, port: int) -> list[str]:
    """All addresses under a name, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


@dataclass(frozen=True)
class Outbound:
    """Sends to public addresses. Tests put another resolver, other trust, or no guard at all in; no setting does."""

    resolve: Resolve = addresses_of
    permits: Callable[[Address], bool] = is_public
    may_be_sent_to: Callable[[str], object] = host_and_port
    trust: ssl.SSLContext = field(default_factory=httpcore.default_ssl_context)

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Answered:
        """The head of the answer. Raises `NotAnswered`."""
        if not self.may_be_sent_to(url):
            raise NotAnswered(Trouble.UNREACHABLE)
        try:
            async with asyncio.timeout(_WHOLE_SECONDS):
                return await self._post(url, headers, content)
        except (TimeoutError, httpcore.TimeoutException):
            raise NotAnswered(Trouble.TOO_SLOW) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise NotAnswered(_trouble(error)) from None

    async def _post(self, url: str, headers: Mapping[str, str], content: bytes) -> Answered:
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self.trust,
            max_keepalive_connections=0,
            network_backend=_CheckedBackend(self.resolve, self.permits),
        )
        times = {"connect": _CONNECT_SECONDS, "read": _WHOLE_SECONDS, "write": _WHOLE_SECONDS}
        async with (
            pool,
            pool.stream(
                "POST", url, headers=list(headers.items()), content=content, extensions={"timeout": times}
            ) as answer,
        ):
            asked = {name.lower(): value for name, value in answer.headers}.get(b"retry-after")
            return Answered(answer.status, asked.decode("ascii", "replace") if asked else None)


class _CheckedBackend(AsyncNetworkBackend):
    """Connects to the very addresses that were looked at, if all of them may be reached."""

    def __init__(self, resolve: Resolve, permits: Callable[[Address], bool]) -> None:
        self._resolve = resolve
        self._permits = permits
        self._connecting = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """A connection to one of the addresses under a name. Raises `httpcore.ConnectError`."""
        async with asyncio.timeout(timeout):
            found = await self._permitted(host, port)
        failed: Exception | None = None
        for address in found[:_MOST_ADDRESSES]:
            try:
                return await self._connecting.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError

    async def _permitted(self, host: str, port: int) -> list[Address]:
        try:
            found = list(dict.fromkeys(map(ip_address, await self._resolve(host, port))))
        except (OSError, ValueError):
            raise httpcore.ConnectError from None
        if not all(map(self._permits, found)):
            raise httpcore.ConnectError
        return found


def _trouble(error: Exception) -> Trouble:
    """A certificate that is not good is told apart from a machine that is not there."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return Trouble.INSECURE
        seen = seen.__cause__ or seen.__context__
    return Trouble.UNREACHABLE
