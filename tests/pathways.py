"""Pathways around Briançon, and the worker's looks at them: for tests of how they are placed."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from db import pathways
from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from geo.cells import Cell
from geo.distance import kilometres_between
from matching.needs import Language
from matching.posting import NeedTerms
from matching.vocabulary import OrganizationKind, Urgency
from tests.acting import in_role
from tests.builders import TONIGHT, add_offer, add_organization, need_terms
from tests.db.acts import one, rows
from tests.places import PlaceRow
from worker.matching_round import look_for_places

__all__ = ["Valley", "bed", "filed", "lesson", "settle_in"]


def filed(pathway_id: UUID) -> bytes:
    """Under what the slip of a pathway is found, here."""
    return pathway_id.bytes * 2


@dataclass(frozen=True)
class Valley:
    """The town hall that gives and the coordination that posts."""

    engine: AsyncEngine
    settings: Settings
    town_hall: UUID
    coordination: UUID

    async def places(self, place: PlaceRow, category: str = "shelter", **terms: Any) -> UUID:
        """An offer there."""
        async with transaction(self.engine) as tx:
            return await add_offer(tx, self.town_hall, place=place, category=category, **terms)

    async def classes(self, place: PlaceRow, **terms: Any) -> UUID:
        """A French class there, on every day but the first."""
        hours = {"opens": time(9), "closes": time(11), "first_day": TONIGHT + timedelta(days=1)}
        taught = {"teaches": "fr", "level": "A1", "schedule": hours, **terms}
        return await self.places(place, "language_class", **taught)

    async def post(self, *steps: NeedTerms, near_km: int = 3) -> tuple[UUID, tuple[UUID, ...]]:
        """A pathway of these steps, of a bed and a class without any: its id, and those of its needs."""
        chosen = steps or (bed(), lesson())
        async with transaction(self.engine) as tx:
            posted = (await pathways.add(tx, self.coordination, chosen, near_km, filed)).pathway
        return posted.id, tuple(step.id for step in posted.steps)

    async def look(self, side_by_side: int = 1) -> None:
        """Looks of the worker until nothing is due."""
        engine = in_role(self.engine, Role.MATCHER)
        for _ in range(20):
            if not await look_for_places(engine, Bell(self.settings), side_by_side, 3, lambda: None, asyncio.Event()):
                return

    async def where(self, need_id: UUID) -> tuple[UUID, str] | None:
        """The offer in which a need has its place, and the state of that place."""
        found = await rows(
            self.engine,
            "select offer_id, state from allocation where need_id = :id and state in ('held', 'confirmed', 'arrived')",
            id=need_id,
        )
        return (found[0].offer_id, found[0].state) if found else None

    async def allocation(self, need_id: UUID) -> UUID:
        """The place that a need has."""
        alive = "state in ('held', 'confirmed', 'arrived')"
        found: UUID = (
            await one(self.engine, f"select id from allocation where need_id = :id and {alive}", id=need_id)
        ).id
        return found

    async def apart(self) -> dict[UUID, list[int]]:
        """By pathway, how far its other places lie from its bed, in kilometres: from the tables alone."""
        found = await rows(
            self.engine,
            """
            select n.pathway_id, n.category, o.cell
              from need n join allocation a on a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')
              join offer o on o.id = a.offer_id
             where n.pathway_id is not null
            """,
        )
        beds = {row.pathway_id: Cell(row.cell) for row in found if row.category == "shelter"}
        return {
            pathway: sorted(
                kilometres_between(cell, Cell(row.cell))
                for row in found
                if row.pathway_id == pathway and row.category != "shelter"
            )
            for pathway, cell in beds.items()
        }


async def settle_in(engine: AsyncEngine, settings: Settings) -> Valley:
    """The two organizations, without a place yet."""
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        coordination = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination of Briançon")
    return Valley(engine, settings, town_hall, coordination)


def bed(**terms: Any) -> NeedTerms:
    """A bed for two, tonight, and not vital unless told otherwise."""
    return need_terms(**{"people": 2, "urgency": Urgency.NORMAL, **terms})


def lesson(**terms: Any) -> NeedTerms:
    """A French class for the same two, begun within ten days."""
    starts = datetime.combine(TONIGHT, time(18), UTC)
    window = (starts, starts + timedelta(days=10))
    return bed(**{"category": "language_class", "language": Language("fr", None), "window": window, **terms})
