"""Who waits for a first hold is told though no bell rang, and a queue of them costs others nothing."""

import asyncio
from time import monotonic
from uuid import UUID

from fastapi import FastAPI
from httpx import Response
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.bodies import need_body
from tests.api.conftest import Organization
from tests.api.scenes import open_offer
from tests.db.acts import hold, rows
from tests.waiting import eventually

READING = "as placed_id"
"""What the statement says by which one who waits reads their own need, and no other statement does."""


async def post(who: Organization, seconds: int) -> Response:
    return await who.http.post("/v1/needs", json=need_body(), headers={"Prefer": f"wait={seconds}"})


async def posted(engine: AsyncEngine) -> UUID:
    """The need that is being waited for."""

    async def look() -> UUID | None:
        found = await rows(engine, "select id from need")
        return UUID(str(found[0].id)) if found else None

    return await eventually(look, "the need is there")


async def test_a_hold_that_no_bell_told_of_is_answered_long_before_the_patience_ends(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    began = monotonic()
    waiting = asyncio.create_task(post(coordination, 10))
    assert await hold(engine, await posted(engine))
    answer = await waiting
    assert (answer.json()["state"], len(answer.json()["allocations"])) == ("held", 1)
    assert monotonic() - began < 8


async def test_the_watch_goes_on_after_the_database_was_away(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    waiting = asyncio.create_task(post(coordination, 10))
    need_id = await posted(engine)
    await rows(
        engine,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'relais-api' and datname = current_database()",
    )
    assert await hold(engine, need_id)
    assert (await waiting).json()["state"] == "held"


def readings(app: FastAPI) -> list[str]:
    """The statements by which those who wait read their own need, from now on."""
    reads: list[str] = []
    event.listen(
        app.state.house.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: reads.append(statement) if READING in statement else None,
    )
    return reads


async def test_thirty_who_wait_are_looked_after_together(app: FastAPI, coordination: Organization) -> None:
    reads = readings(app)
    answers = await asyncio.gather(*(post(coordination, 3) for _ in range(30)))
    assert {answer.json()["state"] for answer in answers} == {"open"}
    assert reads == [], "nobody who waits asks for their own need while nothing is said about it"


async def test_who_is_told_of_a_hold_reads_once(
    app: FastAPI, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    reads = readings(app)
    waiting = asyncio.create_task(post(coordination, 10))
    assert await hold(engine, await posted(engine))
    assert (await waiting).json()["state"] == "held"
    assert len(reads) == 1


async def test_who_is_told_of_a_hold_is_told_of_no_other(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    neighbour = await municipality.http.post("/v1/needs", json=need_body())
    assert await hold(engine, UUID(neighbour.json()["id"]))
    waiting = asyncio.create_task(post(coordination, 10))

    async def mine() -> UUID | None:
        found = await rows(engine, "select id from need where state = 'open'")
        return UUID(str(found[0].id)) if found else None

    need_id = await eventually(mine, "the need is there")
    assert await hold(engine, need_id)
    answer = (await waiting).json()
    assert [each["need_id"] for each in answer["allocations"]] == [str(need_id)]
    held = await rows(engine, "select need_id from allocation where state = 'held'")
    assert len(held) == 2, "the control: another's hold is there to be mistaken for one's own"
