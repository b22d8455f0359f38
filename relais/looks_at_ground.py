"""What `relais doctor` looks at of the ground that a house stands on: its servers, schema, roles, clocks and keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import checkup, late_reading, locations, slip_filing, tenancy
from db.addresses import Vault
from db.connection import connect, connect_to_a_follower, looking, snapshot
from db.late_reading import PATIENCE
from db.reaching_redis import open_redis
from db.readiness import Lack, lack_of
from db.roles import Role, hides_rows
from db.slips import SlipKeys
from relais.finding import KEPT, Finding, House, State, to_do

__all__ = [
    "clock",
    "database",
    "migrations",
    "postgis",
    "redis",
    "replicas",
    "roles",
    "row_security",
    "secrets",
    "zones",
]

_OLDEST_SERVER: Final = 140_000
_CLOCK_SECONDS: Final = 5.0
_ZONE: Final = "Europe/Paris"
_NEEDS: Final = 100
_PLACES: Final = 100
_REDIS_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 0.1


async def database(house: House) -> Finding | None:
    """It answers, and is new enough."""
    missing = await lack_of(house.engine)
    if missing in {Lack.DATABASE, Lack.LOGIN}:
        return to_do(
            "database",
            f"This house waits for {missing.words}.",
            KEPT,
            f"{missing.what_to_do[0].upper()}{missing.what_to_do[1:]}.",
        )
    async with house.reading() as tx:
        number = (await checkup.server(tx)).number
    if number < _OLDEST_SERVER:
        return to_do("database", f"PostgreSQL {number // 10_000} is too old.", KEPT, "Use PostgreSQL 14 or later.")
    return None


async def postgis(house: House) -> Finding | None:
    """PostGIS is there."""
    async with house.reading() as tx:
        if (await checkup.server(tx)).postgis is not None:
            return None
    return to_do("postgis", "PostGIS is not in this database.", KEPT, "Install PostGIS, then run `relais migrate`.")


async def migrations(house: House) -> Finding | None:
    """Its tables are those that this version needs."""
    if await lack_of(house.engine) is None:
        return None
    return to_do(
        "migrations",
        "The tables are older than this version of Relais needs; API and worker wait.",
        "Nothing of what is stored is lost.",
        "Run `relais migrate` of this version, then start API and worker if they do not run.",
    )


async def replicas(house: House) -> Finding | None:
    """A replica answers where `RELAIS_REPLICA_URL` names some, and is not too far behind."""
    address = house.settings.replica_address
    if address is None:
        return Finding("replicas", State.WELL, "No replica is set to be read from (RELAIS_REPLICA_URL).")
    engine = connect_to_a_follower(house.settings, address, "doctor", Role.APP, PATIENCE)
    try:
        async with looking(house.engine) as leader:
            written = await late_reading.written(leader)
        async with looking(engine) as follower:
            if await _catches_up(follower, written, house.settings.replica_seconds):
                return None
        what = "The replica that answers is too far behind to be read from"
    except (SQLAlchemyError, OSError, TimeoutError):
        what = "No replica that RELAIS_REPLICA_URL names can be read from"
    finally:
        await engine.dispose()
    return to_do(
        "replicas",
        f"{what}.",
        "Nobody waits for it: the server that leads is asked for everything.",
        "See that it runs and follows, and that the address is its own, not the leader's (docs/scale.md).",
    )


async def _catches_up(follower: AsyncConnection, place: str, seconds: float) -> bool:
    for _ in range(ceil(seconds / _LOOK_AGAIN_SECONDS)):
        if await late_reading.has_replayed(follower, place):
            return True
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return False


async def row_security(house: House) -> Finding | None:
    """Roles, rights and row security are as declared."""
    async with house.reading() as tx:
        hidden = await hides_rows(tx)
        applied = await tx.run_sync(tenancy.is_applied)
    if hidden:
        return to_do(
            "row security",
            "Row security hides rows from the user of this command.",
            "Nothing is lost; what this command says of needs and holds may be too little.",
            "Give the command the operator's user; after a backup was restored, run `relais migrate`.",
        )
    if applied:
        return None
    return to_do(
        "row security",
        "Roles, rights or policies are not those that this version declares.",
        "Requests still ask for their own rows; the second layer behind that may be open.",
        "Run `relais migrate` as the operator, and find out who changed them.",
    )


async def roles(house: House) -> Finding | None:
    """Connections act in the roles of their process."""
    for role in (Role.APP, Role.MATCHER):
        engine = connect(house.settings.model_copy(update={"pool_size": 1}), "doctor", role)
        try:
            async with snapshot(engine) as tx:
                acting = (await tx.execute(text("select current_user"))).scalar_one()
                open_to_it = not (await tx.execute(text("select row_security_active('need')"))).scalar_one()
        except SQLAlchemyError:
            acting, open_to_it = None, False
        finally:
            await engine.dispose()
        if acting != role.value or open_to_it:
            return to_do(
                "roles",
                f"Connections of this user do not act as {role.value} under row security.",
                "No row was shown to anybody for it by this command.",
                "Make the user a member of the role, and take BYPASSRLS from the role (docs/decisions/0001-roles.md).",
            )
    return None


async def clock(house: House) -> Finding | None:
    """The clocks agree."""
    async with house.reading() as tx:
        before = datetime.now(UTC)
        there = (await checkup.server(tx)).now
        after = datetime.now(UTC)
    off = max(before - there, there - after, timedelta())
    if off.total_seconds() <= _CLOCK_SECONDS:
        return None
    return to_do(
        "clock",
        f"The clocks of this machine and of the database differ by {off.total_seconds():.0f} seconds.",
        "Deadlines go by the database's clock alone, so no hold ends twice or never.",
        "Let both machines keep time (NTP); who reads logs of both must know it until then.",
    )


async def zones(house: House) -> Finding | None:
    """Local times agree."""
    year = datetime.now(UTC).year
    moments = [datetime(year, month, 1, tzinfo=UTC) for month in (1, 7)]
    try:
        here = [
            -int((moment.astimezone(ZoneInfo(_ZONE)).utcoffset() or timedelta()).total_seconds()) for moment in moments
        ]
    except ZoneInfoNotFoundError:
        here = []
    async with house.reading() as tx:
        there = await checkup.offsets(tx, _ZONE, moments)
    if here == there:
        return None
    return to_do(
        "time zones",
        "This machine and the database disagree about local time.",
        "Stored moments are in UTC and stay right.",
        "Bring the time zone data (tzdata) of both up to date, then start API and worker anew.",
    )


async def redis(house: House) -> Finding | None:
    """Redis answers."""
    if house.settings.redis_url is None:
        return Finding("redis", State.WELL, "No Redis is used: work is found by looking.")
    client: Redis = open_redis(house.settings.redis_url, _REDIS_SECONDS, Redis)
    try:
        await client.set("relais:doctor", "1", px=1)
    except (RedisError, OSError, TimeoutError):
        return to_do(
            "redis",
            "Redis does not answer, or takes nothing.",
            "Everything: it keeps nothing that counts. Needs are found a little later.",
            "Start it, or correct RELAIS_REDIS_URL; API and worker find it again by themselves.",
        )
    finally:
        await client.aclose()
    return None


async def secrets(house: House) -> Finding | None:
    """The secret and the address key open what is stored."""
    slips = SlipKeys.of(house.settings.keys())
    vault = Vault.of_file(house.settings.address_key_file)
    async with house.reading() as tx:
        misfiled = await slip_filing.count_misfiled(tx, slips, _NEEDS)
        closed = await locations.count_unopened(tx, vault, _PLACES)
    if misfiled:
        return to_do(
            "keys",
            f"{misfiled} of the needs that were looked at were filed under another secret than the file's.",
            "Nothing is lost; but keys and slip codes that were given out open nothing with this file.",
            "Put back the secret file that this house began with, and restart API and worker; make no backup before.",
        )
    if not closed:
        return None
    return to_do(
        "keys",
        f"{closed} of the exact places that were looked at cannot be opened with the address key file.",
        "Matching goes on, as it goes by cells; the places are kept as they are.",
        "Put back the key file that they were sealed with (`relais keys`); never write a new one over it.",
    )
