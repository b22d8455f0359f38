"""P7: figures come from the facts, each week is told once, and what comes late is counted in the next."""

import asyncio
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import publication, referrals
from db.connection import transaction
from db.publication import SETTLED_DAYS
from db.purging import PURGES
from db.roles import Role
from db.settings import Settings
from matching.figures.calendar import WEEK, monday_of, month_of, weeks_of
from matching.vocabulary import DeclineReason, OrganizationKind
from tests.acting import in_role
from tests.builders import add_need, add_organization
from tests.db.acts import one, rows
from tests.places import BRIANCON, GAP, OULX, PlaceRow
from tests.sharing import share
from worker.publication import publish_figures
from worker.settings import WorkerSettings

_KEPT_HOURS = 72
_SETTLED = timedelta(days=SETTLED_DAYS, hours=_KEPT_HOURS)


@pytest.fixture
def terms(settings: Settings) -> WorkerSettings:
    return WorkerSettings(**settings.model_dump(exclude={"database_address"}))


async def today(engine: AsyncEngine) -> date:
    found: date = (await one(engine, "select cast(now() at time zone 'UTC' as date) as today")).today
    return found


async def figures_began(engine: AsyncEngine, newest: date) -> None:
    """Nothing is told of the weeks up to this Monday."""
    await rows(engine, "update figure_period set first_day = :day", day=newest)


async def unmet(engine: AsyncEngine, week: date, place: PlaceRow, parties: int, people: int = 2) -> None:
    """So many needs of a week that ended in vain."""
    async with transaction(engine) as tx:
        poster = await add_organization(tx, OrganizationKind.COORDINATION)
        for _ in range(parties):
            await add_need(tx, poster, people=people, place=place)
    await rows(
        engine,
        "update need set state = 'unmet', unmet_at = now(), unmet_reasons = '{\"distance\": 3, \"capacity\": 1}',"
        " starts = cast(:day as date) + interval '20 hours', ends = now(), ended_at = now() - interval '4 days'"
        " where ended_at is null",
        day=week + timedelta(days=2),
    )


async def count(engine: AsyncEngine, terms: WorkerSettings) -> None:
    async with transaction(in_role(engine, Role.MATCHER)) as tx:
        await PURGES[0].act(tx, terms, terms.keys().of("tombstone"), 1000)


async def publish(engine: AsyncEngine) -> int:
    return await publish_figures(in_role(engine, Role.MATCHER), _KEPT_HOURS)


async def told(engine: AsyncEngine, span: str = "week") -> dict[tuple[date, str, str, str, str], int]:
    found = await rows(engine, "select * from figure where span = :span", span=span)
    return {(row.first_day, row.area, row.category, row.measure, row.part): row.value for row in found}


async def newest_settled(engine: AsyncEngine) -> date:
    """The newest week that is over for long enough."""
    return monday_of(await today(engine) - _SETTLED) - WEEK


async def test_a_week_is_told_once_it_is_settled_and_never_otherwise(
    engine: AsyncEngine, terms: WorkerSettings
) -> None:
    week = await newest_settled(engine)
    await figures_began(engine, week - WEEK)
    await unmet(engine, week, BRIANCON, 20)
    await unmet(engine, week, GAP, 2)
    await unmet(engine, week, OULX, 12)
    await count(engine, terms)
    assert await publish(engine) == 1
    first = await told(engine)
    assert first[week, str(OULX.id), "shelter", "asked", ""] == 24
    assert (week, str(GAP.id), "shelter", "asked", "") not in first
    # Two late ones would tell of themselves by the difference.
    await unmet(engine, week, BRIANCON, 2)
    await count(engine, terms)
    assert await publish(engine) == 0
    assert await told(engine) == first
    late = await rows(engine, "select day, count as n from daily_figure where measure = 'needs' order by day desc")
    assert (late[0].day, late[0].n) == (week + WEEK, 2)


async def test_an_unmet_need_leaves_its_facts_and_no_trace(engine: AsyncEngine, terms: WorkerSettings) -> None:
    week = await newest_settled(engine)
    await figures_began(engine, week - WEEK)
    await unmet(engine, week, BRIANCON, 3)
    await unmet(engine, week, OULX, 1, people=7)
    await count(engine, terms)
    found = {
        (row.town_id, row.measure, row.part): (row.n, row.parties)
        for row in await rows(engine, "select *, count as n from daily_figure")
    }
    assert found[BRIANCON.id, "unmet_people", ""] == (6, 3)
    assert found[BRIANCON.id, "unmet_for", "distance"] == (6, 3)
    assert found[BRIANCON.id, "unmet_duty", "state"] == (6, 3)
    assert found[BRIANCON.id, "waited_people", "never"] == (6, 3)
    assert found[OULX.id, "unmet_duty", "municipality"] == (7, 1)
    assert (await one(engine, "select count(*) as n from need")).n == 0


