"""Files of pledges: volunteers by skill, headcount, town and time; never a volunteer."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from uuid import UUID

from db import pledges, towns
from importing import cells, schedules
from importing.columns import Column
from importing.kinds import Entry, Item, Kind, all_pages
from importing.reading import Reading
from importing.schedules import When, when_of
from matching.bounds import HEADCOUNT, RADIUS_KM, SHIFTS_PER_WEEK
from matching.pledging import PledgeTerms

__all__ = ["Pledges"]


class Pledges(Kind[PledgeTerms]):
    """A pledge is there already when the organization has one of this skill, town and time."""

    name = "pledges"
    columns = (
        Column("skill", required=True),
        Column("headcount", required=True),
        Column("town", required=True),
        Column("country"),
        Column("radius_km", required=True),
        *schedules.COLUMNS,
        Column("shifts_per_week_max", required=True),
    )

    async def there(self) -> Sequence[Entry]:
        """All pledges of the organization."""
        bringing = self.bringing
        found = await all_pages(partial(pledges.page, bringing.tx, bringing.organization_id))
        names = await towns.names(bringing.tx, [pledge.terms.town_id for pledge in found])
        return [_entry(pledge.terms, names[pledge.terms.town_id]) for pledge in found]

    async def read(self, row: Reading) -> Item[PledgeTerms]:
        """A pledge."""
        town = await self.bringing.gazetteer.town_of(row)
        skill = row.must("skill", cells.skill)
        headcount = row.must("headcount", cells.whole(HEADCOUNT))
        radius_km = row.must("radius_km", cells.whole(RADIUS_KM))
        weekly = row.must("shifts_per_week_max", cells.whole(SHIFTS_PER_WEEK))
        when = when_of(row, "")
        row.finish()
        said = asdict(when) | {"timezone": when.timezone or town.timezone}
        terms = PledgeTerms(
            town_id=town.id,
            skill=skill,
            headcount=headcount,
            radius_km=radius_km,
            shifts_per_week_max=weekly,
            **said,
        )
        return Item(_entry(terms, town.name).as_said(row), terms)

    async def check(self, terms: PledgeTerms) -> None:
        """As `POST /v1/pledges` does."""
        await pledges.check_new(self.bringing.tx, terms)

    async def add(self, terms: PledgeTerms) -> UUID:
        """As `POST /v1/pledges` does."""
        return await pledges.add(self.bringing.tx, self.bringing.organization_id, terms)


def _entry(terms: PledgeTerms, town: str) -> Entry:
    when = When(terms.first_day, terms.last_day, terms.opens, terms.closes, terms.rrule, terms.timezone)
    return Entry(
        key=(terms.skill, terms.town_id, when),
        called=f"{terms.skill} in {town}, {when}",
        facts={
            "headcount": str(terms.headcount),
            "radius_km": str(terms.radius_km),
            "shifts_per_week_max": str(terms.shifts_per_week_max),
        },
    )
