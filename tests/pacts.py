"""Pacts and referrals put straight into the tables."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import OrganizationTown, Pact, PactSignature, PactVersion, Referral
from tests.builders import TONIGHT
from tests.places import PlaceRow

__all__ = ["MONDAY", "add_pact", "add_referral", "terms_body", "works_in"]

_WEEK = timedelta(days=7)
MONDAY = TONIGHT - timedelta(days=TONIGHT.weekday())
"""The week in which needs for tonight count."""


def terms_body(**changes: object) -> dict[str, object]:
    """Ten people a week for shelter, answered within the hour, for a year; changed as told."""
    return {
        "to_partner_per_week": 10,
        "categories": ["shelter"],
        "transport": "people",
        "first_day": (TONIGHT - _WEEK).isoformat(),
        "last_day": (TONIGHT + 52 * _WEEK).isoformat(),
        **changes,
    }


async def works_in(tx: AsyncConnection, organization_id: UUID, town: PlaceRow) -> None:
    """An organization works in a town."""
    await tx.execute(insert(OrganizationTown), [{"organization_id": organization_id, "town_id": town.id}])


async def add_pact(
    tx: AsyncConnection,
    proposer: tuple[UUID, PlaceRow],
    partner: tuple[UUID, PlaceRow],
    **terms: object,
) -> UUID:
    """A pact that both have signed and that is in force: ten people a week each way, accepted beforehand."""
    pact_id = uuid4()
    await tx.execute(
        insert(Pact),
        [
            {
                "id": pact_id,
                "proposer_id": proposer[0],
                "proposer_town_id": proposer[1].id,
                "partner_id": partner[0],
                "partner_town_id": partner[1].id,
                "state": "signed",
            }
        ],
    )
    values = {
        "to_partner_per_week": 10,
        "to_proposer_per_week": 10,
        "categories": ["shelter"],
        "crosses_border": proposer[1].country != partner[1].country,
        "transport": "people",
        "acceptance": "standing",
        "answer_within_minutes": 60,
        "first_day": TONIGHT - _WEEK,
        "last_day": TONIGHT + 52 * _WEEK,
        "notice_days": 30,
        "proposed_by": proposer[0],
    }
    await tx.execute(insert(PactVersion), [{"pact_id": pact_id, "number": 1, **values, **terms}])
    await tx.execute(
        insert(PactSignature),
        [{"pact_id": pact_id, "number": 1, "organization_id": who} for who in (proposer[0], partner[0])],
    )
    await tx.execute(
        text("update pact_version set agreed_at = now() where pact_id = :id"),
        {"id": pact_id},
    )
    return pact_id


async def add_referral(
    tx: AsyncConnection,
    need_id: UUID,
    pact_id: UUID,
    from_: tuple[UUID, PlaceRow],
    to: tuple[UUID, PlaceRow],
    **changes: object,
) -> UUID:
    """One person of a need offered to the other town of a pact, and counted in its week."""
    referral_id = uuid4()
    poster = (
        await tx.execute(text("select organization_id, starts, ends from need where id = :id"), {"id": need_id})
    ).one()
    await tx.execute(
        insert(Referral),
        [
            {
                "id": referral_id,
                "need_id": need_id,
                "pact_id": pact_id,
                "number": 1,
                "poster_id": poster.organization_id,
                "from_id": from_[0],
                "from_town_id": from_[1].id,
                "to_id": to[0],
                "to_town_id": to[1].id,
                "step": 1,
                "distance_km": 20,
                "week": MONDAY,
                "category": "shelter",
                "adults": 1,
                "minors": 0,
                "audience": ["anyone"],
                "starts": poster.starts,
                "ends": poster.ends,
                "state": "offered",
                "answer_by": poster.ends,
                **changes,
            }
        ],
    )
    await tx.execute(
        text("""
            insert into pact_week as w (pact_id, to_town_id, week, people, referred)
            values (:pact, :town, :week, 1, 1)
            on conflict (pact_id, to_town_id, week)
            do update set people = w.people + 1, referred = w.referred + 1
        """),
        {"pact": pact_id, "town": to[1].id, "week": MONDAY},
    )
    return referral_id
