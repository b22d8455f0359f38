"""What the API process keeps for as long as it runs: settings, connections, the bell and the ear, its keys."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from api.feed_cursors import FeedCursors
from api.pace import Pace
from api.settings import ApiSettings
from api.streams import Streams
from api.withheld import Withheld
from db.addresses import Vault
from db.bell import Bell, Ear
from db.late_reading import LateReading
from db.readiness import Readiness
from db.sealing import Sealing
from db.slips import SlipKeys
from identity.issuers import Issuers

__all__ = ["House", "TheHouse", "house_of"]


@dataclass(frozen=True)
class House:
    """The things that requests share. `ear` hears which need changed."""

    settings: ApiSettings
    engine: AsyncEngine
    late: LateReading | None
    """Where what may be some seconds old is read."""
    bell: Bell
    ear: Ear
    key_hashing: bytes
    """Keys are stored as hashes under this."""
    session_hashing: bytes
    """Sessions are stored as hashes under this."""
    form_hashing: bytes
    """The tokens of a session's forms are hashes under this."""
    sheet_sealing: bytes
    """A file that waits in a page of the console is sealed under this."""
    leg_sealing: bytes
    """What a browser holds while its person is at an issuer is sealed under this."""
    issuer_secrets: Sealing
    """By what issuers know this house is sealed with this."""
    issuers: Issuers
    """How issuers are asked."""
    withheld: Withheld
    """What answers show and no table keeps is found again with this."""
    slips: SlipKeys
    """Slips are found with these."""
    client_hashing: bytes
    """Network addresses and codes that are counted are hashed under this."""
    readiness: Readiness
    """Whether the database can be worked with, asked over a connection of its own."""
    pace: Pace
    """How often something may be asked."""
    request_hashing: bytes
    """Requests with an idempotency key are remembered as hashes under this."""
    tie_key: bytes
    """Equal offers are put in an order by hashes under this."""
    channels: Sealing
    """Addresses of channels are sealed with this."""
    event_key: bytes
    """Events are named by hashes under this."""
    cursors: FeedCursors
    """Places in the feed are sealed with these."""
    streams: Streams
    """Who listens to events as they happen."""
    leaving: asyncio.Event
    """Set when the process is asked to end: what would go on without an end ends."""
    tombstone_key: bytes
    """Tombstones of what was purged are hashes under this."""
    vault: Vault
    """Exact places are sealed with this."""


def house_of(request: Request) -> House:
    """The house that a request came to."""
    house: House = request.app.state.house
    return house


async def _house(request: Request) -> House:
    # What is not a coroutine is handed to a thread, which costs more than it does.
    return house_of(request)


TheHouse = Annotated[House, Depends(_house)]
"""The house, in a route's signature."""
