"""An evening with a bit of everything, for tests that look at every table."""

from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit, channels, keys, locations, practices, sessions, webhooks
from db.addresses import Vault
from db.audit import Actor
from db.bell import Bell
from db.connection import transaction
from db.linking import link_acts
from db.locations import Address
from db.roles import Role
from db.sealing import Sealing
from db.settings import Settings
from db.tables import OrganizationTown, Preference, Ride, Round, TravelTime
from db.webhook_keys import WebhookKeys
from geo.cells import Point
from matching.notifying import CHOSEN, MAIL
from matching.policy import FIRST_POLICY
from matching.practices import Doing, PracticeTerms
from matching.states import AllocationState
from matching.vocabulary import Audience, OrganizationKind
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import answer, hold, rows
from tests.pacts import add_pact, add_referral
from tests.places import BRIANCON, GAP, MENTON, PlaceRow
from tests.volunteers import add_gym, add_pledge
from worker.staffing import Staffing

__all__ = ["EXACTLY", "HASHING", "Evening", "evening"]

HOOK: Final = "https://hooks.example.org/relais"
MAILBOX: Final = "night@example.org"
EXACTLY: Final = Point(BRIANCON.longitude, BRIANCON.latitude)
PRACTICE: Final = PracticeTerms(
    town_id=BRIANCON.id,
    doing=Doing.NIGHT_SHELTER,
    category="shelter",
    audience=frozenset({Audience.ANYONE}),
    first_month=date(2026, 1, 1),
    last_month=None,
    places=12,
    volunteers=None,
    paid_hours_per_week=None,
    cost_per_year=None,
    currency=None,
    means=frozenset(),
    funding=frozenset(),
    obstacles=frozenset(),
    named=False,
)
_UNTOLD: Final = text("""
    insert into webhook_delivery (webhook_id, event_id, kind, object_id, at, facts)
    values (:webhook, gen_random_uuid(), 'allocation.address_read', gen_random_uuid(), now(),
            jsonb_build_object('organization_id', cast(:poster as uuid)))
""")
_PLANNED: Final = text("""
    with a_pathway as (
        insert into pathway (organization_id, near_km) values (:poster, 5) returning id
    ), a_project as (
        insert into project (organization_id, together_km, minimum, answer_hours) values (:poster, 5, 3, 72)
        returning id
    )
    update need set pathway_id = a_pathway.id, project_id = a_project.id, step = 1
      from a_pathway, a_project
     where need.id = :need
""")
HASHING: Final = bytes(32)
"""What its key is hashed under."""


@dataclass(frozen=True, slots=True)
class Evening:
    """Who was there: the organizations, the need that has a confirmed place, and the poster's key."""

    town_hall: UUID
    refuge: UUID
    poster: UUID
    family: UUID
    key: str


async def evening(
    engine: AsyncEngine, settings: Settings, door: PlaceRow = BRIANCON, gym: PlaceRow = MENTON, far: PlaceRow = GAP
) -> Evening:
    """A bit of everything: a place that was taken and one that was declined, volunteers, keys, acts, rounds.

    The places lie in one country, far from each other.
    """
    vault = Vault.of_file(settings.address_key_file)
    async with transaction(engine) as tx:
        town_hall, refuge = await add_organization(tx), await add_organization(tx, name="Refuge")
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        await add_offer(tx, town_hall, place=door)
        await add_gym(tx, town_hall, place=gym)
        await add_pledge(tx, refuge, town_id=gym.id, radius_km=5)
        await tx.execute(insert(OrganizationTown), [{"organization_id": refuge, "town_id": gym.id}])
        family = await add_need(tx, poster, people=4, place=door)
        waiting = await add_need(tx, poster, people=2, place=gym)
        alone = await add_need(tx, poster, people=3, place=far, max_km=1)
        await tx.execute(_PLANNED, {"poster": poster, "need": alone})
        await tx.execute(insert(TravelTime), [{"from_cell": door.cell, "to_cell": gym.cell, "minutes": 30}])
        await tx.execute(insert(Preference), [{"need_id": alone, "most_km": 30, "wishes": ["quiet"]}])
        sides = ((poster, far), (town_hall, gym))
        referral = await add_referral(tx, alone, await add_pact(tx, *sides), *sides)
        await tx.execute(insert(Ride), [{"need_id": alone, "referral_id": referral}])
        for row in (await tx.execute(text("select id from site where organization_id = :id"), {"id": town_hall})).all():
            await locations.keep_place(tx, row.id, EXACTLY, vault)
            await locations.keep_address(tx, row.id, Address("3 impasse du Ruisseau", None), vault)
        key = await keys.issue(tx, poster, HASHING, lifetime=timedelta(hours=1))
        holder = await keys.holder(tx, key.text, HASHING)
        assert holder is not None
        await sessions.begin(tx, holder, HASHING, timedelta(hours=12))
        await tx.execute(
            text(
                "insert into idempotency (organization_id, key, fingerprint, status, headers, body)"
                " values (:id, 'k', 'f', 200, '{}', 'b')"
            ),
            {"id": poster},
        )
        await practices.withdraw(tx, await practices.add(tx, refuge, replace(PRACTICE, town_id=gym.id)), refuge)
        hook = uuid4()
        await webhooks.add(tx, poster, hook, WebhookKeys.of(settings.keys()).seal(hook, HOOK), [], {"need", "webhook"})
        await tx.execute(_UNTOLD, {"webhook": hook, "poster": poster})
        channel = uuid4()
        sealed = Sealing(settings.keys().of("channel-address")).seal(channel, MAILBOX)
        await channels.add(tx, poster, channel, MAIL, sealed, CHOSEN)
        await channels.test(tx, channel, poster)
        await channels.choose(tx, poster, None, "fr", "Europe/Paris", (time(22), time(6)))
        figures = dict.fromkeys(("needs", "offers", "pairs", "placed", "moved", "lost", "objective", "bound"), 1)
        await tx.execute(
            insert(Round), [{**figures, "policy_version": FIRST_POLICY.version, "method": "flow", "seconds": 0.1}]
        )
        await audit.append(tx, Actor(poster, "coordination", "needs:write"), "POST /v1/needs", [family])
    await link_acts(in_role(engine, Role.MATCHER))
    (allocation,) = await hold(engine, family)
    await answer(engine, allocation, town_hall, AllocationState.CONFIRMED)
    assert await hold(engine, waiting) == ()
    assert await Staffing(in_role(engine, Role.MATCHER), Bell(settings)).look()
    await rows(engine, "update need set look_at = now() where id = :id", id=waiting)
    (second,) = await hold(engine, waiting)
    await answer(engine, second, town_hall, AllocationState.DECLINED)
    return Evening(town_hall, refuge, poster, family, key.text)
