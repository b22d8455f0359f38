"""Builders with defaults: organizations, offers with their slots, and needs, put straight into the tables.

"Tonight" is always the coming night, so that tests mean the same at any hour.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db import needs
from db.tables import Offer, Organization, Site, Slot
from matching.needs import Language, People
from matching.posting import NeedTerms
from matching.schedule import Schedule, sessions_of
from matching.vocabulary import Audience, Coverage, OrganizationKind, SiteKind, Stay, Urgency, Visibility
from tests.places import BRIANCON, PlaceRow, point_text

__all__ = ["COVERAGES", "TONIGHT", "add_need", "add_offer", "add_organization", "need_terms", "tonight"]

COVERAGES = {
    "shelter": Coverage.EVERY,
    "sanitation": Coverage.ANY,
    "transport": Coverage.ANY,
    "language_class": Coverage.COURSE,
}
TONIGHT = datetime.now(ZoneInfo("Europe/Paris")).date() + timedelta(days=1)
"""The evening that tests speak of: tomorrow's, so that no test depends on the hour it runs at."""


def tonight(nights: int = 1, zone: str = "Europe/Paris", first: date = TONIGHT) -> tuple[datetime, datetime]:
    """From 18:00 of the evening to 09:00 after so many nights."""
    starts = datetime.combine(first, time(18), ZoneInfo(zone))
    ends = datetime.combine(first + timedelta(days=nights), time(9), ZoneInfo(zone))
    return starts.astimezone(UTC), ends.astimezone(UTC)


async def add_organization(
    tx: AsyncConnection, kind: OrganizationKind = OrganizationKind.MUNICIPALITY, name: str = "Town hall"
) -> UUID:
    """An organization without keys."""
    organization_id = uuid4()
    await tx.execute(insert(Organization), [{"id": organization_id, "kind": kind, "name": name}])
    return organization_id


async def add_offer(
    tx: AsyncConnection,
    organization_id: UUID,
    *,
    place: PlaceRow = BRIANCON,
    category: str = "shelter",
    capacity: int = 10,
    nights: int = 7,
    site: Mapping[str, object] = {},
    schedule: Mapping[str, object] = {},
    **columns: object,
) -> UUID:
    """An open offer at a new site in a town's own cell, with its slots from `TONIGHT` on."""
    site_id, offer_id = uuid4(), uuid4()
    await tx.execute(
        insert(Site),
        [
            {
                "id": site_id,
                "organization_id": organization_id,
                "town_id": place.id,
                "name": "Gym",
                "kind": SiteKind.MUNICIPAL_BUILDING,
                "cell": place.cell,
                "visibility": "on_confirmation",
                "provides": [],
                **site,
            }
        ],
    )
    hours = {
        "first_day": TONIGHT,
        "last_day": TONIGHT + timedelta(days=nights - 1),
        "opens": time(19),
        "closes": time(8),
        "rrule": "FREQ=DAILY",
        "slot_minutes": None,
        "arrive_by": None,
        **schedule,
    }
    values = {
        "id": offer_id,
        "site_id": site_id,
        "organization_id": organization_id,
        "category": category,
        "capacity": capacity,
        "audience": ["anyone"],
        "provides": [],
        "confirmation": "each",
        "confirm_within_minutes": 60,
        "timezone": place.timezone,
        "town_id": place.id,
        "is_public": site.get("visibility") == Visibility.PUBLIC,
        "country": place.country,
        "cell": place.cell,
        "point": point_text(place.cell),
        "tie": offer_id.int >> 65,
        **hours,
        **columns,
    }
    await tx.execute(insert(Offer), [values])
    sessions = sessions_of(Schedule(zone=ZoneInfo(place.timezone), **hours), COVERAGES[category])  # type: ignore[arg-type]
    await tx.execute(
        insert(Slot),
        [
            {
                "offer_id": offer_id,
                "day": session.day,
                "starts": session.starts,
                "ends": session.ends,
                "last_arrival": session.last_arrival,
                "capacity": capacity,
            }
            for session in sessions
        ],
    )
    return offer_id


def need_terms(
    *,
    people: int = 1,
    minors: int = 0,
    nights: int = 1,
    place: PlaceRow = BRIANCON,
    category: str = "shelter",
    urgency: Urgency = Urgency.VITAL,
    audience: frozenset[Audience] = frozenset({Audience.ANYONE}),
    requires: frozenset[str] = frozenset(),
    countries: frozenset[str] = frozenset(),
    max_km: int | None = None,
    divisible: bool = False,
    language: Language | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> NeedTerms:
    """A need for tonight unless told otherwise; `people` in all, `minors` among them."""
    starts, ends = window or tonight(nights, place.timezone)
    return NeedTerms(
        category=category,
        town_id=place.id,
        people=People(people - minors, minors),
        starts=starts,
        ends=ends,
        urgency=urgency,
        stay=Stay.TRANSIT,
        audience=audience,
        requires=requires,
        countries=countries,
        max_km=max_km,
        divisible=divisible,
        language=language,
    )


async def add_need(tx: AsyncConnection, organization_id: UUID, **terms: object) -> UUID:
    """Post a need; see `need_terms`."""
    made = need_terms(**terms)  # type: ignore[arg-type]
    return (await needs.add(tx, organization_id, [made]))[0].need.id
