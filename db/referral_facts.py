"""Referrals as those concerned read them: the two towns, and the poster of the need, who alone is told which it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pages import Page, Place, reading
from db.tables import Referral as ReferralRow
from db.tables.metadata import columns
from matching.refusals import NotFound
from matching.states import ReferralState
from matching.vocabulary import Audience

__all__ = ["Asked", "ReferralFacts", "asked", "awaiting", "of_need", "of_needs", "page", "read"]


@dataclass(frozen=True, slots=True)
class ReferralFacts:
    """A referral as those concerned see it.

    `need_id` is told to the poster of the need alone, `ride_id` (the need for their way) to who sees to it.
    """

    id: UUID
    need_id: UUID | None
    ride_id: UUID | None
    pact_id: UUID
    number: int
    step: int
    from_town_id: int
    to_town_id: int
    distance_km: int
    category: str
    adults: int
    minors: int
    audience: tuple[Audience, ...]
    requires: tuple[str, ...]
    starts: datetime
    ends: datetime
    state: ReferralState
    reason: str | None
    answer_by: datetime | None
    return_by: datetime | None
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A referral as the town that is asked sees it: both towns by name, its own clock, and the time of the database."""

    referral: ReferralFacts
    from_town: str
    to_town: str
    zone: ZoneInfo
    now: datetime

    @property
    def waits(self) -> bool:
        """Whether it may still be answered."""
        return self.referral.answer_by is not None and self.referral.answer_by > self.now


_COLUMNS: Final = columns(ReferralRow, "r")
_RIDE: Final = """
    (select ride.need_id from ride join need m on m.id = ride.need_id
      where ride.referral_id = r.id and m.organization_id = :organization) as ride_id
"""
_SELECT = f"select {_COLUMNS}, {_RIDE} from referral r where :organization in (r.poster_id, r.from_id, r.to_id)"
_READ = text(_SELECT + " and r.id = :id")
_PAGE = text(
    _SELECT
    + """
       and (cast(:state as text) is null or r.state = :state)
       and (cast(:after_at as timestamptz) is null or (r.created_at, r.id) > (:after_at, cast(:after_id as uuid)))
     order by r.created_at, r.id
     limit :limit
"""
)
_OF_NEEDS = text(f"""
    select {_COLUMNS}, {_RIDE} from referral r
     where r.need_id = any(cast(:needs as uuid[])) order by r.created_at, r.id
""")
_SELECT_ASKED = f"""
    select {_COLUMNS}, {_RIDE}, away.name as from_town, here.name as to_town, here.timezone, clock_timestamp() as now
      from referral r join town away on away.id = r.from_town_id join town here on here.id = r.to_town_id
     where r.to_id = :organization
"""
_ASKED = text(_SELECT_ASKED + " and r.id = :id")
_AWAITING = text(
    _SELECT_ASKED
    + " and r.state = 'offered' and r.answer_by > clock_timestamp() order by r.answer_by, r.id limit :limit"
)


async def read(tx: AsyncConnection, referral_id: UUID, organization_id: UUID) -> ReferralFacts:
    """One referral that concerns this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": referral_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row, organization_id)


async def page(
    tx: AsyncConnection, organization_id: UUID, state: ReferralState | None, after: Place | None, limit: int
) -> Page[ReferralFacts]:
    """Referrals that concern this organization, oldest first: who waits longest for an answer is at the top."""
    values = {"organization": organization_id, "state": state, **reading(after, limit)}
    found = [_facts(row, organization_id) for row in await tx.execute(_PAGE, values)]
    return Page.of(found, limit, lambda each: Place(each.created_at, each.id))


async def of_need(tx: AsyncConnection, need_id: UUID, poster_id: UUID) -> list[ReferralFacts]:
    """The referrals of a need, oldest first, as its poster sees them."""
    return (await of_needs(tx, [need_id], poster_id))[need_id]


async def of_needs(tx: AsyncConnection, need_ids: Sequence[UUID], poster_id: UUID) -> dict[UUID, list[ReferralFacts]]:
    """The referrals of each of these needs, oldest first, as their poster sees them."""
    found: dict[UUID, list[ReferralFacts]] = {need_id: [] for need_id in need_ids}
    for row in await tx.execute(_OF_NEEDS, {"needs": list(need_ids), "organization": poster_id}):
        found[row.need_id].append(_facts(row, poster_id))
    return found


async def awaiting(tx: AsyncConnection, organization_id: UUID, limit: int = 100) -> list[Asked]:
    """What waits for the answer of this organization, those that run out first at the top."""
    rows = await tx.execute(_AWAITING, {"organization": organization_id, "limit": limit})
    return [_asked(row, organization_id) for row in rows]


async def asked(tx: AsyncConnection, referral_id: UUID, organization_id: UUID) -> Asked:
    """One that this organization is or was asked to answer. Raises `NotFound`, also for the other side of it."""
    row = (await tx.execute(_ASKED, {"id": referral_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _asked(row, organization_id)


def _asked(row: Row[tuple[object, ...]], organization_id: UUID) -> Asked:
    return Asked(_facts(row, organization_id), row.from_town, row.to_town, ZoneInfo(row.timezone), row.now)


def _facts(row: Row[tuple[object, ...]], organization_id: UUID) -> ReferralFacts:
    values = row._mapping
    state = ReferralState(values["state"])
    return ReferralFacts(
        id=values["id"],
        need_id=values["need_id"] if values["poster_id"] == organization_id else None,
        ride_id=values["ride_id"],
        pact_id=values["pact_id"],
        number=values["number"],
        step=values["step"],
        from_town_id=values["from_town_id"],
        to_town_id=values["to_town_id"],
        distance_km=values["distance_km"],
        category=values["category"],
        adults=values["adults"],
        minors=values["minors"],
        audience=tuple(map(Audience, values["audience"])),
        requires=tuple(values["requires"]),
        starts=values["starts"],
        ends=values["ends"],
        state=state,
        reason=values["reason"],
        answer_by=values["answer_by"] if state is ReferralState.OFFERED else None,
        return_by=values["return_by"] if state is ReferralState.ACCEPTED else None,
        created_at=values["created_at"],
        version=values["version"],
    )
