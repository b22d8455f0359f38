"""The search under row security: the same needs and statement, row security passed by and bound by it, in turns."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final

from asyncpg import Connection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.databases import plain_connection
from bench.open_loop import Latencies
from bench.sql_path import seeker_of
from bench.thin import thin
from bench.world import World, needs_around
from db import candidates
from db.roles import Role
from db.seekers import Seeker
from db.settings import Settings
from matching.policy import FIRST_POLICY

__all__ = ["OWNER", "search_in_each_role"]

OWNER: Final = "the operator, whom row security lets pass"
_STATEMENT: Final = text(candidates.NIGHTS_WALK)
_WARM_UP: Final = 20


async def search_in_each_role(settings: Settings, world: World, count: int) -> Mapping[str, Latencies]:
    """Candidates of so many needs, each asked for in every role in turn; by who asked."""
    asking = {OWNER: await plain_connection(settings)}
    for role in (Role.MATCHER, Role.APP):
        asking[role] = await _taking(settings, role, world)
    sessions = {who: thin(connection) for who, connection in asking.items()}
    seekers = [seeker_of(need) for need in needs_around(world, count + _WARM_UP, 99)]
    taken = await _ask(sessions, seekers)
    for connection in asking.values():
        await connection.close()
    return {who: Latencies(found, 0, sum(found) / 1000) for who, found in taken.items()}


async def _taking(settings: Settings, role: Role, world: World) -> Connection:
    connection = await plain_connection(settings)
    await connection.execute(f"set role {role}")
    await connection.execute(f"set relais.organization = '{world.organizations[0]}'")
    return connection


async def _ask(sessions: Mapping[str, AsyncConnection], seekers: Sequence[Seeker]) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {who: [] for who in sessions}
    for number, seeker in enumerate(seekers):
        values = candidates.parameters(seeker.need, FIRST_POLICY, seeker.now, seeker.people_left)
        for who, session in sessions.items():
            start = perf_counter()
            (await session.execute(_STATEMENT, values)).all()
            if number >= _WARM_UP:
                taken[who].append((perf_counter() - start) * 1000)
    return taken
