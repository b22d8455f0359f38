"""From which network address a request comes, for limits alone: it is hashed before it goes anywhere.

An address is believed as far as it is known: that of the connection, and behind a proxy that is ours what the proxy
says. What a client itself writes into the header stands to the left of that and counts for nothing.
"""

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

__all__ = ["Networks", "hidden_client", "networks"]

Networks = Sequence[IPv4Network | IPv6Network]
_NOBODY = "unknown"
_MOST_HOPS = 10


def networks(written: str) -> Networks:
    """Networks with commas between. Raises `ValueError`."""
    return [ip_network(each.strip()) for each in written.split(",") if each.strip()]


def hidden_client(request: HTTPConnection, trusted: Networks, key: bytes) -> str:
    """A keyed hash of where the request comes from: an IPv4 address, or the /64 of an IPv6 one."""
    return hmac.digest(key, _client(request, trusted).encode(), "sha256")[:16].hex()


def _client(request: HTTPConnection, trusted: Networks) -> str:
    nearest = _address(request.client.host) if request.client else None
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")[-_MOST_HOPS:]
    while nearest is not None and hops and any(nearest in each for each in trusted):
        told = _address(hops.pop().strip())
        if told is None:
            break
        nearest = told
    if nearest is None:
        return _NOBODY
    return str(nearest if nearest.version == 4 else ip_network((nearest, 64), strict=False))


def _address(written: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(written)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
