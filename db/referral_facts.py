"""Referrals as those concerned read them: the two towns, and the poster of the need, who alone is told which it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pages import Page, Place, reading
from db.tables import Referral as ReferralRow
from db.tables.metadata import columns
from matching.refusals import NotFound
from matching.states import ReferralState
from matching.vocabulary import Audience

__all__ = ["ReferralFacts", "of_need", "page", "read"]


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
_OF_NEED = text(f"select {_COLUMNS}, {_RIDE} from referral r where r.need_id = :need order by r.created_at, r.id")


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
    return [_facts(row, poster_id) for row in await tx.execute(_OF_NEED, {"need": need_id, "organization": poster_id})]


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