async def test_who_is_passed_on_is_counted_where_they_asked_and_where_they_were_asked_for(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings
) -> None:
    towns = await share(engine, settings)
    await towns.pact(acceptance="each")
    await towns.places()
    declined, placed = await towns.need(people=3), await towns.need(people=2)
    await towns.work()
    async with transaction(engine) as tx:
        await referrals.decline(tx, await towns.newest(declined), towns.gap, DeclineReason.FULL)
        await referrals.accept(tx, await towns.newest(placed), towns.gap)
    await towns.work()
    assert await towns.referrals(placed) == [(GAP.id, 1, "placed", None)]
    await rows(engine, "update need set ended_at = now() - interval '4 days'")
    await count(engine, terms)
    found = await rows(
        engine, "select town_id, measure, part, count as n, parties from daily_figure where measure like 'referred%'"
    )
    assert {(row.town_id, row.measure, row.part): (row.n, row.parties) for row in found} == {
        (BRIANCON.id, "referred_out", "declined"): (3, 1),
        (BRIANCON.id, "referred_out", "placed"): (2, 1),
        (GAP.id, "referred_in", "declined"): (3, 1),
        (GAP.id, "referred_in", "placed"): (2, 1),
    }


async def test_a_month_is_told_when_all_its_weeks_were(engine: AsyncEngine, terms: WorkerSettings) -> None:
    weeks = weeks_of(month_of(weeks_of(month_of(await newest_settled(engine)))[0] - WEEK))
    await figures_began(engine, weeks[0] - WEEK)
    for week in weeks:
        # In no week enough to be told of, in the month there is.
        await unmet(engine, week, BRIANCON, 4)
        await unmet(engine, week, OULX, 4)
    await count(engine, terms)
    assert await publish(engine) >= len(weeks) + 1
    month = month_of(weeks[0])
    assert not [key for key in await told(engine) if key[1] == str(BRIANCON.id)]
    assert (await told(engine, "month"))[month, str(BRIANCON.id), "shelter", "unmet", ""] == 8 * len(weeks)


async def test_many_who_publish_at_once_tell_the_same_once(engine: AsyncEngine, terms: WorkerSettings) -> None:
    week = await newest_settled(engine)
    await figures_began(engine, week - WEEK)
    await unmet(engine, week, BRIANCON, 20)
    await count(engine, terms)
    assert sum(await asyncio.gather(*(publish(engine) for _ in range(2)))) == 1
    assert (await told(engine))[week, "*", "*", "asked", ""] == 40


async def test_nobody_closes_a_week_while_others_count_in_it(engine: AsyncEngine, terms: WorkerSettings) -> None:
    week = await newest_settled(engine)
    await figures_began(engine, week - WEEK)
    await unmet(engine, week, BRIANCON, 20)
    matching = in_role(engine, Role.MATCHER)
    async with transaction(matching) as counting:
        await PURGES[0].act(counting, terms, terms.keys().of("tombstone"), 1000)
        async with transaction(matching) as closing:
            await closing.execute(text("set local lock_timeout = '50ms'"))
            with pytest.raises(DBAPIError):
                await publication.close_weeks(closing, _SETTLED)
    assert await publish(engine) == 1
    assert (await told(engine))[week, "*", "*", "asked", ""] == 40


async def test_a_restored_database_tells_nothing_of_weeks_that_another_may_have_told(
    engine: AsyncEngine, terms: WorkerSettings
) -> None:
    week = await newest_settled(engine)
    await figures_began(engine, week - WEEK)
    async with transaction(engine) as tx:
        await publication.lose_weeks(tx)
    await unmet(engine, week, BRIANCON, 20)
    await count(engine, terms)
    assert await publish(engine) == 0
    assert await told(engine) == {}


async def test_what_was_told_cannot_be_changed_by_any_process(engine: AsyncEngine) -> None:
    for statement in ("update figure set value = 1", "delete from figure", "delete from figure_period"):
        for role in (Role.MATCHER, Role.APP):
            async with engine.connect() as connection:
                await connection.execute(text(f"set local role {role.value}"))
                with pytest.raises(DBAPIError, match="permission denied"):
                    await connection.execute(text(statement))
