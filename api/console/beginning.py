"""How a session begins, whichever way somebody comes in: what opens nothing is counted, what does is written down."""

from datetime import timedelta
from typing import Final

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.clients import hidden_client, networks
from api.house import House
from api.pace import Bucket, Rate
from db import audit, sessions
from db.audit import Actor
from db.keys import Holder

__all__ = ["begin", "misses"]

_TEN_MINUTES: Final = 600.0


async def begin(tx: AsyncConnection, house: House, holder: Holder, act: str) -> str:
    """A session with a key that was found in this transaction: its token."""
    token = await sessions.begin(tx, holder, house.session_hashing, timedelta(hours=house.settings.session_hours))
    await audit.append(tx, Actor(holder.organization_id, holder.kind, "session"), act, [])
    return token


def misses(house: House, request: Request, door: str = "sign-in") -> Bucket:
    """What opened nothing at a door, of one network address. Who is held up at one may still come by another."""
    limits = house.settings
    client = hidden_client(request, networks(limits.trusted_proxies), house.client_hashing)
    return Bucket(f"{door}:{client}", Rate(limits.sign_in_misses_per_client, _TEN_MINUTES))
