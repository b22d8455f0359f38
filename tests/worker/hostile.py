"""Addresses that somebody might give to have the house speak to itself or its neighbours, and who answers for names.

No address of the internet is ever asked for or connected to: numbers are read by the system's resolver, which asks
nobody for them, names by the table below.
"""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Final

__all__ = ["NAMES", "hostile_urls", "resolve"]

_LOOPBACK: Final = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0")  # noqa: S104 - to be refused
_NEAR: Final = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8"),
    *("198.18.0.1", "198.51.100.7", "203.0.113.7", "192.0.2.7", "192.88.99.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "0.0.0.1"),
)
_IPV6: Final = (
    *("::1", "0:0:0:0:0:0:0:1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"),
    *("::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::1", "2001:db8::1", "2001:20::1", "3fff::1", "5f00::1"),
    *("fe80::1", "fe80::1%lo", "fe80::1%1", "fec0::1", "fc00::1", "fd12:3456:789a::1", "ff02::1", "ff05::2", "100::1"),
    *("3ffe::1", "4000::1", "e000::1"),
)
_SOMEBODYS: Final = frozenset({"1.2.0.3", "8.0.0.1", "100.52.0.1", "172.14.0.1", "198.41.100.7"})
"""What some of them are where leading zeros mean octal: really public addresses, to which one may send."""
_FULLWIDTH: Final = str.maketrans("0123456789", "０１２３４５６７８９")
_CIRCLED: Final = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    **{f"v4-{number}.example.org": (address,) for number, address in enumerate((*_LOOPBACK, *_NEAR))},
    **{f"v6-{number}.example.org": (address,) for number, address in enumerate(_IPV6)},
    **dict.fromkeys(
        ("localhost", "localhost.", "LOCALHOST", "foo.localhost", "localhost.localdomain", "localtest.example.org"),
        ("127.0.0.1",),
    ),
    **dict.fromkeys(("ip6-localhost", "ip6-loopback", "both.example.org"), ("::1", "127.0.0.1")),
    **dict.fromkeys(("metadata.google.internal", "metadata", "instance-data"), ("169.254.169.254",)),
    **dict.fromkeys(("postgis", "redis", "printer.local", "router.lan", "127.0.0.1.nip.example.org"), ("127.0.0.1",)),
    "public-first.example.org": ("93.184.216.34", "127.0.0.1"),
    "public-last.example.org": ("127.0.0.1", "93.184.216.34"),
    "public-and-inner.example.org": ("2606:4700::1111", "93.184.216.34", "::ffff:127.0.0.1"),
    "nobody.example.org": (),
}
"""Who stands under a name; everything else is nobody."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name of the table, or of a number in any notation that the system reads."""
    if host in NAMES:
        return list(NAMES[host])
    found = await asyncio.to_thread(
        socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if _SOMEBODYS & set(addresses):
        raise OSError("public, and so somebody's: never to be tried from here")
    return addresses


def hostile_urls(port: int) -> list[str]:
    """All of them, each once."""
    hosts = [
        *(written for address in (*_LOOPBACK, *_NEAR) for written in _written(IPv4Address(address))),
        *(f"[{address}]" for address in _IPV6),
        *(f"[{address}]".replace("%", "%25") for address in _IPV6 if "%" in address),
        *NAMES,
    ]
    made = [f"https://{host}:{port}/relais" for host in hosts]
    return list(dict.fromkeys([*made, *_tricks(port)]))


def _written(address: IPv4Address) -> Iterator[str]:
    """An address in the notations that some program or other reads."""
    number, octets = int(address), [int(each) for each in str(address).split(".")]
    dotted = str(address)
    yield from (dotted, f"{dotted}.", str(number), f"0x{number:x}", f"0X{number:08X}", f"0{number:o}")
    yield from (".".join(f"0{each:o}" for each in octets), ".".join(f"0x{each:x}" for each in octets))
    yield from (".".join(f"{each:03d}" for each in octets), f"{octets[0]}.{number & 0xFFFFFF}")
    yield from (f"{octets[0]}.{octets[1]}.{number & 0xFFFF}", f"0x{octets[0]:x}.{number & 0xFFFFFF}")
    yield from (dotted.translate(_FULLWIDTH), dotted.translate(_CIRCLED), dotted.replace(".", "。"))
    yield from (dotted.replace(".", "%2e"), f"%{ord(dotted[0]):x}{dotted[1:]}", str(number + 2**32))


def _tricks(port: int) -> Iterator[str]:
    """Users, fragments, slashes, schemes and spaces by which two programs read two hosts in one address."""
    good, inner = "hooks.example.org", f"127.0.0.1:{port}"
    yield from (
        f"https://{good}@{inner}/",
        f"https://{good}:443@{inner}/",
        f"https://{inner}@{good}/",
        f"https://{inner}#@{good}/",
        f"https://{inner}?@{good}/",
        f"https://{inner}\\@{good}/",
        f"https://{good}\\@{inner}/",
        f"https://{inner}%23@{good}/",
        f"https://{good} @{inner}/",
        f"https://{good}\t@{inner}/",
        f"https://{good}\r\nHost: {inner}/",
        f"https://{good}\0@{inner}/",
        f"https:{inner}/",
        f"https:/{inner}/",
        f"https:///{inner}/",
        f"//{inner}/",
        f"http://{inner}/",
        f"HTTP://{inner}/",
        f"http://{good}:{port}/",
        f"ftp://{inner}/",
        f"gopher://{inner}/_x",
        f"file://{inner}/etc/passwd",
        "file:///etc/passwd",
        f"https+unix://{inner}/",
        f"https://{good}:{port}:{port}@{inner}/",
        f"https://[::ffff:{inner}]/",
        f"https://[::1]:{port}@{good}/",
        f"https://loc\u00adalhost:{port}/",
        f"https://ⓛocalhost:{port}/",
        f"https://localhost\u200b:{port}/",
        f"https://127.0.0.1:{port}\u2044@{good}/",
        f"https://{good}:22/",
        f"https://{good}:25/",
        f"https://{good}:0/",
        f"https://{good}:65536/",
        f"https://{good}:0443/",
        f"https://{good}:+443/",
        f"https://-{good}/",
        f"https://{good}./",
        f"https://a..{good}/",
        "https://1.2.3/",
        "https://1/",
        "https://a.0x7f/",
        "https://example/",
        "https:///",
        "",
    )
