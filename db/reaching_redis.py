"""Reaching Redis where its address says it is: one server, or the one of several that sentinels say leads.

`redis://`, `rediss://` (TLS) and `unix://` name one server. `redis+sentinel://:password@a:26379,b:26379/NAME/0` names
sentinels, what they call the servers that they watch, and the number of the database; they are asked each time that a
connection is made. `rediss+sentinel://` speaks TLS with all of them, and `?sentinel_password=` is what the sentinels
themselves want.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

__all__ = ["is_redis_address", "open_redis"]

_ALONE: Final = ("redis", "rediss", "unix")
_WATCHED: Final = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_PORT: Final = 26379
_PATH: Final = re.compile(r"/(?P<name>[A-Za-z0-9_.-]+)(/(?P<database>\d+))?/?")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:(?P<port>\d{1,5}))?")

_Client = TypeVar("_Client", bound=Redis)


def is_redis_address(address: str) -> bool:
    """Whether this is an address of Redis as it is described above."""
    try:
        parts = urlsplit(address)
        if parts.scheme in _WATCHED:
            _watched(address)
            return True
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.scheme in _ALONE and bool(parts.netloc or parts.path)


def open_redis(address: str, patience: float, kind: type[_Client]) -> _Client:
    """A client, of a kind of the library's, that connects when it is first used.

    Nothing is tried twice, and whatever it says waits `patience` seconds at most. Raises `ValueError` where this is no
    address of Redis.
    """
    if urlsplit(address).scheme in _ALONE:
        alone: _Client = kind.from_url(address, **_line(patience))
        return alone
    found = _watched(address)
    secured = {"ssl": True} if found.tls else {}
    # One that is gone without a word must leave time to ask the next, and the server.
    each = patience / (len(found.sentinels) + 1)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        found.sentinels,
        sentinel_kwargs={**_line(each), **secured, "password": found.sentinel_password},
        **_line(patience),
        **secured,
        db=found.database,
        username=found.username,
        password=found.password,
    )
    leader: _Client = sentinel.master_for(found.name, redis_class=kind)
    return leader


@dataclass(frozen=True, slots=True)
class _Watched:
    """Who is asked for the server that leads, and how to come in there."""

    sentinels: list[tuple[str, int]]
    name: str
    database: int
    username: str | None
    password: str | None
    sentinel_password: str | None
    tls: bool


def _watched(address: str) -> _Watched:
    parts = urlsplit(address)
    who, _, hosts = parts.netloc.rpartition("@")
    path = _PATH.fullmatch(parts.path)
    if parts.scheme not in _WATCHED or path is None:
        raise ValueError("no address of sentinels")
    username, _, password = who.partition(":")
    asked = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    if not asked.keys() <= {"sentinel_password"}:
        raise ValueError("an address of sentinels knows no other questions")
    return _Watched(
        [_server(each) for each in hosts.split(",")],
        path["name"],
        int(path["database"] or 0),
        unquote(username) or None,
        unquote(password) or None,
        asked.get("sentinel_password", [None])[0],
        parts.scheme.startswith("rediss"),
    )


def _server(written: str) -> tuple[str, int]:
    found = _HOST.fullmatch(written)
    if found is None or not 0 < (port := int(found["port"] or _SENTINEL_PORT)) < 65536:
        raise ValueError("no host of a sentinel")
    return found["host"].strip("[]"), port


def _line(patience: float) -> dict[str, Any]:
    """Options of a connection, as the library takes them."""
    return {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }
