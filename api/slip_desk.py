"""The desk at which the people's codes are looked at, for the API and for the page: counted first, then sought.

Wrong codes are counted by client and in all, every code by itself, and none of it depends on whether the code is one:
it is counted before it is sought, and a right one is taken off the count of wrong ones afterwards. What comes back for
an unknown code, an expired one and one of another house is the same refusal, after the same look by the same index.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection

from api.clients import hidden_client, networks
from api.house import House
from api.pace import Bucket, Rate
from db.connection import transaction
from db.roles import Role, acting_as
from matching.refusals import NotFound

__all__ = ["with_code"]

_MINUTE = 60.0
_TEN_MINUTES = 600.0
Done = TypeVar("Done")


async def with_code(
    house: House, request: HTTPConnection, written: str, act: Callable[[AsyncConnection, bytes], Awaitable[Done]]
) -> Done:
    """Act in one transaction with what the slip of this code is filed under.

    Raises `RateLimited`, `NotFound` and what the act raises.
    """
    slip = house.slips.sought(written)
    misses = _misses(house, request)
    await house.pace.take([*misses, _this_code(house, slip)])
    missed = False
    try:
        async with transaction(house.engine) as tx, acting_as(tx, Role.MATCHER):
            return await act(tx, slip)
    except NotFound:
        missed = True
        raise
    finally:
        if not missed:
            await house.pace.give_back(misses)


def _misses(house: House, request: HTTPConnection) -> list[Bucket]:
    limits = house.settings
    client = hidden_client(request, networks(limits.trusted_proxies), house.client_hashing)
    return [
        Bucket("slip:all", Rate(limits.slip_misses_in_all, _MINUTE)),
        Bucket(f"slip:client:{client}", Rate(limits.slip_misses_per_client, _TEN_MINUTES)),
    ]


def _this_code(house: House, slip: bytes) -> Bucket:
    # Not what it is filed under: whoever reads Redis is not to find the need by it.
    name = hmac.digest(house.client_hashing, b"code" + slip, "sha256")[:16].hex()
    return Bucket(f"slip:code:{name}", Rate(house.settings.slip_requests_per_code, _MINUTE))
