"""Publishing figures: weeks are closed, told once, and never told otherwise.

A week is closed when hardly anything of it is still to be counted: what comes later is counted in the next one that is
open. From then on its facts stand still, so that whoever publishes it, and the month over it, reads the same.
"""

from datetime import date, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import figures
from matching.figures.calendar import WEEK, weeks_of
from matching.figures.measures import Measure
from matching.figures.publication import Due, Told, due_months, due_weeks
from matching.figures.tables import Cell, Fact, Span

__all__ = ["SETTLED_DAYS", "close_weeks", "lose_weeks", "next_due", "publish"]

SETTLED_DAYS: Final = 7
"""Days after a week until it is closed, and the term after which needs are counted: most stays are over by then."""
_MEASURES: Final = {
    "people": Measure.ASKED,
    "served": Measure.SERVED,
    "unmet_people": Measure.UNMET,
    "other_people": Measure.OTHER,
    "served_by": Measure.SERVED_BY,
    "served_in": Measure.SERVED_IN,
    "unmet_for": Measure.UNMET_FOR,
    "waited_people": Measure.WAITED,
    "nights": Measure.NIGHTS,
    "referred_out": Measure.REFERRED_OUT,
    "referred_in": Measure.REFERRED_IN,
}
_STANDING = text("""
    select max(first_day) filter (where span = 'week') as newest, cast(now() at time zone 'UTC' as date) as today
      from figure_period
""")
_CLOSE = text("""
    insert into figure_period (span, first_day, state) select 'week', week, :state
      from unnest(cast(:weeks as date[])) week
""")
_FIRST_CLOSED = text("""
    select first_day from figure_period where span = 'week' and state = 'closed' order by first_day limit 1
""")
_DONE = text("select span, first_day, state from figure_period where state <> 'closed'")
_FACTS = text("""
    select cast(date_trunc('week', f.day) as date) as week, f.town_id, t.country, f.category, f.measure, f.part,
           sum(f.count) as number, sum(f.parties) as parties
      from daily_figure f join town t on t.id = f.town_id
     where f.day >= :first and f.day < :end and f.measure = any(cast(:measures as text[]))
     group by 1, 2, 3, 4, 5, 6
    union all
    select cast(date_trunc('week', f.day) as date), f.town_id, t.country, f.category,
           case when f.word like 'rated%' then 'rated' else 'said' end,
           replace(f.word, 'rated_', ''), sum(f.times), sum(f.times)
      from feedback_count f join town t on t.id = f.town_id
     where f.day >= :first and f.day < :end
     group by 1, 2, 3, 4, 5, 6
""")
_BEFORE = text("""
    select span, first_day, area, category, measure, part, value from figure
     where span = 'week' and first_day = any(cast(:weeks as date[]))
""")
_PUBLISH = text("""
    insert into figure_period (span, first_day, state, published_at, policy_version, competence_version)
    values (:span, :first_day, 'published', now(), (select max(version) from policy),
            (select max(version) from competence))
    on conflict (span, first_day) do update
       set state = excluded.state, published_at = excluded.published_at, policy_version = excluded.policy_version,
           competence_version = excluded.competence_version
     where figure_period.state = 'closed'
    returning first_day
""")
_TELL = text("""
    insert into figure (span, first_day, area, category, measure, part, value)
    values (:span, :first_day, :area, :category, :measure, :part, :value)
""")


async def close_weeks(tx: AsyncConnection, settled_after: timedelta) -> None:
    """Close the weeks that are over for so long: nothing is counted in them any more."""
    await _end_weeks(tx, "closed", settled_after)


async def lose_weeks(tx: AsyncConnection) -> None:
    """Of weeks that are over and not closed here, never publish anything: another database may have done it."""
    await _end_weeks(tx, "lost", timedelta(0))


async def next_due(tx: AsyncConnection) -> Due | None:
    """The oldest closed week that was not published, else a month all of whose weeks were; with all that is known."""
    week = (await tx.execute(_FIRST_CLOSED)).scalar_one_or_none()
    if week is not None:
        return Due(Span.WEEK, week, await _facts(tx, [week]), {})
    done = (await tx.execute(_DONE)).all()
    weeks = [row.first_day for row in done if row.span == Span.WEEK and row.state == "published"]
    for month in due_months(weeks, [row.first_day for row in done if row.span == Span.MONTH]):
        before = await tx.execute(_BEFORE, {"weeks": weeks_of(month)})
        told = {
            Cell(Span(row.span), row.first_day, row.area, row.category, Measure(row.measure), row.part): row.value
            for row in before
        }
        return Due(Span.MONTH, month, await _facts(tx, weeks_of(month)), told)
    return None


async def publish(tx: AsyncConnection, due: Due, told: list[Told]) -> bool:
    """Publish these figures, unless somebody else did. Whether it was done."""
    period = {"span": due.span.value, "first_day": due.first_day}
    if (await tx.execute(_PUBLISH, period)).one_or_none() is None:
        return False
    if told:
        await tx.execute(
            _TELL,
            [
                {
                    **period,
                    "area": each.cell.area,
                    "category": each.cell.category,
                    "measure": each.cell.measure.value,
                    "part": each.cell.part,
                    "value": each.value,
                }
                for each in told
            ],
        )
    return True


async def _end_weeks(tx: AsyncConnection, state: str, settled_after: timedelta) -> None:
    if not await _due_weeks(tx, settled_after):
        return
    await figures.stop_counting(tx)
    # Another may have done it meanwhile.
    if weeks := await _due_weeks(tx, settled_after):
        await tx.execute(_CLOSE, {"weeks": weeks, "state": state})


async def _due_weeks(tx: AsyncConnection, settled_after: timedelta) -> list[date]:
    standing = (await tx.execute(_STANDING)).one()
    return due_weeks(standing.newest, standing.today, settled_after)


async def _facts(tx: AsyncConnection, weeks: list[date]) -> list[Fact]:
    rows = (await tx.execute(_FACTS, {"first": min(weeks), "end": max(weeks) + WEEK, "measures": [*_MEASURES]})).all()
    served = {(row.week, row.town_id, row.category): int(row.number) for row in rows if row.measure == "served"}
    facts = []
    for row in rows:
        measure = _MEASURES.get(row.measure) or Measure(row.measure)
        # Nights stand for the people who were there.
        people = served.get((row.week, row.town_id, row.category), 0) if measure is Measure.NIGHTS else int(row.number)
        facts.append(
            Fact(
                week=row.week,
                town=row.town_id,
                country=row.country,
                category=row.category,
                measure=measure,
                part=row.part,
                count=int(row.number),
                people=people,
                parties=int(row.parties),
            )
        )
    return facts
